import { constants } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../sync-folder.ts'
import { segmentPath } from './files.ts'
import { ALIGNMENT_BYTES, Filling, sharedSlabs } from './slabs.ts'
import { END_OF_SEGMENT } from './tar.ts'

export interface NewSegment {
  folder: string
  id: number
  path?: string
  /** O_DIRECT where the file system takes it, else 0. */
  directFlag: number
}

const NEW = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY

/** One append-only file of the landing. Only its owner writes, one batch after the other, in aligned pieces. */
export class Segment {
  readonly id: number
  readonly path: string
  readonly #file: FileHandle
  #durableBytes = 0

  private constructor(id: number, path: string, file: FileHandle) {
    this.id = id
    this.path = path
    this.#file = file
  }

  /** Makes a new, empty segment whose name is durable. */
  static async create({ folder, id, path = segmentPath(folder, id), directFlag }: NewSegment): Promise<Segment> {
    const file = await open(path, NEW | directFlag, 0o640)
    try {
      await syncFolder(dirname(path))
    } catch (error) {
      await file.close()
      throw error
    }
    return new Segment(id, path, file)
  }

  /** Everything before this offset was synced. */
  get durableBytes(): number {
    return this.#durableBytes
  }

  /**
   * Appends and syncs; resolves with the offset of the first byte. After a rejection nothing new is durable.
   * The buffers together are a multiple of ALIGNMENT_BYTES.
   */
  async append(buffers: readonly Buffer[]): Promise<number> {
    const start = this.#durableBytes
    const bytes = await this.write(buffers, start)
    await this.sync(start + bytes)
    return start
  }

  /** Writes at a place without syncing, both aligned; resolves with the number of bytes. */
  async write(buffers: readonly Buffer[], position: number): Promise<number> {
    const filling = new Filling(buffers)
    return sharedSlabs().use(async (slab) => {
      let at = position
      for (let filled = filling.fill(slab); filled > 0; filled = filling.fill(slab)) {
        await this.#writeAll(slab.subarray(0, filled), at)
        at += filled
      }
      return at - position
    })
  }

  /** A write that came to less is gone on with where alignment allows. */
  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.writev([bytes.subarray(done)], position + done)
      const whole = done + bytesWritten === bytes.length
      const progress = whole ? bytesWritten : bytesWritten - (bytesWritten % ALIGNMENT_BYTES)
      if (progress === 0) throw new Error(`a write of ${bytes.length - done} bytes came to ${bytesWritten}`)
      done += progress
    }
  }

  async sync(bytes: number): Promise<void> {
    await this.#file.datasync()
    this.#durableBytes = bytes
  }

  /** Cuts off what a failed append left behind. */
  async cutTail(): Promise<void> {
    await this.#file.truncate(this.#durableBytes)
    await this.#file.datasync()
  }

  /** Ends the archive as tar expects it. What was appended is durable without that, so a failure here loses nothing. */
  async end(): Promise<void> {
    try {
      await this.append([END_OF_SEGMENT])
    } finally {
      await this.#file.close()
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined)
  }

  /** Only for a segment that holds nothing durable. */
  async remove(): Promise<void> {
    if (this.#durableBytes > 0) throw new Error(`segment ${this.id} holds instances`)
    await unlink(this.path)
  }

  /** Gives the finished file its name; until then it is no segment to anyone. */
  async publish(path: string): Promise<void> {
    await rename(this.path, path)
    await syncFolder(dirname(path))
  }
}

import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../sync-folder.ts'
import { segmentPath } from './files.ts'
import { END_OF_ARCHIVE } from './tar.ts'

/** One append-only file of the landing. Only its owner writes, one batch after the other. */
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
  static async create(folder: string, id: number, path = segmentPath(folder, id)): Promise<Segment> {
    const file = await open(path, 'wx', 0o640)
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

  /** Appends and syncs; resolves with the offset of the first byte. After a rejection nothing new is durable. */
  async append(buffers: readonly Buffer[]): Promise<number> {
    const start = this.#durableBytes
    const bytes = await this.write(buffers, start)
    await this.#file.datasync()
    this.#durableBytes = start + bytes
    return start
  }

  /** Writes at a place without syncing; resolves with the number of bytes. */
  async write(buffers: readonly Buffer[], position: number): Promise<number> {
    let rest = [...buffers]
    let at = position
    while (rest.length > 0) {
      const { bytesWritten } = await this.#file.writev(rest, at)
      at += bytesWritten
      rest = dropBytes(rest, bytesWritten)
    }
    return at - position
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
      await this.append([END_OF_ARCHIVE])
    } finally {
      await this.#file.close()
    }
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

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  let skip = count
  let index = 0
  while (index < buffers.length && skip >= (buffers[index] as Buffer).length) {
    skip -= (buffers[index] as Buffer).length
    index += 1
  }
  const rest = buffers.slice(index)
  if (skip > 0) rest[0] = (rest[0] as Buffer).subarray(skip)
  return rest
}

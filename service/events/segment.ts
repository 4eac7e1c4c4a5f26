import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../sync-folder.ts'

/** The file that a chain appends to. Only its owner writes, one batch after the other. */
export class Segment {
  readonly #file: FileHandle
  #durableBytes = 0

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /** Makes a segment whose name is durable. One that is there must be empty: what a failure left before its first batch. */
  static async create(path: string): Promise<Segment> {
    const file = await open(path, 'a+', 0o640)
    try {
      const { size } = await file.stat()
      if (size > 0) throw new Error(`${path} is there already`)
      await syncFolder(dirname(path))
      return new Segment(file)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  get durableBytes(): number {
    return this.#durableBytes
  }

  /** Appends and syncs. After a rejection the file's end is in doubt: `cut` it. */
  async append(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done)
      done += bytesWritten
    }
    await this.#file.datasync()
    this.#durableBytes += bytes.length
  }

  /** Takes back what a failed append may have left, durably. */
  async cut(): Promise<void> {
    await this.#file.truncate(this.#durableBytes)
    await this.#file.datasync()
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined)
  }
}

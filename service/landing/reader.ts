import { type FileHandle, open } from 'node:fs/promises'
import type { LandingLocation } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import { segmentPath } from './files.ts'

/** One read at the most: whole instances of usual size come in one `pread`, giants in pieces. */
const READ_BYTES_MAX = 2 * 1024 * 1024
const OPEN_FILES_MAX = 64

interface Opened {
  file: Promise<FileHandle>
  users: number
  failed: boolean
}

function close({ file }: Opened): void {
  void file.then((handle) => handle.close()).catch(() => undefined)
}

/** Reads byte ranges of instances; keeps the files used last open. */
export class SegmentReader {
  readonly #folder: string
  /** In order of use, the least recent first. */
  readonly #opened = new Map<number, Opened>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * The bytes from `start` to `end` (exclusive) of the instance at `location`.
   * Throws ArchiveError `storage_failed` when they can't be read in full.
   */
  async *read(location: LandingLocation, start: number, end: number): AsyncGenerator<Buffer> {
    let at = start
    while (at < end) {
      const chunk = await this.#readOnce(location, at, Math.min(end, at + READ_BYTES_MAX))
      at += chunk.length
      yield chunk
    }
  }

  async #readOnce({ segment, offset }: LandingLocation, start: number, end: number): Promise<Buffer> {
    const opened = this.#use(segment)
    opened.users += 1
    try {
      const file = await opened.file
      const buffer = Buffer.allocUnsafeSlow(end - start)
      let filled = 0
      while (filled < buffer.length) {
        const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, offset + start + filled)
        if (bytesRead === 0) throw new Error(`the segment ends at ${offset + start + filled}`)
        filled += bytesRead
      }
      return buffer
    } catch (error) {
      // The next reader opens it anew; by now another one may have, and some may still be reading from this one.
      if (this.#opened.get(segment) === opened) this.#opened.delete(segment)
      opened.failed = true
      throw new ArchiveError('storage_failed', `segment ${segment}: ${(error as Error).message}`, { cause: error })
    } finally {
      opened.users -= 1
      if (opened.failed && opened.users === 0) close(opened)
      this.#closeIdle()
    }
  }

  #use(segment: number): Opened {
    const opened = this.#opened.get(segment) ?? {
      file: open(segmentPath(this.#folder, segment), 'r'),
      users: 0,
      failed: false,
    }
    this.#opened.delete(segment)
    this.#opened.set(segment, opened)
    return opened
  }

  #closeIdle(): void {
    for (const [segment, opened] of this.#opened) {
      if (this.#opened.size <= OPEN_FILES_MAX) return
      if (opened.users > 0) continue
      this.#opened.delete(segment)
      close(opened)
    }
  }

  /** One file, once those who read from it have finished; all of them without a number. */
  async close(segment?: number): Promise<void> {
    if (segment !== undefined) {
      const opened = this.#opened.get(segment)
      this.#opened.delete(segment)
      if (!opened) return
      opened.failed = true
      if (opened.users === 0) close(opened)
      return
    }
    for (const { file } of this.#opened.values()) await file.then((handle) => handle.close()).catch(() => undefined)
    this.#opened.clear()
  }
}

import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { ByteRange } from '../contract/adapter.ts'
import { StorageError } from '../contract/errors.ts'
import { fileError } from './errors.ts'

/** One pread. Streams of the usual 64 KiB reach less than half of the speed. */
export const READ_BYTES = 1024 * 1024

/** Fills as much of the buffer as the file has; returns the number of bytes. */
export async function readFully(file: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

/** A range of an open file, read in large pieces, one ahead of the reader. Owns the handle. */
export class FileBody extends Readable {
  readonly #file: FileHandle
  readonly #label: string
  readonly #end: number
  #at: number

  constructor(file: FileHandle, { start, end }: ByteRange, label: string, signal?: AbortSignal) {
    super({ highWaterMark: READ_BYTES })
    // It may fail before anybody reads, which must not end the process; whoever reads then meets the error.
    this.on('error', () => undefined)
    this.#file = file
    this.#label = label
    this.#at = start
    this.#end = end
    const abort = () => this.destroy(new StorageError('aborted', 'the caller gave up', { cause: signal?.reason }))
    this.once('close', () => signal?.removeEventListener('abort', abort))
    signal?.addEventListener('abort', abort, { once: true })
  }

  override _read(): void {
    if (this.#at >= this.#end) this.push(null)
    else void this.#next().catch((error: unknown) => this.destroy(fileError(error, this.#label)))
  }

  async #next(): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, this.#end - this.#at))
    if ((await readFully(this.#file, buffer, this.#at)) < buffer.length) {
      throw new StorageError('integrity_mismatch', `${this.#label} became shorter while it was read`)
    }
    this.#at += buffer.length
    this.push(buffer)
    if (this.#at >= this.#end) this.push(null)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // The handle waits for a read that is under way; nobody need wait for the handle.
    this.#file.close().catch(() => undefined)
    callback(error)
  }
}

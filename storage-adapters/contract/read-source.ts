import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { abortedError, StorageError, throwIfAborted } from './errors.ts'
import type { Source } from './source.ts'

/**
 * The bytes of a source, checked on the way: an adapter that stores what it gets from here, and publishes it only after
 * the last of it, has been lied to neither about size nor about digest.
 *
 * Throws `integrity_mismatch` for fewer, more or other bytes than the source promises, `aborted` when the signal fires or
 * the source fails. Closes the source's stream in any case.
 */
export async function* readSource(source: Source, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
  throwIfAborted(signal)
  const stream = open(source)
  const hash = createHash('sha256')
  let sizeBytes = 0
  try {
    for await (const bytes of chunksOf(stream, signal)) {
      sizeBytes += bytes.length
      if (sizeBytes > source.sizeBytes) throw mismatch(`gives more than the ${source.sizeBytes} bytes that it promises`)
      hash.update(bytes)
      yield bytes
    }
    if (sizeBytes < source.sizeBytes) throw mismatch(`ends after ${sizeBytes} of ${source.sizeBytes} bytes`)
    if (hash.digest('hex') !== source.sha256) throw mismatch(`doesn't have the digest ${source.sha256}`)
  } finally {
    stream.destroy()
  }
}

/**
 * What fails on the source's side, be it another store, comes as `aborted`: it must not be counted against the store that
 * is written to. A source that is silent can't be made to end, so the wait for it ends by itself when the signal fires.
 */
async function* chunksOf(stream: Readable, signal: AbortSignal | undefined): AsyncGenerator<Buffer, void> {
  const iterator = stream[Symbol.asyncIterator]()
  let giveUp: (error: StorageError) => void = () => undefined
  const abort = () => giveUp(abortedError(signal as AbortSignal))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    for (;;) {
      throwIfAborted(signal)
      const { done, value } = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        giveUp = reject
        iterator.next().then(resolve, (error: unknown) => reject(failed(error)))
      })
      if (done) return
      yield asBuffer(value)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

function mismatch(what: string): StorageError {
  return new StorageError('integrity_mismatch', `the source ${what}`)
}

function failed(cause: unknown): StorageError {
  return new StorageError('aborted', `the source failed: ${(cause as Error | undefined)?.message}`, { cause })
}

function open(source: Source): Readable {
  try {
    const stream = source.open()
    // It may fail while the store is busy with what came before, when nobody listens; the next read meets the error.
    stream.on('error', () => undefined)
    return stream
  } catch (error) {
    throw failed(error)
  }
}

function asBuffer(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  throw failed(new TypeError('a source must give bytes'))
}

/** A source of bytes that are in memory. */
export function bytesSource(bytes: Buffer): Source {
  return {
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    open: () => Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false }),
  }
}

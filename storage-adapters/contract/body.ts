import { Readable } from 'node:stream'
import { isStorageError, StorageError } from './errors.ts'

export interface BodyOptions {
  /** Called once, when the body has ended, failed or was destroyed, even when nothing was read of it. */
  release?: (() => void) | undefined
  /** When it fires the body fails with `aborted`. */
  signal?: AbortSignal | undefined
}

/**
 * A body that gives these chunks when they are asked for. What they throw comes through if it
 * is a `StorageError`, and as `unavailable` if it isn't.
 */
export function bodyOf(chunks: AsyncIterator<Buffer> | Iterator<Buffer>, options: BodyOptions = {}): Readable {
  return new ChunkBody(chunks, options)
}

/** `Readable.from` closes only after its generator has returned, which one that waits for a silent store never does. */
class ChunkBody extends Readable {
  readonly #chunks: AsyncIterator<Buffer> | Iterator<Buffer>
  readonly #release: () => void

  constructor(chunks: AsyncIterator<Buffer> | Iterator<Buffer>, { release, signal }: BodyOptions) {
    super({ highWaterMark: 0 })
    // It may fail before anybody reads, which must not end the process; whoever reads then meets the error.
    this.on('error', () => undefined)
    this.#chunks = chunks
    const abort = () => this.destroy(new StorageError('aborted', 'the caller gave up', { cause: signal?.reason }))
    this.#release = () => {
      signal?.removeEventListener('abort', abort)
      release?.()
    }
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  }

  override _read(): void {
    void this.#next().then(
      ({ done, value }) => this.push(done ? null : value),
      (error: unknown) => this.destroy(inStorageTerms(error)),
    )
  }

  /** A stream asks for more only after it was given something. */
  async #next(): Promise<IteratorResult<Buffer, unknown>> {
    for (;;) {
      const next = await this.#chunks.next()
      if (next.done || next.value.length > 0) return next
    }
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#release()
    void this.#return()
    callback(error)
  }

  async #return(): Promise<void> {
    try {
      await this.#chunks.return?.()
    } catch {
      // Whoever destroyed the body doesn't want to know.
    }
  }
}

function inStorageTerms(error: unknown): StorageError {
  if (isStorageError(error)) return error
  return new StorageError('unavailable', `reading failed: ${(error as Error).message}`, { cause: error })
}

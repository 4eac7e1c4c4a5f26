import { Readable } from 'node:stream'
import { abortedError, isStorageError, StorageError } from '../contract/errors.ts'

/** What is received ahead of the reader. */
const AHEAD_BYTES = 256 * 1024

interface BodyLimits {
  expectedBytes: number
  idleMs: number
  what: string
  signal?: AbortSignal | undefined
}

/** A response's body that fails when it ends early, goes on too long, or is silent for too long while it is waited for. */
export class ResponseBody extends Readable {
  readonly #response: Readable
  readonly #limits: BodyLimits
  /** One for the whole body; what its reader does meanwhile doesn't count. */
  readonly #idle: NodeJS.Timeout
  readonly #abort: () => void
  #isWaiting = true
  #receivedBytes = 0

  constructor(response: Readable, limits: BodyLimits) {
    super({ highWaterMark: AHEAD_BYTES })
    // It may fail before anybody reads, which must not end the process; whoever reads then meets the error.
    this.on('error', () => undefined)
    const { signal, idleMs, what } = limits
    this.#response = response
    this.#limits = limits
    this.#idle = setTimeout(() => {
      if (this.#isWaiting) this.destroy(new StorageError('unavailable', `${what} is silent for ${idleMs} ms`))
    }, idleMs)
    this.#abort = () => this.destroy(abortedError(signal as AbortSignal))
    signal?.addEventListener('abort', this.#abort, { once: true })
    response.on('error', (error) => this.#fail(error))
    response.on('data', (chunk: Buffer) => this.#received(chunk))
    response.on('end', () => this.#ended())
    response.on('close', () => this.#fail(new Error('the connection was closed')))
    if (signal?.aborted) this.#abort()
  }

  override _read(): void {
    this.#isWaiting = true
    this.#idle.refresh()
    this.#response.resume()
  }

  #received(chunk: Buffer): void {
    const { expectedBytes, what } = this.#limits
    this.#receivedBytes += chunk.length
    if (this.#receivedBytes > expectedBytes) {
      this.destroy(new StorageError('integrity_mismatch', `${what} is longer than announced`))
      return
    }
    this.#idle.refresh()
    if (this.push(chunk)) return
    this.#isWaiting = false
    this.#response.pause()
  }

  #ended(): void {
    const { expectedBytes, what } = this.#limits
    this.#isWaiting = false
    if (this.#receivedBytes === expectedBytes) this.push(null)
    else this.#fail(new Error(`${what} ended after ${this.#receivedBytes} of ${expectedBytes} bytes`))
  }

  /** Once everything was received, how the connection ends no longer matters. */
  #fail(error: Error): void {
    if (this.#receivedBytes === this.#limits.expectedBytes && !this.#isWaiting) return
    const { what, signal } = this.#limits
    if (signal?.aborted) this.#abort()
    else if (isStorageError(error)) this.destroy(error)
    else this.destroy(new StorageError('unavailable', `${what}: ${error.message}`, { cause: error }))
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idle)
    this.#limits.signal?.removeEventListener('abort', this.#abort)
    this.#response.destroy()
    callback(error)
  }
}

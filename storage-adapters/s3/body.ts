import type { Readable } from 'node:stream'
import { bodyOf } from '../contract/body.ts'
import { StorageError } from '../contract/errors.ts'

interface BodyLimits {
  expectedBytes: number
  idleMs: number
  what: string
  signal?: AbortSignal | undefined
}

/** A response's body that fails when it ends early, goes on too long, or is silent for too long while it is waited for. */
export function watchedBody(response: Readable, limits: BodyLimits): Readable {
  const idle = new IdleWatch(response, limits)
  const release = () => {
    idle.end()
    response.destroy()
  }
  return bodyOf(checked(response, limits, idle), { release, signal: limits.signal })
}

async function* checked(response: Readable, limits: BodyLimits, idle: IdleWatch): AsyncGenerator<Buffer> {
  const { expectedBytes, what } = limits
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let receivedBytes = 0
  for (;;) {
    idle.begin()
    const { done, value } = await chunks.next()
    idle.pause()
    if (done) break
    receivedBytes += value.length
    if (receivedBytes > expectedBytes) throw new StorageError('integrity_mismatch', `${what} is longer than announced`)
    if (value.length > 0) yield value
  }
  if (receivedBytes < expectedBytes) {
    throw new StorageError('unavailable', `${what} ended after ${receivedBytes} of ${expectedBytes} bytes`)
  }
}

/** One timer for the whole body; what its reader does meanwhile doesn't count. */
class IdleWatch {
  readonly #timer: NodeJS.Timeout
  #waiting = false

  constructor(response: Readable, { idleMs, what }: BodyLimits) {
    // It may fail before anybody reads; the first read meets that.
    response.on('error', () => undefined)
    this.#timer = setTimeout(() => {
      if (this.#waiting) response.destroy(new StorageError('unavailable', `${what} is silent for ${idleMs} ms`))
    }, idleMs)
  }

  begin(): void {
    this.#waiting = true
    this.#timer.refresh()
  }

  pause(): void {
    this.#waiting = false
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

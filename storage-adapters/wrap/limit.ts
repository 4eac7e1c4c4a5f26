import type { Readable } from 'node:stream'
import type { StorageAdapter } from '../contract/adapter.ts'
import { bodyOf } from '../contract/body.ts'
import { abortedError, StorageError, throwIfAborted } from '../contract/errors.ts'
import type { Source } from '../contract/source.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Around, layer } from './layer.ts'

export interface LimitOptions {
  /** Bodies that are read at the same time, and other calls at the same time: so many of each. */
  requestsMax: number
  /** Of bodies in both directions together. Default unlimited. */
  bytesPerSecond?: number
  /** Calls that wait beyond that are refused with `rate_limited`. Default 10,000. */
  waitingMax?: number
  clock?: Clock
}

/**
 * Bounds what a store is asked for at the same time, and how many bytes per second. A body counts until it has ended or
 * was destroyed. Reading and the rest are counted apart, so that copying within one store can't wait for itself.
 */
export function limit(inner: StorageAdapter, options: LimitOptions): StorageAdapter {
  const { requestsMax, bytesPerSecond, waitingMax = 10_000, clock = systemClock } = options
  const [reads, others] = [new Slots(requestsMax, waitingMax), new Slots(requestsMax, waitingMax)]
  const pace = new Pace(bytesPerSecond ?? Number.POSITIVE_INFINITY, clock)
  const around: Around = async ({ signal }, next) => {
    const release = await others.take(signal)
    try {
      return await next()
    } finally {
      release()
    }
  }
  return layer(inner, around, {
    capabilities: (capabilities) => ({
      ...capabilities,
      requestsMax: Math.min(capabilities.requestsMax, requestsMax),
    }),
    put: (key, source, put) =>
      around({ operation: 'put', signal: put?.signal }, () =>
        inner.put(key, pacedSource(source, pace, put?.signal), put),
      ),
    async get(key, get) {
      const release = await reads.take(get?.signal)
      try {
        const { stat, body } = await inner.get(key, get)
        const done = () => {
          body.destroy()
          release()
        }
        return { stat, body: bodyOf(paced(body, pace, get?.signal), { release: done, signal: get?.signal }) }
      } catch (error) {
        release()
        throw error
      }
    },
    async *list(list) {
      const iterator = inner.list(list)[Symbol.asyncIterator]()
      try {
        for (;;) {
          // Not longer than it takes: who goes through a list may take hours.
          const { done, value } = await around({ operation: 'list', signal: list?.signal }, () => iterator.next())
          if (done) return
          yield value
        }
      } finally {
        await iterator.return?.()
      }
    },
  })
}

function pacedSource(source: Source, pace: Pace, signal: AbortSignal | undefined): Source {
  if (!pace.isBounded) return source
  const open = () => {
    const stream = source.open()
    stream.on('error', () => undefined)
    return bodyOf(paced(stream, pace, signal), { release: () => stream.destroy() })
  }
  return { sizeBytes: source.sizeBytes, sha256: source.sha256, open }
}

async function* paced(body: Readable, pace: Pace, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    await pace.take((chunk as Buffer).length, signal)
    yield chunk as Buffer
  }
}

interface Waiting {
  go(): void
}

class Slots {
  readonly #waitingMax: number
  readonly #waiting = new Set<Waiting>()
  #free: number

  constructor(max: number, waitingMax: number) {
    this.#free = max
    this.#waitingMax = waitingMax
  }

  /** Resolves, in the order of asking, with the function that gives the slot back. */
  async take(signal: AbortSignal | undefined): Promise<() => void> {
    throwIfAborted(signal)
    if (this.#free > 0) this.#free -= 1
    else await this.#wait(signal)
    let isTaken = true
    return () => {
      if (isTaken) this.#giveBack()
      isTaken = false
    }
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= this.#waitingMax) {
      throw new StorageError('rate_limited', `${this.#waiting.size} calls are waiting already`)
    }
    let abort: () => void = () => undefined
    try {
      await new Promise<void>((resolve, reject) => {
        const waiting = { go: resolve }
        this.#waiting.add(waiting)
        abort = () => {
          if (this.#waiting.delete(waiting)) reject(abortedError(signal as AbortSignal))
        }
        signal?.addEventListener('abort', abort, { once: true })
      })
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  #giveBack(): void {
    const [next] = this.#waiting
    if (!next) {
      this.#free += 1
      return
    }
    this.#waiting.delete(next)
    next.go()
  }
}

/** Spreads bytes over time: each piece waits until those before it have had their share. */
class Pace {
  readonly #bytesPerMs: number
  readonly #clock: Clock
  #freeAt = 0

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#clock = clock
  }

  get isBounded(): boolean {
    return this.#bytesPerMs < Number.POSITIVE_INFINITY
  }

  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    if (!this.isBounded) return
    const now = this.#clock.now()
    const begin = Math.max(now, this.#freeAt)
    this.#freeAt = begin + bytes / this.#bytesPerMs
    if (begin > now) await this.#clock.sleep(begin - now, signal)
  }
}

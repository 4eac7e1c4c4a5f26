import type { OpenObject, StorageAdapter } from '../contract/adapter.ts'
import { bodyOf } from '../contract/body.ts'
import { isStorageError, StorageError } from '../contract/errors.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Around, layer } from './layer.ts'

export type CircuitState = 'closed' | 'open' | 'half_open'

export interface CircuitChange {
  readonly store: string
  readonly state: CircuitState
  /** A sentence: why. */
  readonly reason: string
  /** How long calls are refused from now on, when it opened. */
  readonly openMs?: number
}

export interface CircuitOptions {
  /** How many of the last calls are looked at. Default 20. */
  window?: number
  /** With fewer failures among them the circuit stays closed. Default 5. */
  failuresMin?: number
  /** And with a smaller share of failures. Default 0.5: a store that works and fails in turns is isolated too. */
  failureShare?: number
  /** How long an open circuit refuses calls before it lets one try. Doubled each time that it opens again. Default 5 s. */
  openMs?: number
  /** Default 5 minutes. */
  openMsMax?: number
  /** A store that behaved for so long starts anew with `openMs`. Default 10 minutes. */
  calmMs?: number
  /** A call (but for `put`, whose time is its source's too) that takes longer counts as a failure. Default none. */
  slowMs?: number
  /**
   * What a store must pass before the first call after an isolation: open it again and check its identity, so that another
   * disk at the same path isn't taken for the one that came back.
   */
  probe?: (signal?: AbortSignal) => Promise<void>
  onChange?: (change: CircuitChange) => void
  clock?: Clock
}

/**
 * Refuses calls at once, with `unavailable`, while a store doesn't answer or keeps failing, so that nobody waits for it and
 * nothing hammers at it. Nothing is polled: when the time is over, the next caller's call is the trial.
 */
export function circuitBreaker(inner: StorageAdapter, options: CircuitOptions = {}): StorageAdapter {
  const circuit = new Circuit(inner.id, options)
  const around: Around = ({ operation, signal }, next) =>
    circuit.run(next, { mayBeSlow: operation === 'put' || operation === 'open', signal })
  return layer(inner, around, {
    get: async (key, get) => {
      const opened = await around({ operation: 'get', signal: get?.signal }, () => inner.get(key, get))
      return watched(opened, circuit, get?.signal)
    },
    async *list(list) {
      const iterator = inner.list(list)[Symbol.asyncIterator]()
      let next = await circuit.run(() => iterator.next(), { mayBeSlow: false, signal: list?.signal })
      try {
        while (!next.done) {
          yield next.value
          // One call of the contract, so one success; but every failure counts.
          next = await circuit.watch(iterator.next())
        }
      } finally {
        await iterator.return?.()
      }
    },
  })
}

function watched({ stat, body }: OpenObject, circuit: Circuit, signal: AbortSignal | undefined): OpenObject {
  async function* chunks(): AsyncGenerator<Buffer> {
    const iterator = body[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await circuit.watch(iterator.next())
      if (done) return
      yield value as Buffer
    }
  }
  return { stat, body: bodyOf(chunks(), { release: () => body.destroy(), signal }) }
}

class Circuit {
  readonly #id: string
  readonly #options: Required<Omit<CircuitOptions, 'probe' | 'onChange' | 'slowMs'>>
  readonly #slowMs: number
  readonly #probe: CircuitOptions['probe']
  readonly #onChange: (change: CircuitChange) => void
  #state: CircuitState = 'closed'
  /** Whether each of the last calls failed. */
  #failed: boolean[] = []
  #openMs: number
  #closedAt = Number.NEGATIVE_INFINITY
  #retryAt = 0
  #reason = ''

  constructor(id: string, { probe, onChange, slowMs, ...options }: CircuitOptions) {
    this.#id = id
    this.#options = {
      window: 20,
      failuresMin: 5,
      failureShare: 0.5,
      openMs: 5_000,
      openMsMax: 5 * 60_000,
      calmMs: 10 * 60_000,
      clock: systemClock,
      ...options,
    }
    this.#openMs = this.#options.openMs
    this.#slowMs = slowMs ?? Number.POSITIVE_INFINITY
    this.#probe = probe
    this.#onChange = onChange ?? (() => undefined)
  }

  async run<T>(act: () => Promise<T>, call: { mayBeSlow: boolean; signal: AbortSignal | undefined }): Promise<T> {
    const isTrial = this.#admit()
    const startedAt = this.#options.clock.now()
    let isProbed = !isTrial
    try {
      if (isTrial) await this.#probe?.(call.signal)
      isProbed = true
      const value = await act()
      const tookMs = this.#options.clock.now() - startedAt
      const isSlow = tookMs > this.#slowMs && !call.mayBeSlow
      this.#record(isSlow ? `it took ${Math.round(tookMs)} ms to answer` : undefined, isTrial)
      return value
    } catch (error) {
      if (saysNothing(error)) this.#giveUpTrial(isTrial)
      else this.#record(isFailure(error) || !isProbed ? (error as Error).message : undefined, isTrial)
      throw error
    }
  }

  /** Counts a failure of what was begun by a call that counted as a success. */
  async watch<T>(acting: Promise<T>): Promise<T> {
    try {
      return await acting
    } catch (error) {
      if (isFailure(error) && this.#state === 'closed') this.#record((error as Error).message, false)
      throw error
    }
  }

  /** Whether the call is the trial after an isolation. Throws `unavailable`. */
  #admit(): boolean {
    if (this.#state === 'closed') return false
    const waitMs = Math.ceil(this.#retryAt - this.#options.clock.now())
    if (this.#state === 'open' && waitMs <= 0) {
      this.#change('half_open', 'its time is over, the next call tries it')
      return true
    }
    const when = this.#state === 'open' ? `for ${waitMs} ms more` : 'while one call tries it'
    throw new StorageError('unavailable', `${this.#id} is isolated ${when}: ${this.#reason}`)
  }

  #record(failure: string | undefined, isTrial: boolean): void {
    if (isTrial) {
      if (failure !== undefined) this.#open(failure)
      else this.#close()
      return
    }
    // What was begun before the circuit opened has been judged.
    if (this.#state !== 'closed') return
    const { window, failuresMin, failureShare } = this.#options
    this.#failed = [...this.#failed, failure !== undefined].slice(-window)
    const failures = this.#failed.filter(Boolean).length
    if (failure === undefined || failures < failuresMin || failures < failureShare * this.#failed.length) return
    this.#open(`${failures} of the last ${this.#failed.length} calls failed: ${failure}`)
  }

  #open(reason: string): void {
    const { clock, openMs, openMsMax, calmMs } = this.#options
    const isCalm = this.#state === 'closed' && clock.now() - this.#closedAt > calmMs
    this.#openMs = isCalm ? openMs : Math.min(openMsMax, this.#openMs * 2)
    this.#retryAt = clock.now() + this.#openMs
    this.#reason = reason
    this.#failed = []
    this.#change('open', reason, this.#openMs)
  }

  #close(): void {
    this.#closedAt = this.#options.clock.now()
    this.#change('closed', 'it answers again')
  }

  /** The caller gave up, which says nothing about the store: the next call is the trial. */
  #giveUpTrial(isTrial: boolean): void {
    if (isTrial) this.#state = 'open'
  }

  #change(state: CircuitState, reason: string, openMs?: number): void {
    this.#state = state
    this.#onChange({ store: this.#id, state, reason, ...(openMs !== undefined && { openMs }) })
  }
}

function saysNothing(error: unknown): boolean {
  return isStorageError(error, 'aborted')
}

/** Refusals are answers: only silence and breakdown count, and an identity that isn't right. */
function isFailure(error: unknown): boolean {
  return !isStorageError(error) || isStorageError(error, 'unavailable', 'outcome_unknown', 'misconfigured')
}

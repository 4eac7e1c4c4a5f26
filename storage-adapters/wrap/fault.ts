import type { ObjectStat, StorageAdapter } from '../contract/adapter.ts'
import { bodyOf } from '../contract/body.ts'
import { StorageError, type StorageErrorCode } from '../contract/errors.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Around, layer, type Operation } from './layer.ts'

/**
 * What a bad store does.
 *
 * - `error_before`: fails and did nothing; `error_after`: did it (a `put`, `remove` or lock) and fails all the same.
 * - `broken_body`: a body fails in the middle; `short_body`: it ends there as if that were all.
 * - `wrong_byte`: one bit of a body is wrong.
 * - `delay`: takes its time. `full`: refuses a `put`.
 * - `stale_size`: `stat` and `list` tell a size that isn't. `list_late`: a list lacks what was put a moment ago.
 */
export type Fault =
  | 'error_before'
  | 'error_after'
  | 'broken_body'
  | 'short_body'
  | 'wrong_byte'
  | 'delay'
  | 'full'
  | 'stale_size'
  | 'list_late'

export interface FaultOptions {
  /** The same seed and the same calls give the same faults. */
  seed?: number
  /** From 0 to 1: how often each comes by chance. Default never. */
  rates?: Partial<Record<Fault, number>>
  /** Default 1,000. */
  delayMs?: number
  /** How long a list lacks what was put. Default 5,000. */
  listLagMs?: number
  clock?: Clock
}

export interface Injection {
  /** Default every operation that the fault applies to. */
  operation?: Operation
  /** Default `unavailable`, and `outcome_unknown` for `error_after`. */
  code?: StorageErrorCode
  /** Default once. */
  times?: number
}

/** Makes a good store bad, by chance or on demand: for tests of those who must live with it. */
export class Faults {
  readonly rates: Partial<Record<Fault, number>>
  #injected: (Injection & { fault: Fault; left: number })[] = []
  #random: number
  #flapping: { works: number; fails: number; calls: number } | undefined

  constructor({ seed = 1, rates = {} }: FaultOptions) {
    this.#random = seed
    this.rates = { ...rates }
  }

  inject(fault: Fault, injection: Injection = {}): void {
    this.#injected.push({ ...injection, fault, left: injection.times ?? 1 })
  }

  /** From now on so many calls work and so many fail, in turns. */
  flap(works: number, fails: number): void {
    this.#flapping = { works, fails, calls: 0 }
  }

  /** Ends everything. */
  heal(): void {
    this.#injected = []
    this.#flapping = undefined
    for (const fault of Object.keys(this.rates) as Fault[]) delete this.rates[fault]
  }

  /** The fault, if it strikes now. */
  strikes(fault: Fault, operation: Operation): Injection | undefined {
    const found = this.#injected.find(
      (each) => each.fault === fault && (each.operation === undefined || each.operation === operation),
    )
    if (found) {
      found.left -= 1
      if (found.left <= 0) this.#injected = this.#injected.filter((each) => each !== found)
      return found
    }
    const rate = this.rates[fault] ?? 0
    return rate > 0 && this.#chance() < rate ? {} : undefined
  }

  isDown(): boolean {
    const flapping = this.#flapping
    if (!flapping) return false
    const { works, fails } = flapping
    return flapping.calls++ % (works + fails) >= works
  }

  /** Mulberry32, by Tommy Ettinger: good enough for chance, and the same everywhere. */
  #chance(): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const CHANGES: readonly Operation[] = ['put', 'remove', 'extend_lock', 'set_legal_hold']

export function fault(inner: StorageAdapter, options: FaultOptions = {}): StorageAdapter & { readonly faults: Faults } {
  const { delayMs = 1_000, listLagMs = 5_000, clock = systemClock } = options
  const faults = new Faults(options)
  const putAt = new Map<string, number>()
  const before = async (operation: Operation, signal: AbortSignal | undefined) => {
    if (faults.strikes('delay', operation)) await clock.sleep(delayMs, signal)
    if (faults.isDown()) throw new StorageError('unavailable', `${inner.id} is down, for a test`)
    const error = faults.strikes('error_before', operation)
    if (error) throw new StorageError(error.code ?? 'unavailable', `${operation} failed before, for a test`)
    if (operation === 'put' && faults.strikes('full', operation))
      throw new StorageError('out_of_space', 'full, for a test')
  }
  const stale = (stat: ObjectStat, operation: Operation): ObjectStat =>
    faults.strikes('stale_size', operation) ? { ...stat, sizeBytes: stat.sizeBytes + 1 } : stat
  const around: Around = async ({ operation, key, signal }, next) => {
    await before(operation, signal)
    const value = await next()
    if (operation === 'put' && key !== undefined) putAt.set(key, clock.now())
    const error = CHANGES.includes(operation) && faults.strikes('error_after', operation)
    if (error) throw new StorageError(error.code ?? 'outcome_unknown', `${operation} failed after, for a test`)
    return operation === 'stat' ? (stale(value as ObjectStat, operation) as typeof value) : value
  }
  const isLate = (key: string) => {
    const at = putAt.get(key)
    if (at === undefined) return false
    if (clock.now() - at < listLagMs) return true
    putAt.delete(key)
    return false
  }
  const layered = layer(inner, around, {
    async get(key, get) {
      await before('get', get?.signal)
      const { stat, body } = await inner.get(key, get)
      const bytes = get?.range ? get.range.end - get.range.start : stat.sizeBytes
      const chunks = badly(body, faults, Math.floor(bytes / 2))
      return { stat, body: bodyOf(chunks, { release: () => body.destroy(), signal: get?.signal }) }
    },
    async *list(list) {
      await before('list', list?.signal)
      const lags = faults.strikes('list_late', 'list') !== undefined
      for await (const stat of inner.list(list)) if (!lags || !isLate(stat.key)) yield stale(stat, 'list')
    },
  })
  return Object.assign(layered, { faults })
}

/** What may go wrong with a body goes wrong at `middle`. */
async function* badly(body: AsyncIterable<Buffer>, faults: Faults, middle: number): AsyncGenerator<Buffer> {
  const broken = faults.strikes('broken_body', 'get')
  const short = faults.strikes('short_body', 'get')
  const wrong = faults.strikes('wrong_byte', 'get')
  let at = 0
  for await (const chunk of body) {
    const here = middle - at
    at += chunk.length
    if (here < 0 || here >= chunk.length) {
      yield chunk
      continue
    }
    if (broken || short) {
      if (here > 0) yield chunk.subarray(0, here)
      if (short) return
      throw new StorageError(broken?.code ?? 'unavailable', 'the body broke off, for a test')
    }
    if (wrong) chunk[here] = (chunk[here] as number) ^ 1
    yield chunk
  }
}

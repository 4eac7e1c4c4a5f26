import type {
  GetOptions,
  ListOptions,
  ObjectStat,
  OpenObject,
  PutOptions,
  PutReceipt,
  StorageAdapter,
} from '../contract/adapter.ts'
import { bodyOf } from '../contract/body.ts'
import { isStorageError, StorageError, type StorageErrorCode } from '../contract/errors.ts'
import { resolveRange } from '../contract/range.ts'
import type { Source } from '../contract/source.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Around, layer } from './layer.ts'

export interface RetryOptions {
  /** Including the first. Default 5. */
  attemptsMax?: number
  /** The longest pause after the first failure; doubled after each further one. Default 200 ms. */
  firstDelayMs?: number
  /** Default 10 s. */
  delayMsMax?: number
  clock?: Clock
  /** From 0 to 1: pauses are shortened by chance, so that many callers don't come back at the same moment. */
  random?: () => number
}

/** They pass, but not within the seconds that retries take: another store, or a recall, is the answer. */
const NOT_SOON: readonly StorageErrorCode[] = ['out_of_space', 'recall_needed']

/**
 * Repeats what may succeed later, a bounded number of times. A write whose outcome is unknown is looked for by `stat` first,
 * and repeated only if it wasn't done or can't be recognised; the adapter's own create-only `put` then compares the bytes.
 * Reads and lists that break off are taken up where they stopped.
 */
export function retry(inner: StorageAdapter, options: RetryOptions = {}): StorageAdapter {
  const attempts = new Attempts(options)
  // Repeating these does no harm, whatever became of the first: they read, or say what is to be in the end.
  const around: Around = ({ signal }, next) => attempts.run(next, signal, async () => undefined)
  return layer(inner, around, {
    put: (key, source, put) =>
      attempts.run(
        () => inner.put(key, source, put),
        put?.signal,
        () => findPut(attempts, inner, key, source, put),
      ),
    remove: (key, permit, signal) =>
      attempts.run(
        () => inner.remove(key, permit, signal),
        signal,
        () => findRemoved(attempts, inner, key, signal),
      ),
    get: async (key, get) =>
      resuming(attempts, inner, key, get, await attempts.run(() => inner.get(key, get), get?.signal)),
    list: (list) => listing(attempts, inner, list),
  })
}

class Attempts {
  readonly max: number
  readonly #firstDelayMs: number
  readonly #delayMsMax: number
  readonly #clock: Clock
  readonly #random: () => number

  constructor({ attemptsMax = 5, firstDelayMs = 200, delayMsMax = 10_000, clock, random }: RetryOptions) {
    this.max = attemptsMax
    this.#firstDelayMs = firstDelayMs
    this.#delayMsMax = delayMsMax
    this.#clock = clock ?? systemClock
    this.#random = random ?? Math.random
  }

  /** `reconcile` finds out what became of a call; undefined when it must be repeated. Without it such a call isn't. */
  async run<T>(
    act: () => Promise<T>,
    signal: AbortSignal | undefined,
    reconcile?: () => Promise<{ value: T } | undefined>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await act()
      } catch (error) {
        if (isStorageError(error, 'outcome_unknown') && reconcile) {
          const found = await reconcile()
          if (found) return found.value
          if (attempt >= this.max) throw error
        } else if (!this.mayRepeat(error, attempt)) throw error
        await this.pause(attempt, signal)
      }
    }
  }

  mayRepeat(error: unknown, attempt: number): boolean {
    return isStorageError(error) && error.retry === 'later' && !NOT_SOON.includes(error.code) && attempt < this.max
  }

  pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    const longest = Math.min(this.#delayMsMax, this.#firstDelayMs * 2 ** (attempt - 1))
    return this.#clock.sleep(longest * (0.5 + this.#random() / 2), signal)
  }
}

async function statIfThere(
  attempts: Attempts,
  inner: StorageAdapter,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectStat | undefined> {
  try {
    return await attempts.run(() => inner.stat(key, signal), signal)
  } catch (error) {
    if (isStorageError(error, 'not_found')) return undefined
    throw error
  }
}

async function findPut(
  attempts: Attempts,
  inner: StorageAdapter,
  key: string,
  { sizeBytes, sha256 }: Source,
  { lockUntil, signal }: PutOptions = {},
): Promise<{ value: PutReceipt } | undefined> {
  const found = await statIfThere(attempts, inner, key, signal)
  // Where the store recorded no digest, or a lock is wanted, `put` itself compares the bytes and sets the lock.
  if (found?.sha256 !== sha256 || found.sizeBytes !== sizeBytes || lockUntil) return undefined
  const version = found.version === undefined ? {} : { version: found.version }
  return { value: { created: false, sizeBytes, sha256, checksumBy: 'adapter', ...version } }
}

async function findRemoved(
  attempts: Attempts,
  inner: StorageAdapter,
  key: string,
  signal: AbortSignal | undefined,
): Promise<{ value: undefined } | undefined> {
  return (await statIfThere(attempts, inner, key, signal)) ? undefined : { value: undefined }
}

function resuming(
  attempts: Attempts,
  inner: StorageAdapter,
  key: string,
  { range, signal }: GetOptions = {},
  first: OpenObject,
): OpenObject {
  if (!inner.capabilities.rangeRead) return first
  const { stat } = first
  let { body } = first
  async function* chunks(): AsyncGenerator<Buffer> {
    let { start: at, end } = resolveRange(range, stat.sizeBytes)
    for (let attempt = 1; ; attempt++) {
      try {
        for await (const chunk of body) {
          at += (chunk as Buffer).length
          yield chunk as Buffer
        }
        return
      } catch (error) {
        if (!attempts.mayRepeat(error, attempt)) throw error
        // Everything was given; that the end couldn't be told no longer matters.
        if (at >= end) return
        await attempts.pause(attempt, signal)
        const next = await attempts.run(() => inner.get(key, { range: { start: at, end }, signal }), signal)
        body = next.body
        if (isSame(stat, next.stat)) continue
        body.destroy()
        throw new StorageError('integrity_mismatch', `${inner.id}: ${key} changed while it was read`)
      }
    }
  }
  return { stat, body: bodyOf(chunks(), { release: () => body.destroy(), signal }) }
}

function isSame(one: ObjectStat, other: ObjectStat): boolean {
  return one.sizeBytes === other.sizeBytes && one.sha256 === other.sha256 && one.version === other.version
}

async function* listing(
  attempts: Attempts,
  inner: StorageAdapter,
  options: ListOptions = {},
): AsyncGenerator<ObjectStat> {
  let { after } = options
  for (let attempt = 1; ; attempt++) {
    try {
      for await (const stat of inner.list({ ...options, after })) {
        after = stat.key
        attempt = 1
        yield stat
      }
      return
    } catch (error) {
      if (!attempts.mayRepeat(error, attempt)) throw error
      await attempts.pause(attempt, options.signal)
    }
  }
}

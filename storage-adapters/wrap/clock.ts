import { setTimeout as delay } from 'node:timers/promises'
import { abortedError, throwIfAborted } from '../contract/errors.ts'

/** Time as wrappers see it, so that tests needn't wait. */
export interface Clock {
  /** Milliseconds that only ever grow. */
  now(): number
  /** Throws `aborted` when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    throwIfAborted(signal)
    try {
      await delay(ms, undefined, signal ? { signal } : {})
    } catch (error) {
      throw signal?.aborted ? abortedError(signal) : error
    }
  },
}

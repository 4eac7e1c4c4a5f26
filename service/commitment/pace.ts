import { setTimeout as sleep } from 'node:timers/promises'

/** So much may be read at once after a pause, so that a small request never waits. */
const BURST_MS = 1000

/** Keeps reading below a rate. */
export class Pace {
  readonly #bytesPerSecond: number
  /** When, by the clock of `performance.now`, all that was read so far would have been read at the rate. */
  #paidUntil = Number.NEGATIVE_INFINITY

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond
  }

  /** To be called behind so many bytes; resolves when the next may be read. */
  async took(bytes: number): Promise<void> {
    const now = performance.now()
    this.#paidUntil = Math.max(this.#paidUntil, now - BURST_MS) + (bytes / this.#bytesPerSecond) * 1000
    if (this.#paidUntil > now) await sleep(this.#paidUntil - now)
  }
}

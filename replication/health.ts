import type { Clock } from './ports.ts'

/** So many calls in a row that didn't get through, and the other site is away; one that took too long is enough. */
const FAILURES_MAX = 3

/**
 * Whether calls to the other site are worth while. Opened by what really happens to calls, closed only by a greeting
 * that went well: while it is open nobody waits for a site that isn't there.
 */
export class Health {
  readonly #clock: Clock
  #up = false
  #failures = 0
  #why = 'not reached since the start'
  #since: number
  readonly #changed: (up: boolean, why: string) => void

  constructor(clock: Clock, changed: (up: boolean, why: string) => void) {
    this.#clock = clock
    this.#changed = changed
    this.#since = clock.now()
  }

  get up(): boolean {
    return this.#up
  }

  /** Why it is away; empty text when it isn't. */
  get why(): string {
    return this.#up ? '' : this.#why
  }

  /** Milliseconds since it last changed. */
  get forMs(): number {
    return this.#clock.now() - this.#since
  }

  succeeded(): void {
    this.#failures = 0
  }

  failed(why: string, { atOnce = false } = {}): void {
    this.#failures += 1
    if (atOnce || this.#failures >= FAILURES_MAX) this.#set(false, why)
    else if (!this.#up) this.#why = why
  }

  greeted(): void {
    this.#failures = 0
    this.#set(true, '')
  }

  #set(up: boolean, why: string): void {
    const before = this.#up
    this.#up = up
    this.#why = why
    if (before === up) return
    this.#since = this.#clock.now()
    this.#changed(up, why)
  }
}

export interface Counted<Fact> {
  fact: Fact
  /** How many were added up; 1 for one that stands alone. */
  requests: number
  /** When the first of them was. */
  since: Date
}

export interface TallyOptions<Fact> {
  windowMs: number
  /** So many keys are remembered; for one more the oldest is given up. */
  keysMax: number
  add(sum: Fact, next: Fact): Fact
  emit(counted: Counted<Fact>): void
  now?: () => number
}

interface Entry<Fact> {
  startedAt: number
  /** What came after the first one. */
  later: Counted<Fact> | undefined
}

/**
 * Adds up what is said again and again under one key. The first is passed on at once, so that a crash never hides that it
 * happened; what follows within the window is passed on as one sum at its end. Nothing is left out of the counts.
 */
export class Tally<Fact> {
  readonly #options: TallyOptions<Fact>
  readonly #now: () => number
  readonly #entries = new Map<string, Entry<Fact>>()

  constructor(options: TallyOptions<Fact>) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  get size(): number {
    return this.#entries.size
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  add(key: string, fact: Fact): void {
    const now = this.#now()
    const entry = this.#entries.get(key)
    if (!entry) {
      this.#makeRoom()
      this.#entries.set(key, { startedAt: now, later: undefined })
      this.#options.emit({ fact, requests: 1, since: new Date(now) })
      return
    }
    const { later } = entry
    entry.later = later
      ? { fact: this.#options.add(later.fact, fact), requests: later.requests + 1, since: later.since }
      : { fact, requests: 1, since: new Date(now) }
  }

  /** Passes on the sums whose window is over. Whoever goes on gets a new window. To be called now and then. */
  sweep(): void {
    const before = this.#now() - this.#options.windowMs
    for (const [key, entry] of this.#entries) {
      // In the order in which windows began: the rest is younger.
      if (entry.startedAt > before) return
      this.#entries.delete(key)
      if (!entry.later) continue
      this.#options.emit(entry.later)
      this.#entries.set(key, { startedAt: this.#now(), later: undefined })
    }
  }

  /** Passes on everything. */
  flush(): void {
    for (const { later } of this.#entries.values()) if (later) this.#options.emit(later)
    this.#entries.clear()
  }

  #makeRoom(): void {
    if (this.#entries.size < this.#options.keysMax) return
    const [key, entry] = this.#entries.entries().next().value as [string, Entry<Fact>]
    this.#entries.delete(key)
    if (entry.later) this.#options.emit(entry.later)
  }
}

interface Interest {
  /** Work on the key has ended since this one became interested. */
  changed: boolean
}

/**
 * Lets those who work on the same key take turns. Who is interested in a key before its turn comes is told whether
 * somebody else's turn has ended meanwhile, so that what it had looked up beforehand may be out of date.
 */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()
  readonly #interested = new Map<string, Set<Interest>>()

  /** Announces interest; `turn` waits for it, `leave` must be called in the end. */
  join(key: string): { turn<T>(work: (changed: boolean) => Promise<T>): Promise<T>; leave(): void } {
    const interest: Interest = { changed: false }
    const all = this.#interested.get(key) ?? new Set()
    this.#interested.set(key, all.add(interest))
    const leave = (): void => {
      all.delete(interest)
      if (all.size === 0 && this.#interested.get(key) === all) this.#interested.delete(key)
    }
    const turn = async <T>(work: (changed: boolean) => Promise<T>): Promise<T> => {
      const before = this.#last.get(key) ?? Promise.resolve()
      const mine = before.then(
        () => work(interest.changed),
        () => work(interest.changed),
      )
      this.#last.set(key, mine)
      try {
        return await mine
      } finally {
        for (const other of all) if (other !== interest) other.changed = true
        if (this.#last.get(key) === mine) this.#last.delete(key)
      }
    }
    return { turn, leave }
  }
}

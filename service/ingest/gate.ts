interface Waiting {
  bytes: number
  go(granted: boolean): void
}

/** Bounds the memory of instances on their way to disk: who wants more than is left waits in order, but not for ever. */
export class MemoryGate {
  readonly #bytesMax: number
  readonly #patienceMs: number
  #bytesUsed = 0
  readonly #waiting = new Set<Waiting>()

  constructor(bytesMax: number, patienceMs: number) {
    this.#bytesMax = bytesMax
    this.#patienceMs = patienceMs
  }

  /**
   * True when `bytes` are granted, to be given back with `release`. False when they weren't in time: all of it may be
   * held by senders who have stalled, or who wait here for more themselves.
   */
  async take(bytes: number): Promise<boolean> {
    if (this.#waiting.size === 0 && this.#fits(bytes)) {
      this.#bytesUsed += bytes
      return true
    }
    return new Promise((resolve) => {
      const waiting: Waiting = { bytes, go: resolve }
      const patience = setTimeout(() => {
        this.#waiting.delete(waiting)
        resolve(false)
        this.#admit()
      }, this.#patienceMs)
      waiting.go = (granted) => {
        clearTimeout(patience)
        resolve(granted)
      }
      this.#waiting.add(waiting)
    })
  }

  release(bytes: number): void {
    this.#bytesUsed -= bytes
    this.#admit()
  }

  #admit(): void {
    for (const next of this.#waiting) {
      if (!this.#fits(next.bytes)) return
      this.#waiting.delete(next)
      this.#bytesUsed += next.bytes
      next.go(true)
    }
  }

  #fits(bytes: number): boolean {
    return this.#bytesUsed + bytes <= this.#bytesMax
  }
}

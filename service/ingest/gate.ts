/** Bounds the memory of instances on their way to disk: who wants more than is left waits, in order. */
export class MemoryGate {
  readonly #bytesMax: number
  #bytesUsed = 0
  readonly #waiting: { bytes: number; go(): void }[] = []

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytesUsed(): number {
    return this.#bytesUsed
  }

  /** Resolves when `bytes` are granted; give them back with `release`. More than the whole gate counts as all of it. */
  async take(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#bytesUsed += bytes
      return
    }
    await new Promise<void>((go) => this.#waiting.push({ bytes, go }))
  }

  release(bytes: number): void {
    this.#bytesUsed -= bytes
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#bytesUsed += next.bytes
      next.go()
    }
  }

  #fits(bytes: number): boolean {
    return this.#bytesUsed === 0 || this.#bytesUsed + bytes <= this.#bytesMax
  }
}

/** A seeded generator (mulberry32): a failing run is repeated by its seed. */
export class Random {
  #state: number
  readonly seed: number

  constructor(seed: number) {
    this.seed = seed >>> 0
    this.#state = this.seed
  }

  /** 0 <= x < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** An integer, 0 <= n < end. */
  below(end: number): number {
    return Math.floor(this.next() * end)
  }

  between(first: number, last: number): number {
    return first + this.below(last - first + 1)
  }

  pick<T>(list: readonly T[]): T {
    const one = list[this.below(list.length)]
    if (one === undefined) throw new Error('pick from an empty list')
    return one
  }

  /** Noise up to 8 KiB; beyond that the same block again and again, each copy with its offset, as this must be fast. */
  bytes(length: number): Buffer {
    const block = Buffer.allocUnsafe(Math.min(length, 8_192))
    for (let at = 0; at < block.length; at++) block.writeUInt8(this.below(256), at)
    if (length <= block.length) return block
    const bytes = Buffer.allocUnsafe(length)
    for (let at = 0; at < length; at += block.length) {
      block.copy(bytes, at)
      if (at + 4 <= length) bytes.writeUInt32LE(at, at)
    }
    return bytes
  }

  /** A UID under 2.25 (PS3.5 B.2). */
  uid(): string {
    const digits = [0, 1, 2, 3].map(() => String(this.below(1_000_000_000)).padStart(9, '0')).join('')
    return `2.25.${this.between(1, 9)}${digits}`
  }
}

/** The seed for a test: FIRN_TEST_SEED, or a new one. Print it. */
export function newSeed(): number {
  const given = process.env.FIRN_TEST_SEED
  return given === undefined ? Math.floor(Math.random() * 4_294_967_296) : Number(given)
}

type Kind = 'source' | 'study' | 'series'

const KEPT_MAX = 20_000

/**
 * Row numbers of studies, series and sources used lately, so that the thousandth slice of a series costs no look-up.
 * What a transaction finds or makes is kept for others only once it has committed.
 */
export class KeptIds {
  readonly #kept = new Map<string, number>()
  readonly #pending = new Map<string, number>()

  async of(kind: Kind, key: string, find: () => Promise<number>): Promise<number> {
    const name = `${kind} ${key}`
    const known = this.#kept.get(name) ?? this.#pending.get(name)
    if (known !== undefined) return known
    const id = await find()
    this.#pending.set(name, id)
    return id
  }

  committed(): void {
    if (this.#kept.size + this.#pending.size > KEPT_MAX) this.#kept.clear()
    for (const [name, id] of this.#pending) this.#kept.set(name, id)
    this.#pending.clear()
  }

  forget(): void {
    this.#kept.clear()
    this.#pending.clear()
  }
}

import type { CataloguePacks, Pack, PackLocation } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { Stores } from '../stores/ports.ts'

const KEPT_PACKS_MAX = 10_000

export interface PackReaderOptions {
  catalogue: Pick<CataloguePacks, 'pack'>
  stores: Stores
  warn(message: string, details: object): void
}

/** Reads byte ranges of sealed instances from whichever store has them. */
export class PackReader {
  readonly #options: PackReaderOptions
  /** In order of use, the least recent first. */
  readonly #kept = new Map<number, Pick<Pack, 'key' | 'copies'>>()

  constructor(options: PackReaderOptions) {
    this.#options = options
  }

  /** A pack is where it was, but its copies have changed. */
  forget(pack: number): void {
    this.#kept.delete(pack)
  }

  /**
   * The bytes from `start` to `end` (exclusive) of the instance at `at`. A store that fails is gone on from at another
   * one, also where the pack was moved meanwhile. Throws ArchiveError `storage_failed` when none can give them all.
   */
  async *read(at: PackLocation, start: number, end: number): AsyncGenerator<Buffer> {
    const reasons = new Map<string, string>()
    let done = start
    for (;;) {
      const { key, store: id } = await this.#untried(at.pack, reasons)
      const store = this.#options.stores.get(id)
      if (!store) {
        reasons.set(id, 'it is not configured')
        continue
      }
      try {
        const range = { start: at.offset + done, end: at.offset + end }
        const { body } = await store.adapter.get(key, { range })
        for await (const chunk of body as AsyncIterable<Buffer>) {
          done += chunk.length
          yield chunk
        }
        if (done !== end) throw new Error(`it gave ${done - start} bytes of ${end - start}`)
        return
      } catch (error) {
        const reason = (error as Error).message
        this.#options.warn('a store could not give what it holds', { store: id, key, reason })
        reasons.set(id, reason)
      }
    }
  }

  /** A store that holds the pack and wasn't tried; the catalogue is asked again before there is none. */
  async #untried(pack: number, tried: ReadonlyMap<string, string>): Promise<{ key: string; store: string }> {
    const untried = ({ copies }: Pick<Pack, 'copies'>) => copies.find(({ store }) => !tried.has(store))
    const known = await this.#pack(pack)
    const first = untried(known)
    if (first) return { key: known.key, store: first.store }
    this.forget(pack)
    const next = untried(await this.#pack(pack))
    if (next) return { key: known.key, store: next.store }
    const why = [...tried].map(([store, reason]) => `${store}: ${reason}`).join('; ') || 'no store holds it'
    throw new ArchiveError('storage_failed', `pack ${known.key} can't be read: ${why}`)
  }

  async #pack(id: number): Promise<Pick<Pack, 'key' | 'copies'>> {
    const kept = this.#kept.get(id)
    this.#kept.delete(id)
    const pack = kept ?? (await this.#options.catalogue.pack(id))
    if (!pack) throw new ArchiveError('storage_failed', `the catalogue doesn't know pack ${id}`)
    this.#kept.set(id, { key: pack.key, copies: pack.copies })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_PACKS_MAX) break
      this.#kept.delete(oldest)
    }
    return pack
  }
}

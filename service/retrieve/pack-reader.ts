import { isStorageError } from '../../storage-adapters/contract/errors.ts'
import type { CataloguePacks, Pack, PackLocation } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import { packPrefix } from '../packing/keys.ts'
import { type Store, type Stores, TIERS } from '../stores/ports.ts'
import type { BlockCache } from './block-cache.ts'
import { Recalls } from './recalls.ts'

const KEPT_PACKS_MAX = 10_000

export interface PackReaderOptions {
  catalogue: Pick<CataloguePacks, 'pack'>
  stores: Stores
  /** For packs that no store of the fastest tier holds. */
  cache?: Pick<BlockCache, 'read' | 'drop'> | undefined
  warn(message: string, details: object): void
}

type KnownPack = Pick<Pack, 'key' | 'sizeBytes' | 'copies'>

/** Reads byte ranges of sealed instances from whichever store has them. */
export class PackReader {
  readonly #options: PackReaderOptions
  /** In order of use, the least recent first. */
  readonly #kept = new Map<number, KnownPack>()
  readonly #recalls = new Recalls()

  constructor(options: PackReaderOptions) {
    this.#options = options
  }

  /** A pack is where it was, but its copies have changed. */
  forget(pack: number): void {
    this.#kept.delete(pack)
  }

  /** Nothing of a study that was destroyed stays in the cache. */
  async forgetStudy(studyUid: string): Promise<void> {
    await this.#options.cache?.drop(packPrefix(studyUid).slice(0, -1))
  }

  /**
   * The bytes from `start` to `end` (exclusive) of the instance at `at`. A store that fails is gone on from at another
   * one, also where the pack was moved meanwhile. Throws ArchiveError `storage_failed` when none can give them all,
   * `unavailable` while it is recalled from a cold store.
   */
  async *read(at: PackLocation, start: number, end: number): AsyncGenerator<Buffer> {
    const { cache } = this.#options
    const pack = await this.#pack(at.pack)
    if (!cache || start === end || !this.#isSlow(pack)) return yield* this.readUncached(at, start, end)
    const fetch = (from: number, to: number) => this.readUncached({ pack: at.pack, offset: 0 }, from, to)
    yield* cache.read(pack, at.offset + start, at.offset + end, fetch)
  }

  /** As `read`, for those who read a whole pack once. */
  async *readUncached(at: PackLocation, start: number, end: number): AsyncGenerator<Buffer> {
    const reasons = new Map<string, string>()
    let recalled: string | undefined
    let done = start
    for (;;) {
      const { key, store: id } = await this.#untried(at.pack, reasons, recalled)
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
        reasons.set(id, reason)
        if (isStorageError(error, 'recall_needed') && (await this.#recall(store, key))) recalled = id
        else this.#options.warn('a store could not give what it holds', { store: id, key, reason })
      }
    }
  }

  /** A store that holds the pack and wasn't tried; the catalogue is asked again before there is none. */
  async #untried(
    pack: number,
    tried: ReadonlyMap<string, string>,
    recalled: string | undefined,
  ): Promise<{ key: string; store: string }> {
    const untried = ({ copies }: Pick<Pack, 'copies'>) => this.#best(copies.filter(({ store }) => !tried.has(store)))
    const known = await this.#pack(pack)
    const first = untried(known)
    if (first) return { key: known.key, store: first.store }
    this.forget(pack)
    const next = untried(await this.#pack(pack))
    if (next) return { key: known.key, store: next.store }
    if (recalled !== undefined) {
      throw new ArchiveError(
        'unavailable',
        `pack ${known.key} is being recalled from store ${recalled}; ask again later`,
      )
    }
    const why = [...tried].map(([store, reason]) => `${store}: ${reason}`).join('; ') || 'no store holds it'
    throw new ArchiveError('storage_failed', `pack ${known.key} can't be read: ${why}`)
  }

  /** Those that work first, and of them the fastest. */
  #best<Copy extends { store: string }>(copies: readonly Copy[]): Copy | undefined {
    const cost = ({ store: id }: Copy): number => {
      const store = this.#options.stores.get(id)
      return store ? TIERS.indexOf(store.tier) + (store.trouble === undefined ? 0 : TIERS.length) : 2 * TIERS.length
    }
    return [...copies].sort((a, b) => cost(a) - cost(b))[0]
  }

  #isSlow({ copies }: KnownPack): boolean {
    const { stores } = this.#options
    return !copies.some(({ store }) => stores.get(store)?.tier === 'online')
  }

  async #recall(store: Store, key: string): Promise<boolean> {
    return this.#recalls.request(store, key).catch((error: Error) => {
      this.#options.warn('a recall could not be asked for', { store: store.id, key, reason: error.message })
      return false
    })
  }

  async #pack(id: number): Promise<KnownPack> {
    const kept = this.#kept.get(id)
    this.#kept.delete(id)
    const pack = kept ?? (await this.#options.catalogue.pack(id))
    if (!pack) throw new ArchiveError('storage_failed', `the catalogue doesn't know pack ${id}`)
    this.#kept.set(id, { key: pack.key, sizeBytes: pack.sizeBytes, copies: pack.copies })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_PACKS_MAX) break
      this.#kept.delete(oldest)
    }
    return pack
  }
}

import { requestPermit } from '../../retention/gate.ts'
import { bodyOf } from '../../storage-adapters/contract/body.ts'
import { isStorageError } from '../../storage-adapters/contract/errors.ts'
import type { Source } from '../../storage-adapters/contract/source.ts'
import type { CataloguePacks, Pack } from '../catalogue/ports.ts'
import type { CatalogueTiers } from '../catalogue/tier-ports.ts'
import { ArchiveError } from '../errors.ts'
import { SYSTEM } from '../events/event.ts'
import type { RecordEvents } from '../events/ports.ts'
import type { KeepingFacts } from '../retention/ports.ts'
import type { PackReader } from '../retrieve/pack-reader.ts'
import type { Stores } from '../stores/ports.ts'
import type { Placement, Where } from './placement.ts'
import { AwaitsRecall, type CopyState, putAndReadBack, readBack } from './read-back.ts'
import { whyLocked } from './worm/why-locked.ts'

export interface CopiesOptions {
  catalogue: Pick<CataloguePacks, 'addPack' | 'dropCopy' | 'pack'>
  stores: Stores
  packs: Pick<PackReader, 'readUncached' | 'forget'>
  placement: Placement
  events: RecordEvents
  facts: KeepingFacts
  /** Where it is noted what is about to be removed. Default nowhere. */
  leftovers?: Pick<CatalogueTiers, 'noteLeftover' | 'forgetLeftover'>
  warn(message: string, details: object): void
}

/** Copies of packs: read again, made, freed. What drain, scrub and repair are made of. */
export class Copies {
  readonly #options: CopiesOptions
  /** One at a time for each pack. */
  readonly #freeing = new Map<number, Promise<void>>()

  constructor(options: CopiesOptions) {
    this.#options = options
  }

  /** Reads one copy to its end and notes what was found, in the event log and, where it is intact, in the catalogue. */
  async check(pack: Pack, store: string, options: { recall?: boolean } = {}): Promise<CopyState> {
    const { stores, events, warn } = this.#options
    const { state, found } = await readBack(stores.get(store), pack, options)
    if (state === 'unreadable') {
      warn('a store could not give what it holds', { store, key: pack.key, reason: found })
      return state
    }
    await events.append({
      kind: 'pack.verified',
      actor: SYSTEM,
      subject: subjectOf(pack, store),
      data: { store, sizeBytes: pack.sizeBytes, intact: state === 'intact', ...(found ? { found } : {}) },
    })
    if (state === 'intact') await this.#note(pack, store)
    else warn('a copy of a pack is damaged', { store, key: pack.key, found })
    return state
  }

  /**
   * A further copy in a store that has none, but for those `except`, made of those that there are, and read back. Resolves
   * with its store. Default `where`: the pack's own tier, as a repair. Throws ArchiveError `out_of_space`, `unavailable`
   * when no store is left, `busy` when a cold one has it and must recall it before it counts.
   */
  add(pack: Pack, except: ReadonlySet<string>, where?: Where): Promise<string> {
    return this.#options.facts.during(pack.studyUid, () => this.#add(pack, except, where))
  }

  async #add(pack: Pack, except: ReadonlySet<string>, where?: Where): Promise<string> {
    const { placement, events, packs, warn } = this.#options
    const into = where ?? { tier: placement.tiers.of(pack), repair: true }
    const tried = new Set([...except, ...pack.copies.map(({ store }) => store)])
    let recalling: AwaitsRecall | undefined
    for (;;) {
      const store = await placement.choose(pack.sizeBytes, tried, into).catch((error) => {
        // It waits for no room: the others may be tried.
        throw recalling ? new ArchiveError('busy', recalling.message) : error
      })
      tried.add(store.id)
      try {
        await putAndReadBack(store, pack.key, this.#source(pack))
      } catch (error) {
        if (isStorageError(error, 'aborted')) throw error
        if (error instanceof AwaitsRecall) recalling = error
        warn('a store did not take a pack', { store: store.id, key: pack.key, reason: (error as Error).message })
        continue
      }
      const { sizeBytes } = pack
      await events.append({
        kind: 'pack.placed',
        actor: SYSTEM,
        subject: subjectOf(pack, store.id),
        data: { store: store.id, sizeBytes },
      })
      await this.#note(pack, store.id)
      packs.forget(pack.id)
      return store.id
    }
  }

  #source({ id, sizeBytes, sha256 }: Pack): Source {
    const { packs } = this.#options
    return { sizeBytes, sha256, open: () => bodyOf(packs.readUncached({ pack: id, offset: 0 }, 0, sizeBytes)) }
  }

  async #note(pack: Pack, store: string): Promise<void> {
    await this.#options.catalogue.addPack({
      ...pack,
      instances: [],
      copies: [{ store, verifiedAt: new Date().toISOString() }],
    })
  }

  /** From now on nobody reads this copy; its bytes stay where they are, as evidence. */
  async disown(pack: Pack, store: string): Promise<void> {
    await this.#options.catalogue.dropCopy(pack.id, store)
    this.#options.packs.forget(pack.id)
  }

  /**
   * Frees a copy, if `copiesMin` other stores give the pack back whole, now. Throws ArchiveError `forbidden` where they
   * don't: then it stays.
   */
  async free(pack: Pack, from: string, copiesMin: number, reason: string): Promise<void> {
    const before = this.#freeing.get(pack.id)
    const work = (before ?? Promise.resolve())
      .catch(() => undefined)
      .then(async () => {
        // As it is now: two copies must not be freed because of each other.
        const now = await this.#options.catalogue.pack(pack.id)
        if (now) await this.#free(now, from, copiesMin, reason)
      })
    this.#freeing.set(pack.id, work)
    try {
      await work
    } finally {
      if (this.#freeing.get(pack.id) === work) this.#freeing.delete(pack.id)
    }
  }

  async #free(pack: Pack, from: string, copiesMin: number, reason: string): Promise<void> {
    const { stores, events, facts, leftovers } = this.#options
    await this.#assertUnlocked(pack, from)
    const copies: { place: string; key: string; sha256: string; verifiedAtMs: number }[] = []
    for (const { store } of pack.copies) {
      if (store === from || copies.length >= copiesMin) continue
      if ((await this.check(pack, store, { recall: true })) !== 'intact') continue
      copies.push({ place: store, key: pack.key, sha256: pack.sha256, verifiedAtMs: facts.nowMs() })
    }
    const { key, sha256, sizeBytes } = pack
    const answer = requestPermit(
      {
        ground: 'copies_elsewhere',
        object: { place: from, key, sha256 },
        copies,
        condemned: [],
        copiesMin,
        held: await facts.isHeld([pack.studyUid]),
        movesHeld: facts.movesHeld,
        nowMs: facts.nowMs(),
      },
      new Date(),
    )
    if (!answer.allowed) {
      throw new ArchiveError('forbidden', `${key} stays in ${from}: ${answer.codes.join(', ')} (${copiesMin} wanted)`)
    }
    const leftover = { pack: pack.id, store: from }
    await leftovers?.noteLeftover(leftover)
    await this.disown(pack, from)
    await events.append({
      kind: 'pack.freed',
      actor: SYSTEM,
      subject: subjectOf(pack, from),
      data: { store: from, sizeBytes, permit: answer.permit.id, reason },
    })
    await stores
      .get(from)
      ?.adapter.remove(key, answer.permit)
      .catch((error) => {
        if (!isStorageError(error, 'not_found')) throw error
      })
    await leftovers?.forgetLeftover(leftover)
  }

  /** A copy whose store would refuse must stay known: what was let go of and is still there would be nobody's. */
  async #assertUnlocked({ key }: Pack, from: string): Promise<void> {
    const adapter = this.#options.stores.get(from)?.adapter
    const why = adapter && (await whyLocked(adapter, key, Date.now()))
    if (why === undefined) return
    throw new ArchiveError('forbidden', `${key} stays in ${from}: the store locks it ${why}`)
  }
}

const subjectOf = ({ studyUid, sha256 }: Pack, store: string) => ({ study: studyUid, pack: sha256, store })

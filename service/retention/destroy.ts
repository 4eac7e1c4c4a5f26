import { digestOf } from '../../retention/canonical.ts'
import { certify, type DestructionReceipt, type Disposition, instancesDigest } from '../../retention/disposition.ts'
import { requestPermit } from '../../retention/gate.ts'
import type { Decision } from '../../retention/policy.ts'
import { fromRecord } from '../../retention/record.ts'
import type { Standing } from '../../retention/standing.ts'
import { isStorageError } from '../../storage-adapters/contract/errors.ts'
import type { CataloguePacks } from '../catalogue/ports.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { ArchiveError } from '../errors.ts'
import type { JsonObject } from '../events/canonical.ts'
import { SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import { packPrefix, parsePackKey } from '../packing/keys.ts'
import { readIndex } from '../packing/read.ts'
import type { Store, Stores } from '../stores/ports.ts'
import { type FoldedDisposition, foldDisposition } from './fold.ts'
import type { StudyGuard } from './guard.ts'
import type { Policies } from './policies.ts'
import type { Sites } from './ports.ts'
import { notFound, type Recorder } from './record.ts'

export interface DestroyerOptions {
  catalogue: CatalogueRetention
  packs: Pick<CataloguePacks, 'packs'>
  recorder: Recorder
  policies: Policies
  sites: Sites
  stores: Stores
  guard: StudyGuard
  /** Why a store would refuse to let go of a study's packs, by its own lock. */
  locks?: { blocks(studyUid: string): Promise<string | undefined> } | undefined
  /** Segments of the landing that hold anything of the study, with its digests. */
  landingSegments(studyUid: string): Promise<ReadonlyMap<number, { digests: ReadonlySet<string> }>>
  /** Caches of what is gone. */
  forget(studyUid: string): Promise<void>
  warn(message: string, details: object): void
}

const PAGE = 100
const PACKS_MAX = 100_000
/** What an event has room for; all of them are in the event log. */
const PERMITS_MAX = 1000

interface Committed {
  id: string
  disposition: Disposition
  decision: Decision
  digests: string[]
  bytes: number
  uids: number
}

/**
 * Carries out what has committed, and only that: takes the study out of the catalogue, then frees its packs in every store,
 * each under a permit of its own, then looks whether anything is left, then certifies. Each step may be done again, so after
 * a crash, or when a store is back that was away, it is simply done from the beginning.
 */
export class Destroyer {
  readonly #options: DestroyerOptions
  readonly #underway = new Map<string, Promise<void>>()
  readonly #stuck = new Map<string, string>()

  constructor(options: DestroyerOptions) {
    this.#options = options
  }

  /** Destructions that have committed and can't be ended now, with the reason. */
  get troubles(): string[] {
    return [...this.#stuck].map(([id, reason]) => `disposition ${id} is not carried out to its end: ${reason}`)
  }

  async isCommitted(id: string): Promise<boolean> {
    const state = (await this.#folded(id)).disposition.state
    return state === 'destroying' || state === 'certified'
  }

  /**
   * Whether everything could be destroyed now: what can't be reached must not keep a destruction from its end, once it has
   * committed. Throws ArchiveError `conflict` with what to do.
   */
  async assertReachable(studyUid: string): Promise<void> {
    const { packs, stores, locks } = this.#options
    for (const store of stores.all) {
      if (store.trouble !== undefined) await store.tryAgain()
      if (store.trouble !== undefined) throw new ArchiveError('conflict', `store ${store.id} is away: ${store.trouble}`)
    }
    for (const { key, copies } of await packs.packs({ studyUid, limit: PACKS_MAX })) {
      const unknown = copies.find((copy) => !stores.get(copy.store))
      if (unknown) {
        throw new ArchiveError(
          'conflict',
          `${key} is in the store ${unknown.store} too, which is not configured: add it`,
        )
      }
    }
    const locked = await locks?.blocks(studyUid)
    if (locked !== undefined) throw new ArchiveError('conflict', `${locked}; it can be destroyed after that`)
  }

  /** Goes on with everything that has committed. Never rejects. */
  async resume(): Promise<void> {
    const { catalogue, warn } = this.#options
    try {
      for (let after = ''; ; ) {
        const page = await catalogue.dispositions({ state: 'destroying' }, { after, limit: PAGE })
        for (const { id } of page) await this.destroy(id).catch(() => undefined)
        if (page.length < PAGE) return
        after = page.at(-1)?.id ?? ''
      }
    } catch (error) {
      warn('destructions could not be gone on with', { reason: (error as Error).message })
    }
  }

  /** Throws ArchiveError `unavailable` where a store can't be asked, `forbidden` where the gate refuses. */
  destroy(id: string): Promise<void> {
    const underway = this.#underway.get(id)
    if (underway) return underway
    const work = this.#destroy(id)
      .then(
        () => void this.#stuck.delete(id),
        (error: Error) => {
          this.#stuck.set(id, error.message)
          this.#options.warn('a destruction is not at its end; it is gone on with', { id, reason: error.message })
          throw error
        },
      )
      .finally(() => this.#underway.delete(id))
    this.#underway.set(id, work)
    return work
  }

  async #destroy(id: string): Promise<void> {
    const { catalogue, forget, guard, recorder, sites } = this.#options
    const committed = await this.#committed(id)
    const { studyUid } = committed.disposition.subject
    // It may have committed elsewhere, and the gate would refuse every permit: then nothing is forgotten either.
    if ((await sites.clocks()).length < sites.all().length) {
      throw new ArchiveError('unavailable', "the other site's clock is not known")
    }
    await guard.close(studyUid)
    await catalogue.forgetDoomed(id)
    await forget(studyUid)
    for (const store of this.#options.stores.all) await this.#freeIn(store, committed)
    await this.#assertNothingLeft(committed)
    const receipts = [await this.#receipt(committed), ...(await sites.receipts(committed.disposition))]
    const names = sites.all().map(({ site }) => site)
    const { certificate } = certify(committed.disposition, names, receipts, new Date().toISOString())
    await recorder.record({
      kind: 'disposition.destroyed',
      actor: SYSTEM,
      subject: { disposition: id, study: studyUid },
      data: {
        proposal: certificate.proposal,
        instances: certificate.subject.instances,
        bytes: committed.bytes,
        digest: digestOf(certificate),
        receipts: { receipts: receipts as unknown as JsonObject[] },
        certificate: certificate as unknown as JsonObject,
      },
    })
    // What comes under the study's name from now on is another matter.
    guard.open(studyUid)
  }

  async #folded(id: string): Promise<FoldedDisposition> {
    const stored = await this.#options.catalogue.disposition(id)
    const folded = stored && foldDisposition(id, stored.studyUid, stored.records)
    if (!folded) throw notFound(`there is no disposition ${id}`)
    return folded
  }

  async #committed(id: string): Promise<Committed> {
    const { catalogue, policies } = this.#options
    const { disposition, decision: record } = await this.#folded(id)
    if (disposition.state !== 'destroying' || !record)
      throw new ArchiveError('conflict', `disposition ${id} has not committed`)
    const decision = fromRecord(record, await policies.ever())
    const digests = new Set<string>()
    let bytes = 0
    let uids = 0
    for await (const one of catalogue.doomed(id)) {
      digests.add(one.sha256)
      bytes += one.sizeBytes
      uids += 1
    }
    return { id, disposition, decision, digests: [...digests], bytes, uids }
  }

  /**
   * What the gate judges by now. Holds count until the commit, which looked at them while none could be placed; the clocks
   * count to the end.
   */
  async #standing({ decision }: Committed): Promise<Standing> {
    const { sites } = this.#options
    const names = sites.all().map(({ site }) => site)
    return { decision, holds: [], sites: names, clocks: await sites.clocks() }
  }

  async #freeIn(store: Store, committed: Committed): Promise<void> {
    const { recorder } = this.#options
    const { studyUid } = committed.disposition.subject
    for (const { key, sizeBytes } of await this.#objectsIn(store, committed)) {
      const sha256 = parsePackKey(key)?.sha256 ?? ''
      const answer = requestPermit(
        {
          ground: 'disposition',
          object: { place: store.id, key, sha256 },
          // A pack's key names its study, and a pack never holds another's.
          holdsInstances: (await contentOf(store, key, sizeBytes)) ?? committed.digests,
          disposition: committed.disposition,
          standing: await this.#standing(committed),
          instances: committed.digests,
        },
        new Date(),
      )
      if (!answer.allowed) {
        throw new ArchiveError('forbidden', `${key} stays in ${store.id}: ${answer.codes.join(', ')}`)
      }
      const freed: KnownEvent = {
        kind: 'pack.freed',
        actor: SYSTEM,
        subject: { study: studyUid, pack: sha256, store: store.id, disposition: committed.id },
        data: { store: store.id, sizeBytes, permit: answer.permit.id, reason: `disposition ${committed.id}` },
      }
      await recorder.record(freed)
      await store.adapter.remove(key, answer.permit).catch((error) => {
        if (isStorageError(error, 'not_found')) return
        throw new ArchiveError('unavailable', `${store.id} does not free ${key}: ${(error as Error).message}`)
      })
    }
  }

  /** Packs of the study that hold anything of what is to be destroyed, known to the catalogue or not. */
  async #objectsIn(store: Store, { disposition, digests }: Committed) {
    if (store.trouble !== undefined) await store.tryAgain()
    if (store.trouble !== undefined)
      throw new ArchiveError('unavailable', `store ${store.id} is away: ${store.trouble}`)
    const doomed = new Set(digests)
    const found: { key: string; sizeBytes: number }[] = []
    try {
      for await (const { key, sizeBytes } of store.adapter.list({ prefix: packPrefix(disposition.subject.studyUid) })) {
        const content = await contentOf(store, key, sizeBytes)
        if (!content || content.some((sha256) => doomed.has(sha256))) found.push({ key, sizeBytes })
      }
    } catch (error) {
      throw new ArchiveError('unavailable', `store ${store.id} can't be asked: ${(error as Error).message}`)
    }
    return found
  }

  async #assertNothingLeft(committed: Committed): Promise<void> {
    const { landingSegments, stores } = this.#options
    const { studyUid } = committed.disposition.subject
    for (const store of stores.all) {
      const [left] = await this.#objectsIn(store, committed)
      if (left) throw new ArchiveError('storage_failed', `${left.key} is still in ${store.id}`)
    }
    for (const [segment, { digests }] of await landingSegments(studyUid)) {
      if (committed.digests.some((sha256) => digests.has(sha256))) {
        throw new ArchiveError('storage_failed', `segment ${segment} of the landing still holds some of it`)
      }
    }
  }

  async #receipt({ id, disposition, digests }: Committed): Promise<DestructionReceipt> {
    const [own] = this.#options.sites.all()
    return {
      site: own?.site ?? '',
      generation: own?.generation ?? '',
      proposal: disposition.proposal ?? 0,
      instances: digests.length,
      instancesDigest: instancesDigest(digests),
      permits: await this.#permits(id),
      at: new Date().toISOString(),
    }
  }

  async #permits(id: string): Promise<string[]> {
    const records = (await this.#options.catalogue.disposition(id))?.records ?? []
    return records
      .flatMap(({ kind, data }) => (kind === 'pack.freed' ? [String(data.permit)] : []))
      .slice(0, PERMITS_MAX)
  }
}

/** Digests of the instances in a pack; undefined where it is too damaged to tell. */
async function contentOf({ adapter }: Store, key: string, sizeBytes: number): Promise<string[] | undefined> {
  const read = async function* (start: number, end: number): AsyncGenerator<Buffer> {
    const { body } = await adapter.get(key, { range: { start, end } })
    yield* body as AsyncIterable<Buffer>
  }
  try {
    return (await readIndex(read, sizeBytes)).instances.map(({ sha256 }) => sha256)
  } catch (error) {
    if (isStorageError(error) && !isStorageError(error, 'not_found')) throw error
    return undefined
  }
}

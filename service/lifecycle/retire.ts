import { createHash } from 'node:crypto'
import { type DoomedObject, requestPermit } from '../../retention/gate.ts'
import type { Permit } from '../../storage-adapters/contract/permit.ts'
import type { CataloguePacks, Pack } from '../catalogue/ports.ts'
import { SYSTEM } from '../events/event.ts'
import type { RecordEvents } from '../events/ports.ts'
import { segmentKey, segmentPath } from '../landing/files.ts'
import type { Landing } from '../landing/landing.ts'
import { scanSegment } from '../landing/scan.ts'
import { studyOfMember } from '../landing/tar.ts'
import type { KeepingFacts } from '../retention/ports.ts'
import type { Stores } from '../stores/ports.ts'
import { readBack } from './read-back.ts'
import type { Tiers } from './tiers/tiers.ts'

/** What could not be read, or retired, is not read again and again. */
const PAUSE_MS = 10 * 60_000
const UNREAD_MAX = 10_000

export interface RetirerOptions {
  catalogue: Pick<
    CataloguePacks,
    'retirableSegments' | 'retiredSegments' | 'retireSegment' | 'segmentRemoved' | 'packsOf' | 'pack'
  >
  landing: Pick<Landing, 'folder' | 'removeSegment' | 'hasSegment'>
  stores: Stores
  events: RecordEvents
  facts: KeepingFacts
  tiers: Pick<Tiers, 'copiesOf'>
  /** How long the landing keeps what is sealed. */
  keepMs: number
  warn(message: string, details: object): void
}

/** That all of a segment is elsewhere too. */
interface Proof {
  permit: Permit
  instances: number
  packs: number[]
}

/** The event's list is bounded; the catalogue knows the rest. */
const PACKS_NAMED_MAX = 1000

/**
 * Lets go of segments of the landing that are wholly in packs. What counts is what the segment's file holds, read again:
 * every member's digest must be in a pack that enough stores give back whole, read again too: what they held when it was
 * sealed proves nothing of a disk that was swapped or emptied since. A segment with anything else in it (damage, an instance
 * that the catalogue refuses) stays.
 */
export class Retirer {
  readonly #options: RetirerOptions
  /** Segments that stay, and until when they are not looked at again. */
  readonly #kept = new Map<number, number>()
  /** Of those that stay, the last one for each. */
  readonly #reasons = new Map<number, string>()
  /** Packs that a store did not give back whole, by store and key, and until when they are not read again. */
  readonly #unread = new Map<string, number>()
  /** Packs that were read again in this run, by store and key: several segments hold parts of them. */
  #proved = new Map<string, Promise<number | undefined>>()

  constructor(options: RetirerOptions) {
    this.#options = options
  }

  /** Resolves with the number of segments that are gone. */
  async run(now = Date.now()): Promise<number> {
    const { catalogue, keepMs } = this.#options
    this.#proved = new Map()
    let removed = 0
    // A crash came between.
    for (const segment of await catalogue.retiredSegments()) {
      if (await this.#attempt(segment, () => this.#remove(segment))) removed += 1
    }
    const packedBefore = new Date(now - keepMs).toISOString()
    for (const segment of await catalogue.retirableSegments(packedBefore)) {
      if (await this.#attempt(segment, () => this.#retire(segment))) removed += 1
    }
    return removed
  }

  /** Retires these now, however new they are. Resolves with the reasons of those that stay. */
  async retire(segments: readonly number[]): Promise<ReadonlyMap<number, string>> {
    this.#proved = new Map()
    for (const segment of segments) {
      this.#kept.delete(segment)
      this.#reasons.delete(segment)
      await this.#attempt(segment, () => this.#retire(segment))
    }
    return new Map([...this.#reasons].filter(([segment]) => segments.includes(segment)))
  }

  async #retire(segment: number): Promise<boolean> {
    const proof = await this.#proof(segment)
    if (!proof) return false
    await this.#options.catalogue.retireSegment(segment)
    return this.#remove(segment, proof)
  }

  /** What goes wrong with one segment, missing or unreadable, must not keep the others. */
  async #attempt(segment: number, act: () => Promise<boolean>): Promise<boolean> {
    if ((this.#kept.get(segment) ?? 0) > Date.now()) return false
    try {
      return await act()
    } catch (error) {
      this.#keep(segment, (error as Error).message, PAUSE_MS)
      return false
    }
  }

  async #remove(segment: number, proved?: Proof): Promise<boolean> {
    const { catalogue, landing, events } = this.#options
    if (await landing.hasSegment(segment)) {
      const proof = proved ?? (await this.#proof(segment))
      if (!proof) return false
      const { permit, instances, packs } = proof
      await events.append({
        kind: 'landing.freed',
        actor: SYSTEM,
        subject: {},
        data: { segment, instances, permit: permit.id, packs: packs.slice(0, PACKS_NAMED_MAX).map(String) },
      })
      await landing.removeSegment(segment, permit)
    }
    await catalogue.segmentRemoved(segment)
    this.#reasons.delete(segment)
    return true
  }

  /** Undefined, with a warning, where anything in the segment is nowhere else. */
  async #proof(segment: number): Promise<Proof | undefined> {
    const { catalogue, landing } = this.#options
    const digests: string[] = []
    const studies = new Set<string>()
    for await (const { found, gap } of scanSegment(segmentPath(landing.folder, segment))) {
      if (gap) return this.#keep(segment, `bytes ${gap.start} to ${gap.end} are no instance`)
      digests.push(found.member.note.sha256)
      studies.add(studyOfMember(found.member.name))
    }
    const packsOf = await catalogue.packsOf(digests)
    const missing = digests.find((digest) => !packsOf.has(digest))
    if (missing !== undefined) return this.#keep(segment, `no pack holds the instance with SHA-256 ${missing}`)
    const object = { place: 'landing', key: segmentKey(segment), sha256: contentDigest(digests) }
    const packs = [...new Set(packsOf.values())]
    const held = await this.#options.facts.isHeld([...studies])
    const permit = await this.#ask(object, packs, held)
    if (!permit) {
      const reason = held && !this.#options.facts.movesHeld ? 'a study in it is held' : 'too few stores have its packs'
      return this.#keep(segment, reason, 0)
    }
    return { permit, instances: digests.length, packs }
  }

  /** All packs must be elsewhere; the gate is asked for each of them. */
  async #ask(object: DoomedObject, packs: readonly number[], held: boolean): Promise<Permit | undefined> {
    const { catalogue, tiers, facts } = this.#options
    let permit: Permit | undefined
    for (const id of packs) {
      const pack = await catalogue.pack(id)
      const copies = pack && (await this.#copiesNow(pack))
      if (!copies) return undefined
      const answer = requestPermit(
        {
          ground: 'copies_elsewhere',
          object,
          copies: copies.map((copy) => ({ ...copy, key: pack.key, sha256: object.sha256 })),
          condemned: [],
          copiesMin: tiers.copiesOf(pack),
          held,
          movesHeld: facts.movesHeld,
          nowMs: facts.nowMs(),
        },
        new Date(),
      )
      if (!answer.allowed) return undefined
      permit = answer.permit
    }
    return permit
  }

  #keep(segment: number, reason: string, forMs = Number.POSITIVE_INFINITY): undefined {
    if (!this.#kept.has(segment)) this.#options.warn('a sealed segment stays in the landing', { segment, reason })
    this.#kept.set(segment, Date.now() + forMs)
    this.#reasons.set(segment, reason)
  }

  /** Those that are whole now; undefined where too few stores have it for a closer look to be worth it. */
  async #copiesNow(pack: Pack): Promise<{ place: string; verifiedAtMs: number }[] | undefined> {
    const there: string[] = []
    for (const { store } of pack.copies) if (await this.#isThere(pack, store)) there.push(store)
    if (there.length < this.#options.tiers.copiesOf(pack)) return undefined
    const copies: { place: string; verifiedAtMs: number }[] = []
    for (const store of there) {
      const name = `${store} ${pack.key}`
      const proving = this.#proved.get(name) ?? this.#readAgain(pack, store)
      this.#proved.set(name, proving)
      const verifiedAtMs = await proving
      if (verifiedAtMs !== undefined) copies.push({ place: store, verifiedAtMs })
    }
    return copies
  }

  async #isThere({ key, sizeBytes }: Pack, id: string): Promise<boolean> {
    if ((this.#unread.get(`${id} ${key}`) ?? 0) > Date.now()) return false
    const store = this.#options.stores.get(id)
    const stat = await store?.adapter.stat(key).catch(() => undefined)
    return stat?.sizeBytes === sizeBytes
  }

  /** When the store gave it back whole. */
  async #readAgain(pack: Pack, id: string): Promise<number | undefined> {
    const { stores, warn } = this.#options
    const { state, found } = await readBack(stores.get(id), pack)
    if (state === 'intact') return this.#options.facts.nowMs()
    warn('a store does not give back a pack', { store: id, key: pack.key, state, found })
    if (this.#unread.size >= UNREAD_MAX) this.#unread.clear()
    this.#unread.set(`${id} ${pack.key}`, Date.now() + PAUSE_MS)
    return undefined
  }
}

/** What a segment holds, in one digest: that of the digests of its members in their order. */
function contentDigest(digests: readonly string[]): string {
  return createHash('sha256').update(digests.join('\n')).digest('hex')
}

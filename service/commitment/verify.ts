import { createHash } from 'node:crypto'
import { type InstanceRecord, isPacked, type LandingLocation, type Pack } from '../catalogue/ports.ts'
import { isArchiveError } from '../errors.ts'
import type { CopyState } from '../lifecycle/read-back.ts'
import type { Pace } from './pace.ts'
import type { CopiesOf, Finding, PeerReceipts, Reference, Requester, Verify } from './ports.ts'

export interface VerifierOptions {
  catalogue: CopiesOf
  landing: { read(at: LandingLocation, start: number, end: number): AsyncIterable<Buffer> }
  packs: { pack(id: number): Promise<Pack | undefined> }
  /** Reads a copy of a pack whole, compares, and notes what was found. */
  check(pack: Pack, store: string): Promise<CopyState>
  /** The other site; undefined where there is none. */
  peers: PeerReceipts | undefined
  /** A copy of a pack that was read back within so long counts. */
  verifiedWithinMs: number
  pace: Pace
  warn(message: string, details: object): void
}

const COMMITTED: Finding = { verdict: 'committed' }
const PROCESSING_FAILURE: Finding = { verdict: 'failed', reason: 'processing_failure' }

/**
 * Decides from stored bytes. What is in the landing is read and hashed, now, which is always after it was stored. What is
 * in a pack counts when a copy of the pack was read back whole lately, or is now. With another site its receipt is wanted
 * too, and asked for first: while it is missing nothing is read.
 */
export class Verifier implements Verify {
  readonly #options: VerifierOptions

  constructor(options: VerifierOptions) {
    this.#options = options
  }

  async verify(references: readonly Reference[], requester: Requester): Promise<Finding[]> {
    const { catalogue } = this.#options
    const uids = [...new Set(references.map(({ sopInstanceUid }) => sopInstanceUid))]
    const { served, conflicting } = await catalogue.copiesOf(uids)
    const copies = new Map(served.map((record) => [record.sopInstanceUid, record]))
    const others = new Map<string, InstanceRecord[]>()
    for (const copy of conflicting) others.set(copy.sopInstanceUid, [...(others.get(copy.sopInstanceUid) ?? []), copy])
    const confirmed = await this.#confirmed(served)
    const packs = new Map<number, Promise<Finding>>()
    const findings: Finding[] = []
    for (const reference of references) {
      const record = copies.get(reference.sopInstanceUid)
      const refused = refusal(reference, record, others.get(reference.sopInstanceUid) ?? [], requester)
      if (refused) findings.push(refused)
      else if (confirmed && !confirmed.has((record as InstanceRecord).sha256)) {
        findings.push({ verdict: 'pending', why: 'peer' })
      } else findings.push(await this.#stored(record as InstanceRecord, packs))
    }
    return findings
  }

  /** Digests that the other site has confirmed: none while it can't be asked. Undefined where there is no other site. */
  async #confirmed(records: readonly InstanceRecord[]): Promise<ReadonlySet<string> | undefined> {
    const { peers, warn } = this.#options
    if (!peers) return undefined
    try {
      return await peers.confirmed(records.map(({ sha256 }) => sha256))
    } catch (error) {
      warn('the other site could not be asked what it holds', { reason: (error as Error).message })
      return new Set()
    }
  }

  async #stored(record: InstanceRecord, packs: Map<number, Promise<Finding>>): Promise<Finding> {
    const { location } = record
    if (!isPacked(location)) return this.#landed(record, location, packs)
    const finding = packs.get(location.pack) ?? this.#packed(location.pack)
    packs.set(location.pack, finding)
    return finding
  }

  async #landed(record: InstanceRecord, at: LandingLocation, packs: Map<number, Promise<Finding>>): Promise<Finding> {
    const { landing, pace, warn, catalogue } = this.#options
    const { sha256, sizeBytes, sopInstanceUid } = record
    const hash = createHash('sha256')
    try {
      for await (const chunk of landing.read(at, 0, sizeBytes)) {
        hash.update(chunk)
        await pace.took(chunk.length)
      }
    } catch (error) {
      if (!isArchiveError(error)) throw error
      // It may have been sealed and let go of meanwhile.
      const { served } = await catalogue.copiesOf([sopInstanceUid])
      const now = served.find((one) => one.sha256 === sha256)
      if (now && isPacked(now.location)) return this.#stored(now, packs)
      warn('an instance can not be committed: the landing can not give it', { sha256, reason: error.message })
      return PROCESSING_FAILURE
    }
    if (hash.digest('hex') === sha256) return COMMITTED
    warn('an instance can not be committed: it is damaged in the landing', { sha256, location: at })
    return PROCESSING_FAILURE
  }

  async #packed(id: number): Promise<Finding> {
    const { packs, check, verifiedWithinMs, pace, warn } = this.#options
    const pack = await packs.pack(id)
    const ageMs = (verifiedAt: string) => Date.now() - Date.parse(verifiedAt)
    const isFresh = (ms: number) => ms >= 0 && ms < verifiedWithinMs
    if (pack?.copies.some(({ verifiedAt }) => isFresh(ageMs(verifiedAt)))) return COMMITTED
    let unreadable = false
    for (const { store } of pack?.copies ?? []) {
      const state = await check(pack as Pack, store)
      if (state === 'intact') {
        await pace.took((pack as Pack).sizeBytes)
        return COMMITTED
      }
      unreadable ||= state === 'unreadable'
    }
    if (unreadable) return { verdict: 'pending', why: 'unreadable' }
    warn('instances can not be committed: no store has their pack whole', { pack: pack?.key ?? id })
    return PROCESSING_FAILURE
  }
}

/** What needs no look at the bytes; undefined where one is needed. */
function refusal(
  { sopClassUid, studyUid, seriesUid }: Reference,
  record: InstanceRecord | undefined,
  conflicting: readonly InstanceRecord[],
  requester: Requester,
): Finding | undefined {
  if (!record) return conflicting.length > 0 ? PROCESSING_FAILURE : { verdict: 'pending', why: 'absent' }
  if (record.sopClassUid !== sopClassUid) return { verdict: 'failed', reason: 'class_conflict' }
  const isElsewhere = studyUid !== undefined && (studyUid !== record.studyUid || seriesUid !== record.seriesUid)
  if (isElsewhere) return { verdict: 'failed', reason: 'no_such_instance' }
  if (conflicting.length === 0) return undefined
  // A reference doesn't say which bytes its sender has. Only who sent what is served, and nothing else, can mean that.
  const mayMeanServed = isFrom(record, requester) && !conflicting.some((copy) => isFrom(copy, requester))
  return mayMeanServed ? undefined : PROCESSING_FAILURE
}

function isFrom({ source }: InstanceRecord, { protocol, name, address }: Requester): boolean {
  const sameProtocol = source.protocol === (protocol === 'dimse' ? 'dimse' : 'stow')
  return sameProtocol && source.name === name && (name !== '' || source.address === address)
}

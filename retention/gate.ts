import type { Permit } from '../storage-adapters/contract/permit.ts'
import { mintPermit } from '../storage-adapters/contract/permit-mint.ts'
import { type Disposition, hasEnoughPersons, type RecheckBlock, recheck } from './disposition.ts'
import { reproduce } from './policy.ts'
import { blocksOf, type Standing } from './standing.ts'

/** The object whose bytes would be freed: one copy, at one place. */
export interface DoomedObject {
  /** The store that holds this copy, by a name that is unique among all stores of both sites. */
  readonly place: string
  readonly key: string
  readonly sha256: string
}

export type GateRequest =
  | {
      readonly ground: 'disposition'
      readonly object: DoomedObject
      /** Digests of the instances that the object holds. */
      readonly holdsInstances: readonly string[]
      readonly disposition: Disposition | undefined
      readonly standing: Standing
      /** Digests of all instances of the study, as the catalogue knows them now. */
      readonly instances: readonly string[]
    }
  | {
      readonly ground: 'copies_elsewhere'
      readonly object: DoomedObject
      readonly copies: readonly VerifiedCopy[]
      /**
       * Places for whose copy of these bytes a permit was given out and has not come back unused: two copies must not be
       * freed because of each other. Whoever asks must ask for one object at a time.
       */
      readonly condemned: readonly string[]
      /** How many other copies the volume's policy wants. */
      readonly copiesMin: number
      /** Whether the study is held, and whether this house moves what is held. A hold keeps the study, not each copy. */
      readonly held: boolean
      readonly movesHeld: boolean
      /** Of the site's compliance clock. */
      readonly nowMs: number
    }
  | {
      readonly ground: 'never_acknowledged'
      readonly object: DoomedObject
      /** Every catalogue entry that names the object or an instance in it; undefined where nobody has looked. */
      readonly catalogueEntries: readonly string[] | undefined
      /** When this site saw the object first, by its compliance clock. */
      readonly firstSeenMs: number
      readonly nowMs: number
    }

/** A copy that was read back whole and whose digest was right. */
export interface VerifiedCopy {
  readonly place: string
  readonly key: string
  readonly sha256: string
  readonly verifiedAtMs: number
}

export type GateRefusal =
  | RecheckBlock
  | 'invalid_object'
  | 'no_disposition'
  | 'not_approved'
  | 'other_instances'
  | 'too_few_copies'
  | 'acknowledged'
  | 'not_looked'
  | 'too_young'
  | 'unknown_ground'

export type GateAnswer =
  | { readonly allowed: true; readonly permit: Permit }
  | { readonly allowed: false; readonly codes: readonly GateRefusal[] }

/** A copy that was verified longer ago may have rotted since. */
const VERIFIED_WITHIN_MS = 24 * 3_600_000
/** Longer than any write, retry or replay takes to be acknowledged. */
const UNACKNOWLEDGED_MS = 7 * 24 * 3_600_000

/**
 * The one place that mints permits, whatever path asks: expiry, rejection, deletion, purge, move, drain, compaction, an
 * administrator. It knows three grounds and nothing else, and says why not. `now` is for the permit's record only.
 */
export function requestPermit(request: GateRequest, now: Date): GateAnswer {
  const { ground, object } = request
  const codes = isObject(object) ? refusals(request) : (['invalid_object'] as const)
  if (codes.length > 0) return { allowed: false, codes }
  return { allowed: true, permit: mintPermit({ key: object.key, sha256: object.sha256, ground }, now) }
}

const isObject = ({ place, key, sha256 }: DoomedObject): boolean =>
  place !== '' && key !== '' && /^[0-9a-f]{64}$/.test(sha256)

function refusals(request: GateRequest): readonly GateRefusal[] {
  switch (request.ground) {
    case 'disposition':
      return againstDisposition(request)
    case 'copies_elsewhere':
      return againstCopies(request)
    case 'never_acknowledged':
      return againstUnacknowledged(request)
    default:
      return ['unknown_ground']
  }
}

type RequestOn<G> = Extract<GateRequest, { ground: G }>

/**
 * Asked again for each object, so that what changes in the middle of a destruction still stops the rest of it. What can be
 * computed again is not believed: the decision from its own inputs, the persons from their names.
 */
function againstDisposition(request: RequestOn<'disposition'>): GateRefusal[] {
  const { disposition, instances, holdsInstances } = request
  const standing = { ...request.standing, decision: reproduce(request.standing.decision) }
  const codes: GateRefusal[] = []
  if (!disposition) codes.push('no_disposition')
  else if (disposition.state !== 'destroying' || !hasEnoughPersons(disposition, standing.decision.approvals)) {
    codes.push('not_approved')
  }
  const known = new Set(instances)
  // What holds bytes of another study, or of an instance that nobody agreed to, is more than was approved.
  if (holdsInstances.length === 0 || !holdsInstances.every((sha256) => known.has(sha256))) codes.push('other_instances')
  codes.push(...(disposition ? recheck(disposition, standing, instances) : blocksOf(standing)))
  return codes
}

function againstCopies(request: RequestOn<'copies_elsewhere'>): GateRefusal[] {
  const { object, copies, condemned, copiesMin, held, movesHeld, nowMs } = request
  const gone = new Set([object.place, ...condemned])
  const places = new Set(
    copies
      .filter(({ place, sha256, verifiedAtMs }) => {
        const ageMs = nowMs - verifiedAtMs
        return !gone.has(place) && sha256 === object.sha256 && ageMs >= 0 && ageMs <= VERIFIED_WITHIN_MS
      })
      .map(({ place }) => place),
  )
  const codes: GateRefusal[] = []
  if (!Number.isInteger(copiesMin) || copiesMin < 1 || places.size < copiesMin) codes.push('too_few_copies')
  if (held && !movesHeld) codes.push('on_hold')
  return codes
}

function againstUnacknowledged(request: RequestOn<'never_acknowledged'>): GateRefusal[] {
  const { catalogueEntries, firstSeenMs, nowMs } = request
  const codes: GateRefusal[] = []
  if (!catalogueEntries) codes.push('not_looked')
  else if (catalogueEntries.length > 0) codes.push('acknowledged')
  if (!(nowMs - firstSeenMs >= UNACKNOWLEDGED_MS)) codes.push('too_young')
  return codes
}

import { type Actor, personKey, requireOther, requireReason, requireRecords } from './actor.ts'
import { canonicalJson, digestOf } from './canonical.ts'
import type { Decision } from './policy.ts'
import { policyDigest } from './record.ts'
import { refuse } from './refusal.ts'
import { type Block, blocksOf, type Standing } from './standing.ts'

/**
 * candidate -> reviewed -> approved -> destroying -> certified, or rejected by a person, or aborted. Nothing moves by
 * itself, and nothing moves back: what was rejected or aborted stays so, with its reason, and the study needs a new
 * candidate. From `destroying` on, both sites have committed and there is no way but forward.
 */
export type DispositionState =
  | 'candidate'
  | 'reviewed'
  | 'approved'
  | 'destroying'
  | 'certified'
  | 'rejected'
  | 'aborted'

export interface DispositionStep {
  readonly to: DispositionState
  /** A person, or `firn` where the program acts on what persons have decided. */
  readonly by: string
  readonly at: string
  readonly reason?: string | undefined
  /** Of an aborted recheck: what forbade it. */
  readonly blocks?: readonly RecheckBlock[] | undefined
}

/** Besides what forbids destruction in general: what is no longer as it was when persons looked at it. */
export type RecheckBlock = Block | 'decision_changed' | 'instances_changed'

/** What the persons saw and agreed to. */
export interface DispositionSubject {
  readonly studyUid: string
  readonly retainUntil: string
  readonly rule: string
  readonly policyId: string
  readonly policyVersion: string
  readonly policyDigest: string
  /** Number of instances and SHA-256 over their sorted digests. */
  readonly instances: number
  readonly instancesDigest: string
}

export interface Disposition {
  readonly id: string
  readonly subject: DispositionSubject
  /** Persons who must agree, the reviewer among them. */
  readonly approvalsNeeded: number
  readonly state: DispositionState
  readonly reviewedBy?: string | undefined
  readonly approvedBy: readonly string[]
  /** Of the two-site protocol, once it has committed. */
  readonly proposal?: number | undefined
  readonly steps: readonly DispositionStep[]
}

/** The program's own name where it acts on what persons have decided. */
export const FIRN = 'firn'

export const instancesDigest = (sha256s: readonly string[]): string => digestOf([...new Set(sha256s)].sort())

export function subjectOf(decision: Decision, sha256s: readonly string[]): DispositionSubject {
  const { policy } = decision.inputs
  return {
    studyUid: decision.studyUid,
    retainUntil: decision.retainUntil,
    rule: decision.rule,
    policyId: policy.id,
    policyVersion: policy.version,
    policyDigest: policyDigest(policy),
    instances: new Set(sha256s).size,
    instancesDigest: instancesDigest(sha256s),
  }
}

/** Puts an expired study on the list of candidates. Destroys nothing. Throws RetentionRefusal `not_expired`. */
export function nominate(id: string, standing: Standing, sha256s: readonly string[], at: string): Disposition {
  const blocks = blocksOf(standing)
  if (blocks.length > 0) refuse('not_expired', `the study can't be a candidate: ${blocks.join(', ')}`)
  return {
    id,
    subject: subjectOf(standing.decision, sha256s),
    approvalsNeeded: standing.decision.approvals,
    state: 'candidate',
    approvedBy: [],
    steps: [{ to: 'candidate', by: FIRN, at }],
  }
}

/** A records officer has looked at a candidate and would let it go. */
export function review(disposition: Disposition, actor: Actor, at: string, reason: string): Disposition {
  expect(disposition, ['candidate'], 'review')
  requireRecords(actor, 'review a candidate')
  const reviewed = step(disposition, { to: 'reviewed', by: actor.id, at, reason: requireReason(reason) })
  return { ...reviewed, reviewedBy: actor.id }
}

/**
 * Another records officer agrees. It is approved when as many different persons as the rule wants have agreed, the
 * reviewer included; they are two at least.
 */
export function approve(disposition: Disposition, actor: Actor, at: string, reason: string): Disposition {
  expect(disposition, ['reviewed'], 'approve')
  requireRecords(actor, 'approve a disposition')
  const before = [disposition.reviewedBy ?? '', ...disposition.approvedBy]
  requireOther(actor, before, 'approve this; you have reviewed or approved it already')
  const agreed = { ...disposition, approvedBy: [...disposition.approvedBy, actor.id] }
  const to = hasEnoughPersons(agreed, disposition.approvalsNeeded) ? 'approved' : 'reviewed'
  return step(agreed, { to, by: actor.id, at, reason: requireReason(reason) })
}

/** Whether a reviewer and enough others have agreed, all different persons, two at least. */
export function hasEnoughPersons({ reviewedBy, approvedBy }: Disposition, needed: number): boolean {
  if (reviewedBy === undefined) return false
  return new Set([reviewedBy, ...approvedBy].map(personKey)).size >= Math.max(2, needed)
}

/** A records officer says no; the study stays, and so does the reason. */
export function reject(disposition: Disposition, actor: Actor, at: string, reason: string): Disposition {
  expect(disposition, ['candidate', 'reviewed', 'approved'], 'reject')
  requireRecords(actor, 'reject a candidate')
  return step(disposition, { to: 'rejected', by: actor.id, at, reason: requireReason(reason) })
}

/** The program, or who keeps the machine, stops it before anything was committed. Stopping is always allowed. */
export function abort(disposition: Disposition, by: string, at: string, reason: string): Disposition {
  expect(disposition, ['candidate', 'reviewed', 'approved'], 'abort')
  return step(disposition, { to: 'aborted', by, at, reason: requireReason(reason) })
}

/** What forbids a disposition now, although persons have agreed to it. */
export function recheck({ subject }: Disposition, standing: Standing, sha256s: readonly string[]): RecheckBlock[] {
  const blocks: RecheckBlock[] = blocksOf(standing)
  const now = subjectOf(standing.decision, sha256s)
  if (now.instancesDigest !== subject.instancesDigest) blocks.push('instances_changed')
  const { instances, instancesDigest, ...agreed } = subject
  const { instances: _count, instancesDigest: _digest, ...current } = now
  if (canonicalJson(agreed) !== canonicalJson(current)) blocks.push('decision_changed')
  return blocks
}

/**
 * The last look, directly before the commit of proposal `proposal`: if anything has changed since persons agreed it is
 * aborted, else destruction begins and can't be stopped any more.
 */
export function begin(
  disposition: Disposition,
  standing: Standing,
  sha256s: readonly string[],
  proposal: number,
  at: string,
): Disposition {
  expect(disposition, ['approved'], 'begin the destruction of')
  const blocks = recheck(disposition, standing, sha256s)
  if (blocks.length > 0) {
    return step(disposition, { to: 'aborted', by: FIRN, at, reason: 'the recheck before destruction failed', blocks })
  }
  return { ...step(disposition, { to: 'destroying', by: FIRN, at }), proposal }
}

function expect({ state }: Disposition, allowed: readonly DispositionState[], deed: string): void {
  if (!allowed.includes(state)) refuse('wrong_state', `you can't ${deed} a disposition that is ${state}`)
}

function step(disposition: Disposition, next: DispositionStep): Disposition {
  return { ...disposition, state: next.to, steps: [...disposition.steps, next] }
}

/** A site's statement that none of the study's bytes are left with it, after it has looked. */
export interface DestructionReceipt {
  readonly site: string
  /** The generation of the site's storage. */
  readonly generation: string
  readonly proposal: number
  readonly instances: number
  readonly instancesDigest: string
  /** The permits under which objects were freed. */
  readonly permits: readonly string[]
  readonly at: string
}

/** Kept for ever: what was destroyed, why, by which rule, who agreed, when, and both sites' receipts. */
export interface Certificate {
  readonly kind: 'certificate of destruction'
  readonly dispositionId: string
  readonly subject: DispositionSubject
  readonly proposal: number
  readonly reviewedBy: string
  readonly approvedBy: readonly string[]
  readonly steps: readonly DispositionStep[]
  readonly receipts: readonly DestructionReceipt[]
  readonly issuedAt: string
}

/** Ends a disposition once every site has given its receipt. Throws RetentionRefusal. */
export function certify(
  disposition: Disposition,
  sites: readonly string[],
  receipts: readonly DestructionReceipt[],
  at: string,
): { disposition: Disposition; certificate: Certificate } {
  expect(disposition, ['destroying'], 'certify')
  const { subject, proposal = 0, reviewedBy = '', approvedBy } = disposition
  const given = sites.map((site) => receipts.find((receipt) => receipt.site === site && fits(receipt, disposition)))
  if (sites.length === 0 || given.includes(undefined)) {
    refuse('receipts_missing', 'a certificate needs the receipt of every site for what was agreed')
  }
  const certified = step(disposition, { to: 'certified', by: FIRN, at })
  const certificate: Certificate = {
    ...{ kind: 'certificate of destruction', dispositionId: disposition.id, subject, proposal, reviewedBy, approvedBy },
    ...{ steps: certified.steps, receipts: given.filter((receipt) => receipt !== undefined), issuedAt: at },
  }
  return { disposition: certified, certificate }
}

function fits(receipt: DestructionReceipt, { subject, proposal }: Disposition): boolean {
  return (
    receipt.proposal === proposal &&
    receipt.instances === subject.instances &&
    receipt.instancesDigest === subject.instancesDigest
  )
}

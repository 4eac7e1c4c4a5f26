import { z } from 'zod'
import { STUDY_CLASSES } from '../config/retention.ts'
import type { Explanation } from '../retention/explain.ts'
import type { FoldedDisposition } from '../retention/fold.ts'
import type { ShownHold } from '../retention/holds.ts'
import { count, sha256, timestamp, uid } from './api-routes.ts'

const text = z.string()
const day = z.string().describe('YYYY-MM-DD, or `forever`')
const anything = z.record(z.string(), z.unknown())
export const studyClass = z.enum(STUDY_CLASSES)

export const holdSchema = z.object({
  id: text,
  state: z.enum(['active', 'released']),
  assurance: z.enum(['local only', 'guaranteed']).describe('guaranteed: every site has confirmed it'),
  on: z.object({
    studyUid: uid.nullable(),
    patient: text.nullable().describe("the catalogue's name of the patient"),
    query: text.nullable(),
    studies: count.describe('that the query had found'),
  }),
  case: text,
  reason: text,
  holder: text,
  placedBy: text,
  placedAt: timestamp,
  releasedBy: z.array(text).describe('persons who have agreed to its release; two end it'),
  tooLate: z.array(uid).describe('studies that were being destroyed already, and are not held'),
})

export function viewHold(hold: ShownHold): z.output<typeof holdSchema> {
  const { holdId, placed, releasedBy, state, assurance, studies, tooLate = [] } = hold
  const { target, caseReference, reason, holder, by, at } = placed
  return {
    id: holdId,
    state,
    assurance,
    on: {
      studyUid: target.kind === 'study' ? target.studyUid : null,
      patient: target.kind === 'patient' ? target.patientKey : null,
      query: target.kind === 'query' ? target.query : null,
      studies,
    },
    ...{ case: caseReference, reason, holder, placedBy: by, placedAt: at },
    releasedBy: [...releasedBy],
    tooLate: [...tooLate],
  }
}

export const dispositionSchema = z.object({
  id: text,
  state: z.enum(['candidate', 'reviewed', 'approved', 'destroying', 'certified', 'rejected', 'aborted']),
  studyUid: uid,
  retainUntil: day,
  rule: text,
  policy: text,
  instances: count,
  approvalsNeeded: count,
  reviewedBy: text.nullable(),
  approvedBy: z.array(text),
  proposal: count.nullable(),
  steps: z.array(
    z.object({
      to: text,
      by: text,
      at: timestamp,
      reason: text.nullable(),
      blocks: z.array(text).describe('what forbade it'),
    }),
  ),
  certificateDigest: sha256.nullable(),
})

export function viewDisposition({ disposition, digest }: FoldedDisposition): z.output<typeof dispositionSchema> {
  const { id, state, subject, approvalsNeeded, reviewedBy, approvedBy, proposal, steps } = disposition
  return {
    id,
    state,
    studyUid: subject.studyUid,
    retainUntil: subject.retainUntil,
    rule: subject.rule,
    policy: `${subject.policyId} ${subject.policyVersion}`,
    instances: subject.instances,
    approvalsNeeded,
    reviewedBy: reviewedBy ?? null,
    approvedBy: [...approvedBy],
    proposal: proposal ?? null,
    steps: steps.map(({ to, by, at, reason, blocks }) => ({
      to,
      by,
      at,
      reason: reason ?? null,
      blocks: [...(blocks ?? [])],
    })),
    certificateDigest: digest ?? null,
  }
}

export const certificateSchema = z.object({
  certificate: anything.describe('what was destroyed, why, by which rule, who agreed, when, and the receipts'),
  digest: sha256.describe('of the canonical JSON of the certificate; the event log has it too'),
})

export const explanationSchema = z.object({
  studyUid: uid,
  retainUntil: day,
  rule: text.describe('whose date it is'),
  policy: text,
  classes: z.array(studyClass),
  suspendedBy: z.array(text).describe('open claims and the like'),
  approvals: count,
  assumptions: z.array(text),
  blocks: z.array(text).describe('what forbids destruction now; none: it may become a candidate'),
  holds: z.array(text).describe('numbers of the active holds on it'),
  dispositions: z.array(z.object({ id: text, state: text })),
  inputs: anything.describe('all that it was decided from'),
  results: z.array(anything).describe('what each rule says'),
  classification: anything,
  recordedAt: timestamp.nullable().describe('of the decision in the event log'),
  text: z.array(text).describe('the same in plain words, by line'),
})

export function viewExplanation(found: Explanation): z.output<typeof explanationSchema> {
  const { standing, evaluation, blocks, dispositions, text: lines } = found
  const { decision } = standing
  const { policy, ...inputs } = decision.inputs
  return {
    studyUid: decision.studyUid,
    retainUntil: decision.retainUntil,
    rule: decision.rule,
    policy: `${policy.id} ${policy.version}`,
    classes: [...evaluation.classification.classes],
    suspendedBy: [...decision.suspendedBy],
    approvals: decision.approvals,
    assumptions: [...decision.assumptions],
    blocks,
    holds: standing.holds.map(({ holdId }) => holdId),
    dispositions: dispositions.map(({ disposition }) => ({ id: disposition.id, state: disposition.state })),
    inputs: { ...inputs, policy },
    results: decision.results.map((result) => ({ ...result })),
    classification: { ...evaluation.classification },
    recordedAt: evaluation.stored?.at ?? null,
    text: lines,
  }
}

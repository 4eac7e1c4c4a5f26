import { z } from 'zod'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import { count, pageSize, route, sha256, timestamp, uid } from './api-routes.ts'
import {
  certificateSchema,
  dispositionSchema,
  explanationSchema,
  holdSchema,
  studyClass,
  viewDisposition,
  viewExplanation,
  viewHold,
} from './retention-views.ts'

const reason = z.string().min(1).max(2000)
const short = z.string().min(1).max(256)
const because = z.strictObject({ reason })
const patient = z.strictObject({ patientId: short, issuer: z.string().max(256).optional() })
const after = z.string().max(256).optional().describe('`next` of the page before')
const page = { after, limit: pageSize }
const next = z.string().nullable().describe('pass as `after` to go on from here')
const tag = z.string().regex(/^[0-9A-F]{8}([.][0-9A-F]{8})?$/, 'a tag such as 00080060, or 00400275.00401001')
const id = z.object({ id: z.string().max(64) })
const study = z.object({ studyUid: uid })
const date = z.iso.date()
const clockSchema = z.object({
  complianceTime: timestamp,
  lagSeconds: count.describe('how far it is behind the system clock'),
  systemBehind: z.boolean(),
  proposedBy: z.string().nullable().describe('waits for a second person'),
})

const studyOf = ({ studyUid = '' }: Record<string, string>): string => {
  if (!isUid(studyUid)) throw new ArchiveError('invalid_request', 'no Study Instance UID')
  return studyUid
}
const nextOf = <T>(found: readonly T[], limit: number, cursor: (last: T) => string): string | null => {
  const last = found.at(-1)
  return last !== undefined && found.length === limit ? cursor(last) : null
}

const HOLDS = [
  route({
    path: '/holds',
    summary: 'Holds: what must not be destroyed, whatever its date',
    role: 'records',
    query: z.object({ state: z.enum(['active', 'released', 'all']).default('active'), ...page }),
    answer: z.object({ holds: z.array(holdSchema), next }),
    async handle({ retention }, { state, limit, after }) {
      const found = await retention.holds.list(state, { after, limit })
      return { holds: found.map(viewHold), next: nextOf(found, limit, ({ holdId }) => holdId) }
    },
  }),
  route({
    path: '/holds',
    method: 'post',
    summary: 'Place a hold on a study, a patient, or what a query finds now; takes one records officer',
    role: 'records',
    body: z.strictObject({
      studyUid: uid.optional(),
      patient: patient.optional().describe('studies that come later too'),
      query: z.record(tag, z.string().min(1).max(256)).optional().describe('matching keys of the study level, by tag'),
      case: short,
      reason,
      holder: short.describe('for whom it is held: a court, a department'),
    }),
    answer: holdSchema,
    async handle({ retention }, _query, _parameters, { body, officer }) {
      const { case: caseReference, query, ...rest } = body
      const keys = query && Object.entries(query).map(([path, value]) => ({ path: path.split('.'), value }))
      return viewHold(
        await retention.holds.place({ ...rest, caseReference, ...(keys ? { query: keys } : {}) }, officer),
      )
    },
  }),
  route({
    path: '/holds/{id}',
    summary: 'One hold',
    role: 'records',
    parameters: id,
    answer: holdSchema,
    handle: async ({ retention }, _query, { id = '' }) => viewHold(await retention.holds.show(id)),
  }),
  route({
    path: '/holds/{id}/release',
    method: 'post',
    summary: "Agree to a hold's release; the second person's consent releases it",
    role: 'records',
    parameters: id,
    body: because,
    answer: holdSchema,
    handle: async ({ retention }, _query, { id = '' }, { body, officer }) =>
      viewHold(await retention.holds.release(id, body.reason, officer)),
  }),
]

const DISPOSITIONS = [
  route({
    path: '/dispositions',
    summary: 'Dispositions, from candidates to certificates',
    role: 'records',
    query: z.object({ state: dispositionSchema.shape.state.optional(), studyUid: uid.optional(), ...page }),
    answer: z.object({ dispositions: z.array(dispositionSchema), next }),
    async handle({ retention }, { state, studyUid, after, limit }) {
      const found = await retention.dispositions.list({ state, studyUid }, { after, limit })
      return {
        dispositions: found.map(viewDisposition),
        next: nextOf(found, limit, ({ disposition }) => disposition.id),
      }
    },
  }),
  route({
    path: '/dispositions',
    method: 'post',
    summary: 'List an expired study as a candidate for destruction; destroys nothing',
    role: 'records',
    body: z.strictObject({ studyUid: uid }),
    answer: dispositionSchema,
    handle: async ({ retention }, _query, _parameters, { body, officer }) =>
      viewDisposition(await retention.dispositions.nominate(body.studyUid, officer)),
  }),
  route({
    path: '/dispositions/{id}',
    summary: 'One disposition with all its steps',
    role: 'records',
    parameters: id,
    answer: dispositionSchema,
    handle: async ({ retention }, _query, { id = '' }) => viewDisposition(await retention.dispositions.show(id)),
  }),
  route({
    path: '/dispositions/{id}/review',
    method: 'post',
    summary: 'Review a candidate: let it go, or keep it',
    role: 'records',
    parameters: id,
    body: z.strictObject({ accepted: z.boolean(), reason }),
    answer: dispositionSchema,
    handle: async ({ retention }, _query, { id = '' }, { body, officer }) =>
      viewDisposition(await retention.dispositions.review(id, body.accepted, body.reason, officer)),
  }),
  route({
    path: '/dispositions/{id}/approve',
    method: 'post',
    summary: 'Approve what another records officer has reviewed',
    role: 'records',
    parameters: id,
    body: because,
    answer: dispositionSchema,
    handle: async ({ retention }, _query, { id = '' }, { body, officer }) =>
      viewDisposition(await retention.dispositions.approve(id, body.reason, officer)),
  }),
  route({
    path: '/dispositions/{id}/reject',
    method: 'post',
    summary: 'Stop a disposition before it is carried out',
    role: 'records',
    parameters: id,
    body: because,
    answer: dispositionSchema,
    handle: async ({ retention }, _query, { id = '' }, { body, officer }) =>
      viewDisposition(await retention.dispositions.reject(id, body.reason, officer)),
  }),
  route({
    path: '/dispositions/{id}/destroy',
    method: 'post',
    summary: 'Destroy what was approved, after everything was looked at once more; can not be undone',
    role: 'records',
    parameters: id,
    answer: dispositionSchema,
    handle: async ({ retention }, _query, { id = '' }, { officer }) =>
      viewDisposition(await retention.dispositions.carryOut(id, officer)),
  }),
  route({
    path: '/dispositions/{id}/certificate',
    summary: 'The certificate of destruction',
    role: 'records',
    parameters: id,
    answer: certificateSchema,
    async handle({ retention }, _query, { id = '' }) {
      const { certificate, digest } = await retention.dispositions.show(id)
      if (!certificate || digest === undefined)
        throw new ArchiveError('not_found', `disposition ${id} has no certificate yet`)
      return { certificate: { ...certificate }, digest }
    },
  }),
]

const STUDIES = [
  route({
    path: '/retention/studies/{studyUid}',
    summary: 'Why a study is kept, until when, and what forbids its destruction now',
    role: 'records',
    parameters: study,
    query: z.object({ language: z.enum(['en', 'de']).default('en') }),
    answer: explanationSchema,
    handle: async ({ retention }, { language }, parameters) =>
      viewExplanation(await retention.explain(studyOf(parameters), language)),
  }),
  route({
    path: '/retention/studies/{studyUid}/class',
    method: 'post',
    summary: 'Say what a study is, in place of the rules; an empty list: nobody knows',
    role: 'records',
    parameters: study,
    body: z.strictObject({ classes: z.array(studyClass).max(10), reason }),
    answer: explanationSchema,
    async handle({ retention }, _query, parameters, { body, officer }) {
      const studyUid = studyOf(parameters)
      await retention.facts.classify(studyUid, body.classes, body.reason, officer)
      return viewExplanation(await retention.explain(studyUid, 'en'))
    },
  }),
  route({
    path: '/retention/notes',
    method: 'post',
    summary: 'Record what happened outside of the archive: a death, a contact, a claim and its end',
    role: 'records',
    body: z.strictObject({
      studyUid: uid.optional(),
      patient: patient.optional(),
      kind: z
        .string()
        .regex(/^[a-z][a-z-]{0,63}$/)
        .describe('`death`, `contact`, `claim`, `ended`, `voided`, ...'),
      date: z.string().max(64).optional().describe('as DICOM writes it, also in part'),
      ends: z.string().max(64).optional().describe('the note that is over, or was a mistake'),
      reason,
    }),
    answer: z.object({ id: z.string() }),
    handle: async ({ retention }, _query, _parameters, { body, officer }) => ({
      id: await retention.facts.note(body, officer),
    }),
  }),
  route({
    path: '/retention/expiring',
    summary: 'What expires in a period, by date',
    role: 'records',
    query: z.object({ from: date, to: date, ...page }),
    answer: z.object({
      studies: z.array(
        z.object({ studyUid: uid, patient: z.string(), retainUntil: z.string(), rule: z.string(), policy: z.string() }),
      ),
      next,
    }),
    async handle({ retention }, { from, to, after, limit }) {
      const studies = await retention.catalogue.expiring(from, to, { after, limit })
      return { studies, next: nextOf(studies, limit, ({ retainUntil, studyUid }) => `${retainUntil} ${studyUid}`) }
    },
  }),
  route({
    path: '/retention/evaluate',
    method: 'post',
    summary: 'Evaluate everything that has changed, now',
    role: 'records',
    answer: z.object({ studies: count, decided: count.describe('decisions that are new'), failed: count }),
    async handle({ retention }) {
      await retention.announce()
      return retention.evaluator.run()
    },
  }),
  route({
    path: '/retention/destroyed/{sopInstanceUid}',
    summary: 'Why an instance is not taken in again',
    role: 'records',
    parameters: z.object({ sopInstanceUid: uid }),
    answer: z.object({ sopInstanceUid: uid, sha256, studyUid: uid, disposition: z.string() }),
    async handle({ retention }, _query, { sopInstanceUid = '' }) {
      const found = await retention.catalogue.tombstone(sopInstanceUid)
      if (!found) throw new ArchiveError('not_found', `instance ${sopInstanceUid} was not destroyed`)
      return found
    },
  }),
  route({
    path: '/retention/clock',
    summary: 'The compliance clock, by which everything expires',
    role: 'records',
    answer: clockSchema,
    handle: async ({ retention }) => viewClock(await retention.clockSetting.show()),
  }),
  route({
    path: '/retention/clock/forward',
    method: 'post',
    summary: 'Take a lag out of the compliance clock; takes two records officers',
    role: 'records',
    body: because,
    answer: clockSchema,
    handle: async ({ retention }, _query, _parameters, { body, officer }) =>
      viewClock(await retention.clockSetting.forward(body.reason, officer)),
  }),
]

interface Clock {
  complianceMs: number
  lagMs: number
  systemBehind: boolean
  proposedBy: string | null
}

function viewClock({ complianceMs, lagMs, systemBehind, proposedBy }: Clock): z.output<typeof clockSchema> {
  const complianceTime = new Date(complianceMs).toISOString()
  return { complianceTime, lagSeconds: Math.floor(lagMs / 1000), systemBehind, proposedBy }
}

/** What records officers need: why and until when, holds, and the way to a destruction. */
export const RETENTION_ROUTES = [...STUDIES, ...HOLDS, ...DISPOSITIONS]

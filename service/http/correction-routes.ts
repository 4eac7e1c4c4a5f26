import { z } from 'zod'
import type { CorrectionEntry, RejectionEntry } from '../corrections/ports.ts'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import { count, route, sha256, timestamp, uid } from './api-routes.ts'

const identifier = z
  .string()
  .max(64)
  .regex(/^[^\\\p{Cc}]*$/u)
const reason = z.string().max(1024).default('').describe('kept for ever')
const patientKey = z.object({ patientId: identifier.min(1), issuer: identifier.default('') })
const attributes = z
  .record(z.string().max(64), z.string().max(10_240).nullable())
  .describe('by keyword, names as in DICOM (Family^Given); null or empty text empties an attribute')

const madeSchema = z.object({
  by: z.string(),
  role: z.string(),
  address: z.string(),
  at: timestamp,
  site: z.string(),
  seq: count.describe("the event's number in that site's log"),
})

const rejectionSchema = madeSchema.extend({
  id: z.string(),
  studyUid: uid,
  code: z.string(),
  reason: z.string(),
  noteUid: uid.nullable().describe('SOP Instance UID of the document that asked for it'),
  instances: count.describe('that it names'),
  restored: count.describe('of them since'),
}) satisfies z.ZodType<RejectionEntry>

const keySchema = z.object({ patientId: z.string(), issuer: z.string() })
const correctionSchema = madeSchema.extend({
  id: z.string(),
  type: z.enum(['patient', 'merge', 'move', 'study', 'series']),
  studyUid: uid.nullable(),
  seriesUid: uid.nullable(),
  patient: keySchema.nullable(),
  to: keySchema.nullable(),
  attributes: z.any().nullable().describe('DICOM JSON; null as long as the record is not here that holds it'),
  reason: z.string(),
  withdrawn: madeSchema.extend({ reason: z.string() }).nullable(),
}) satisfies z.ZodType<CorrectionEntry>

const made = z.object({ correction: z.string() })
const study = z.object({ studyUid: uid })
const patient = z.object({ patientId: identifier })
const none = z.object({})

const rejectBody = z.strictObject({
  code: z
    .string()
    .max(16)
    .describe('113001 quality, 113037 patient safety, 113038 wrong worklist entry, 113039 retention expired (DCM)'),
  reason: reason.describe('kept for ever in the event log: no names of patients'),
  seriesUid: uid.refine(isUid, 'no UID').optional(),
  sopInstanceUids: z.array(uid.refine(isUid, 'no UID')).min(1).max(10_000).optional(),
})

/** Rejection (IHE IOCM) and correction (IHE PIR): what is shown changes, what is kept never does. */
export const CORRECTION_ROUTES = [
  route({
    path: '/studies/{studyUid}/rejections',
    method: 'post',
    summary: 'Hide a study, a series of it, or instances; nothing of them is freed',
    role: 'records',
    parameters: study,
    body: rejectBody,
    answer: z.object({ rejection: z.string(), instances: count }),
    handle: ({ correct }, _query, parameters, { body, actor }) =>
      correct.reject({ ...rejectBody.parse(body), studyUid: studyOf(parameters) }, actor),
  }),
  route({
    path: '/studies/{studyUid}/rejections',
    summary: 'Rejections of instances of a study, newest first; also those that were taken back',
    role: 'records',
    parameters: study,
    answer: z.object({ rejections: z.array(rejectionSchema) }),
    handle: async ({ corrections }, _query, parameters) => ({
      rejections: await corrections.rejections(studyOf(parameters)),
    }),
  }),
  route({
    path: '/studies/{studyUid}/rejections/{rejection}',
    method: 'delete',
    summary: 'Restore: show again what this rejection hid, unless another one hides it',
    role: 'records',
    parameters: study.extend({ rejection: z.string() }),
    query: z.object({ reason }),
    answer: none,
    async handle({ correct }, query, parameters, { actor }) {
      const { rejection = '' } = parameters
      await correct.restore({ studyUid: studyOf(parameters), rejection, reason: query.reason }, actor)
      return {}
    },
  }),
  route({
    path: '/studies/{studyUid}/corrections',
    summary: 'What was corrected of a study and its patient, newest first; also what was withdrawn',
    role: 'records',
    parameters: study,
    answer: z.object({ corrections: z.array(correctionSchema) }),
    handle: async ({ corrections }, _query, parameters) => ({
      corrections: await corrections.correctionsOfStudy(studyOf(parameters)),
    }),
  }),
  route({
    path: '/studies/{studyUid}/corrections',
    method: 'post',
    summary: 'Correct attributes of a study, or of one of its series',
    role: 'records',
    parameters: study,
    body: z.strictObject({ attributes, reason, seriesUid: uid.refine(isUid, 'no UID').optional() }),
    answer: made,
    handle: ({ correct }, _query, parameters, { body, actor }) =>
      correct.correctStudy({ ...body, studyUid: studyOf(parameters) }, actor),
  }),
  route({
    path: '/studies/{studyUid}/patient',
    method: 'post',
    summary: 'Move a study to the patient to whom it belongs',
    role: 'records',
    parameters: study,
    body: z.strictObject({ to: patientKey, attributes: attributes.optional(), reason }),
    answer: made,
    handle: ({ correct }, _query, parameters, { body, actor }) =>
      correct.moveStudy({ ...body, studyUid: studyOf(parameters) }, actor),
  }),
  route({
    path: '/patients/merges',
    method: 'post',
    summary: 'Merge two patient identifiers that are of one person',
    role: 'records',
    body: z.strictObject({ prior: patientKey, surviving: patientKey, attributes: attributes.optional(), reason }),
    answer: made,
    handle: ({ correct }, _query, _parameters, { body, actor }) => correct.mergePatients(body, actor),
  }),
  route({
    path: '/patients/{patientId}/corrections',
    method: 'post',
    summary: "Correct a patient's name, birth date, sex or comments, in all their studies",
    role: 'records',
    parameters: patient,
    body: z.strictObject({ issuer: identifier.default(''), attributes, reason }),
    answer: made,
    handle: ({ correct }, _query, { patientId = '' }, { body: { issuer, ...what }, actor }) =>
      correct.correctPatient({ ...what, patient: { patientId, issuer } }, actor),
  }),
  route({
    path: '/patients/{patientId}/corrections',
    summary: 'What was corrected of a patient, merged with or moved to them, newest first',
    role: 'records',
    parameters: patient,
    query: z.object({ issuer: identifier.default('') }),
    answer: z.object({ corrections: z.array(correctionSchema) }),
    handle: async ({ corrections }, { issuer }, { patientId = '' }) => ({
      corrections: await corrections.correctionsOfPatient({ patientId, issuer }),
    }),
  }),
  route({
    path: '/corrections/{correction}',
    method: 'delete',
    summary: 'Withdraw a correction; what was before is shown again',
    role: 'records',
    parameters: z.object({ correction: z.string() }),
    query: z.object({ reason }),
    answer: none,
    async handle({ correct }, query, { correction = '' }, { actor }) {
      await correct.withdraw({ correction, reason: query.reason }, actor)
      return {}
    },
  }),
  route({
    path: '/corrections/records/missing',
    summary: 'Digests of records that corrections name and that are not here: those corrections are not shown',
    role: 'records',
    answer: z.object({ records: z.array(sha256) }),
    handle: async ({ corrections }) => ({ records: await corrections.missingRecords(1000) }),
  }),
]

function studyOf({ studyUid = '' }: Record<string, string>): string {
  if (!isUid(studyUid)) throw new ArchiveError('invalid_request', 'no Study Instance UID')
  return studyUid
}

import { z } from 'zod'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import { count, pageSize, route, sha256, timestamp, uid } from './api-routes.ts'

const packSchema = z.object({
  id: z.int().min(1),
  studyUid: uid,
  key: z.string().describe('of the object in each store'),
  sha256: sha256.describe('of the whole pack'),
  sizeBytes: count,
  instances: count,
  payloadBytes: count.describe('of the instances alone'),
  sealedAt: timestamp,
  volume: z.string(),
  copies: z.array(z.object({ store: z.string(), verifiedAt: timestamp.describe('when it was last read back whole') })),
})

const sealedSchema = z.object({
  packs: z.array(
    z.object({
      id: z.int().min(1),
      key: z.string(),
      stores: z.array(z.string()),
      instances: count,
      sizeBytes: count,
    }),
  ),
  leftOut: z.array(sha256).describe('damaged instances, which stay in the landing'),
})

const drainSchema = z.object({
  store: z.string(),
  state: z.enum(['running', 'done', 'stopped']),
  packs: count.describe('in the store when it began'),
  bytes: count,
  moved: count,
  movedBytes: count,
  stayed: count.describe('packs that could not be moved; they are read from there as before'),
  reasons: z.array(z.string()),
  unknown: count.describe("objects that the catalogue doesn't know; they stay"),
  listSha256: sha256.nullable().describe('of the list of what was moved, once it is at its end'),
  startedAt: timestamp,
  endedAt: timestamp.nullable(),
})

const movedSchema = z.object({
  key: z.string(),
  studyUid: uid,
  sha256,
  sizeBytes: count,
  instances: count,
  result: z.enum(['moved', 'swept', 'stayed']),
  to: z.array(z.string()).optional().describe('stores that hold it now'),
  reason: z.string().optional().describe('why it stays'),
  at: timestamp,
})

const scrubSchema = z.object({
  state: z.enum(['running', 'done', 'stopped']),
  intact: count,
  bytes: count,
  repaired: count.describe('damaged or missing copies that another copy made good'),
  added: count.describe('copies made of packs that fewer stores held than wanted'),
  lost: count.describe('damaged copies without an intact other one'),
  relocked: count.describe('locks that had become less and were set again; deletions by others that were taken back'),
  unreadable: count.describe('copies in stores that could not be asked'),
  findings: z.array(z.string()),
  startedAt: timestamp,
  endedAt: timestamp.nullable(),
})

const store = z.object({ store: z.string().max(32) })

/** What concerns packs, and the stores that hold them. */
export const STORE_ROUTES = [
  route({
    path: '/packs',
    summary: 'Sealed packs by number, and the stores that hold them',
    role: 'read',
    query: z.object({
      studyUid: uid.optional(),
      after: z.coerce.number().int().min(0).default(0),
      limit: pageSize,
    }),
    answer: z.object({
      packs: z.array(packSchema),
      next: count.nullable().describe('pass as `after` to go on from here'),
    }),
    async handle({ packs }, { studyUid, after, limit }) {
      const found = await packs.packs({ after, limit, ...(studyUid === undefined ? {} : { studyUid }) })
      const page = found.map(({ instanceCount, ...pack }) => ({ ...pack, instances: instanceCount }))
      return { packs: page, next: found.length === limit ? (found.at(-1)?.id ?? null) : null }
    },
  }),
  route({
    path: '/studies/{studyUid}/seal',
    method: 'post',
    summary: 'Seal what is in no pack of a study, now',
    role: 'admin',
    parameters: z.object({ studyUid: uid }),
    answer: sealedSchema,
    async handle({ seal }, _query, { studyUid = '' }) {
      if (!isUid(studyUid)) throw new ArchiveError('invalid_request', 'no Study Instance UID')
      return seal(studyUid)
    },
  }),
  route({
    path: '/stores/{store}/drain/plan',
    summary: 'What emptying a store would move, and the room that there is elsewhere',
    role: 'admin',
    parameters: store,
    answer: z.object({ packs: count, bytes: count, bytesFreeElsewhere: count.nullable() }),
    handle: ({ drainer }, _query, parameters) => drainer.plan(parameters.store ?? ''),
  }),
  route({
    path: '/stores/{store}/drain',
    method: 'post',
    summary: 'Empty a store: each pack gets its copies elsewhere before the one here is freed',
    role: 'admin',
    parameters: store,
    answer: drainSchema,
    handle: ({ drainer }, _query, parameters) => drainer.start(parameters.store ?? ''),
  }),
  route({
    path: '/stores/{store}/drain',
    summary: 'How far the emptying of a store is',
    role: 'read',
    parameters: store,
    answer: drainSchema,
    async handle({ drainer }, _query, parameters) {
      const report = drainer.report(parameters.store ?? '')
      if (!report) throw new ArchiveError('not_found', `store ${parameters.store} is not being emptied`)
      return report
    },
  }),
  route({
    path: '/stores/{store}/drain/packs',
    summary: 'What was moved off a store, with digests; of two lines of a pack side by side the second one counts',
    role: 'read',
    parameters: store,
    query: z.object({ after: z.coerce.number().int().min(0).default(0), limit: pageSize }),
    answer: z.object({
      packs: z.array(movedSchema),
      next: count.nullable().describe('pass as `after` to go on from here'),
    }),
    async handle({ drainer, stores }, { after, limit }, parameters) {
      const id = parameters.store ?? ''
      if (!stores.get(id)) throw new ArchiveError('not_found', `no store is called ${id}`)
      const { rows, next } = await drainer.list(id).page(after, limit)
      return { packs: rows as z.output<typeof movedSchema>[], next }
    },
  }),
  route({
    path: '/stores/{store}/drain',
    method: 'delete',
    summary: 'Stop emptying a store; what was moved stays where it is',
    role: 'admin',
    parameters: store,
    answer: z.object({}),
    async handle({ drainer }, _query, parameters) {
      await drainer.cancel(parameters.store ?? '')
      return {}
    },
  }),
  route({
    path: '/scrub',
    method: 'post',
    summary: 'Read every copy of every pack again, now, and make good what is damaged',
    role: 'admin',
    answer: scrubSchema,
    handle: async ({ scrubber }) => scrubber.now(),
  }),
  route({
    path: '/scrub',
    summary: 'What the check of the packs has found, the one under way or the last one',
    role: 'read',
    answer: scrubSchema.nullable().describe('null: no check has run since the node was started'),
    handle: async ({ scrubber }) => scrubber.report ?? null,
  }),
]

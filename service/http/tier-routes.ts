import { z } from 'zod'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import { count, route, timestamp, uid } from './api-routes.ts'

const tier = z.enum(['online', 'nearline', 'cold'])
const bytesOrUnknown = count.nullable().describe('null where it cannot be told')

const storeRow = z.object({
  id: z.string(),
  tier,
  weight: z.number(),
  origin: z.enum(['configuration', 'api']).describe('where it is to be taken out'),
  draining: z.boolean().describe('gets nothing, and is emptied'),
  trouble: z.string().nullable().describe('why it is not used now, or takes nothing, and what to do'),
  bytesTotal: bytesOrUnknown,
  bytesFree: bytesOrUnknown,
  packs: count,
  bytes: count.describe('of the packs in it'),
})

const until = z
  .object({ days: z.number().nullable(), soonest: z.number().nullable(), latest: z.number().nullable() })
  .describe('with the growth that was seen, and the highest and lowest that are likely (95 %); null: not reached')

const tierRow = z.object({
  tier,
  stores: z.array(z.string()),
  copies: z.int().min(1),
  reservePercent: z.number(),
  bytesTotal: bytesOrUnknown,
  bytesFree: bytesOrUnknown,
  bytes: count,
  refusal: z.string().nullable().describe('why it takes no new packs'),
  growth: z.object({ bytesPerDay: z.number(), low: z.number(), high: z.number(), overDays: z.number() }).nullable(),
  noForecast: z.string().nullable().describe('why there is no forecast'),
  daysUntil: z.object({ free30: until, free20: until, free10: until, reserve: until, full: until }).nullable(),
})

const alarm = z.object({ subject: z.string(), alarm: z.string(), detail: z.string(), since: timestamp })

const capacitySchema = z.object({
  stores: z.array(storeRow),
  tiers: z.array(tierRow),
  volumes: z.array(
    z.object({
      id: z.string(),
      provisionedBytes: count.nullable().describe('what was promised'),
      packs: count,
      bytes: count,
    }),
  ),
  declaredBytes: count.nullable().describe('what all volumes were promised'),
  usedBytes: count.describe('of all packs, each counted once'),
  physicalBytes: count.nullable().describe('of the stores that can tell; two on one disk count twice'),
  overCommit: z.number().nullable().describe('declared to physical'),
  expiring: z
    .array(z.object({ withinDays: count, bytes: count }))
    .nullable()
    .describe('what retention gives back; null where that is not known'),
  alarms: z.array(alarm),
})

const moveReport = z.object({
  state: z.enum(['running', 'done', 'stopped']),
  looked: count.describe('packs whose time had come'),
  moved: count,
  movedBytes: count,
  stayed: count.describe('packs that could not be moved; they are tried again'),
  reasons: z.array(z.string()),
  startedAt: timestamp,
  endedAt: timestamp.nullable(),
})

const planned = { packs: count, bytes: count }
const movePlan = z.object({
  ...planned,
  more: z.boolean().describe('there is more than a plan counts'),
  routes: z.array(z.object({ from: tier, to: tier, ...planned })),
  moves: z
    .array(z.object({ studyUid: uid, key: z.string(), sizeBytes: count, from: tier, to: tier }))
    .describe('the first ones'),
})

const pinSchema = z.object({ id: z.string(), studyUid: uid, reason: z.string(), by: z.string(), at: timestamp })

const storeBody = z.looseObject({
  id: z.string().describe('1 to 32 small letters, digits and hyphens'),
  type: z.enum(['file', 's3']).describe('the other members are those of `stores` in the configuration'),
  tier: tier.optional(),
  weight: z.number().optional(),
})

const study = z.object({ studyUid: uid })

/** Tiers, the stores that make them up, and what moves between them. */
export const TIER_ROUTES = [
  route({
    path: '/capacity',
    summary: 'Stores, tiers and volumes: what was promised, what is used, what room there is and how long it lasts',
    role: 'read',
    answer: capacitySchema,
    handle: ({ tiering }) => tiering.capacity(),
  }),
  route({
    path: '/stores',
    summary: 'The stores',
    role: 'read',
    answer: z.object({ stores: z.array(storeRow) }),
    handle: async ({ tiering }) => ({ stores: (await tiering.capacity()).stores }),
  }),
  route({
    path: '/stores',
    method: 'post',
    summary: 'Add a store; it is used at once, and after a restart too',
    role: 'admin',
    body: storeBody,
    answer: storeRow,
    async handle({ tiering }, _query, _parameters, { body, actor }) {
      const { id } = await tiering.admin.add(body, actor)
      return storeOf(id, (await tiering.capacity()).stores)
    },
  }),
  route({
    path: '/stores/{store}',
    method: 'delete',
    summary: 'Remove a store that was added here, was drained and is empty',
    role: 'admin',
    parameters: z.object({ store: z.string().max(32) }),
    answer: z.object({}),
    async handle({ tiering }, _query, { store = '' }, { actor }) {
      await tiering.admin.remove(store, actor)
      return {}
    },
  }),
  route({
    path: '/moves/plan',
    summary: 'What would move to another tier now',
    role: 'admin',
    answer: movePlan,
    handle: ({ tiering }) => tiering.mover.plan(),
  }),
  route({
    path: '/moves',
    method: 'post',
    summary: 'Move what the rules want moved, now',
    role: 'admin',
    answer: moveReport,
    handle: async ({ tiering }) => tiering.mover.begin(),
  }),
  route({
    path: '/moves',
    summary: 'How far the moves are, or how the last ones went',
    role: 'read',
    answer: moveReport.nullable().describe('null: nothing has moved since the node was started'),
    handle: async ({ tiering }) => tiering.mover.report ?? null,
  }),
  route({
    path: '/pins',
    summary: 'Studies that stay in the fastest tier, the newest pin first',
    role: 'read',
    answer: z.object({ pins: z.array(pinSchema) }),
    handle: async ({ tiering }) => ({ pins: await tiering.pins.list() }),
  }),
  route({
    path: '/studies/{studyUid}/pin',
    method: 'post',
    summary: 'Keep a study in the fastest tier, or bring it back there',
    role: 'admin',
    parameters: study,
    body: z.object({ reason: z.string().min(1).max(1000) }),
    answer: pinSchema,
    handle: ({ tiering }, _query, { studyUid = '' }, { body, actor }) =>
      tiering.pins.pin(uidOf(studyUid), body.reason, actor),
  }),
  route({
    path: '/studies/{studyUid}/pin',
    method: 'delete',
    summary: 'Let the rules move a study again',
    role: 'admin',
    parameters: study,
    answer: z.object({}),
    async handle({ tiering }, _query, { studyUid = '' }, { actor }) {
      await tiering.pins.unpin(uidOf(studyUid), actor)
      return {}
    },
  }),
]

function uidOf(text: string): string {
  if (!isUid(text)) throw new ArchiveError('invalid_request', 'no Study Instance UID')
  return text
}

function storeOf<Row extends { id: string }>(id: string, rows: readonly Row[]): Row {
  const row = rows.find((one) => one.id === id)
  if (!row) throw new ArchiveError('not_found', `no store is called ${id}`)
  return row
}

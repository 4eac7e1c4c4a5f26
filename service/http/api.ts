import type { Request, RequestHandler, Response, Router } from 'express'
import { z } from 'zod'
import type { CataloguePacks, Conflict, InstanceRecord } from '../catalogue/ports.ts'
import type { Role } from '../config/tokens.ts'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import type { Sealed } from '../lifecycle/seal.ts'
import type { Stores } from '../stores/ports.ts'
import { only } from './auth.ts'
import type { DicomWebContext } from './context.ts'
import { sendText } from './send.ts'
import { sendInstance } from './wado.ts'

/** What the API needs beside the archive itself. */
export interface ApiContext extends DicomWebContext {
  version: string
  status(): Promise<z.output<typeof statusSchema>>
  packs: Pick<CataloguePacks, 'packs' | 'holdings'>
  stores: Stores
  /** Seals what is in no pack of a study, now. */
  seal(studyUid: string): Promise<Sealed>
}

const uid = z.string().max(64)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const timestamp = z.string().describe('ISO 8601, UTC')
const count = z.int().min(0)

const sourceSchema = z.object({
  protocol: z.enum(['stow', 'dimse', 'import']),
  name: z.string().describe('calling AE title, or name of the token'),
  address: z.string(),
})

const instanceSchema = z.object({
  studyUid: uid,
  seriesUid: uid,
  sopInstanceUid: uid,
  sopClassUid: uid,
  sha256: sha256.describe('of the whole file as it is kept'),
  sizeBytes: count,
  transferSyntaxUid: z.string(),
  receivedAt: timestamp,
  source: sourceSchema,
})

const changeSchema = z.object({
  seq: z.int().min(1),
  kind: z.enum(['instance_stored', 'instance_conflict']),
  at: timestamp,
  studyUid: uid,
  seriesUid: uid,
  sopInstanceUid: uid,
  sha256,
})

export const statusSchema = z.object({
  version: z.string(),
  startedAt: timestamp,
  ready: z.boolean(),
  degraded: z.array(z.string()).describe('what the node cannot do although it serves'),
  catalogue: z.object({
    dialect: z.enum(['sqlite', 'postgres']),
    patients: count,
    studies: count,
    series: count,
    instances: count,
    conflicts: count,
    bytes: count,
  }),
  landing: z.object({ bytesFree: count, bytesTotal: count, reserveBytes: count }),
  dimse: z.object({ aeTitle: z.string(), host: z.string(), port: z.int() }).nullable(),
})

const packSchema = z.object({
  id: z.int().min(1),
  studyUid: uid,
  key: z.string().describe('of the object in each store'),
  sha256: sha256.describe('of the whole pack'),
  sizeBytes: count,
  instances: count,
  payloadBytes: count.describe('of the instances alone'),
  sealedAt: timestamp,
  copies: z.array(z.object({ store: z.string(), verifiedAt: timestamp.describe('when it was last read back whole') })),
})

const capacitySchema = z.object({
  stores: z.array(
    z.object({
      id: z.string(),
      trouble: z.string().nullable().describe('why the store is not used now'),
      bytesTotal: count.nullable().describe('null where the store cannot tell'),
      bytesFree: count.nullable(),
      packs: count,
      bytes: count.describe('of the packs in it'),
    }),
  ),
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

interface Route<Query extends z.ZodObject, Answer extends z.ZodType> {
  path: string
  /** Default get. */
  method?: 'get' | 'post'
  summary: string
  role: Role
  parameters?: z.ZodObject
  query?: Query
  answer: Answer
  handle(context: ApiContext, query: z.output<Query>, parameters: Record<string, string>): Promise<z.input<Answer>>
}

function route<Query extends z.ZodObject, Answer extends z.ZodType>(
  one: Route<Query, Answer>,
): Route<z.ZodObject, z.ZodType> {
  return one as unknown as Route<z.ZodObject, z.ZodType>
}

const pageSize = z.coerce.number().int().min(1).max(10_000).default(1000)

/** Firn's own API: the same schemas validate, shape the answers and describe them. */
const ROUTES = [
  route({
    path: '/status',
    summary: 'The state of this node and what the archive holds',
    role: 'read',
    answer: statusSchema,
    handle: (context) => context.status(),
  }),
  route({
    path: '/changes',
    summary: 'The change feed: everything that changed, in order, without gaps',
    role: 'read',
    query: z.object({ since: z.coerce.number().int().min(0).default(0), limit: pageSize }),
    answer: z.object({
      epoch: z.string().describe('another one than before: numbers began anew, follow the feed from 0 again'),
      changes: z.array(changeSchema),
      next: count.describe('pass as `since` to go on from here'),
    }),
    async handle({ catalogue }, { since, limit }) {
      const changes = await catalogue.changes(since, limit)
      return { epoch: catalogue.epoch, changes, next: changes.at(-1)?.seq ?? since }
    },
  }),
  route({
    path: '/conflicts',
    summary: 'Instances that came again with other bytes: kept, but not served; newest first',
    role: 'read',
    query: z.object({ limit: pageSize, before: z.coerce.number().int().min(1).optional() }),
    answer: z.object({
      conflicts: z.array(instanceSchema.extend({ servedSha256: sha256 })),
      next: count.nullable().describe('pass as `before` to go on from here'),
    }),
    async handle({ catalogue }, { limit, before }) {
      const found = await catalogue.conflicts(limit, before)
      const conflicts = found.map(({ conflict }) => ({ ...view(conflict), servedSha256: conflict.servedSha256 }))
      return { conflicts, next: found.length === limit ? (found.at(-1)?.id ?? null) : null }
    },
  }),
  route({
    path: '/capacity',
    summary: 'The stores, how much room they have, and what they hold',
    role: 'read',
    answer: capacitySchema,
    handle: (context) => capacity(context),
  }),
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
    path: '/instances/by-digest/{sha256}/info',
    summary: 'What is known of the copy with this digest, served or conflicting',
    role: 'read',
    parameters: z.object({ sha256 }),
    answer: instanceSchema,
    handle: async (context, _query, parameters) => view(await copyByDigest(context, parameters.sha256)),
  }),
]

const BY_DIGEST = '/instances/by-digest/{sha256}'

function view(record: InstanceRecord | Conflict): z.output<typeof instanceSchema> {
  const { studyUid, seriesUid, sopInstanceUid, sopClassUid, sizeBytes, transferSyntaxUid, receivedAt, source } = record
  return {
    studyUid,
    seriesUid,
    sopInstanceUid,
    sopClassUid,
    sha256: record.sha256,
    sizeBytes,
    transferSyntaxUid,
    receivedAt,
    source,
  }
}

async function capacity({ stores, packs }: ApiContext): Promise<z.output<typeof capacitySchema>> {
  const held = new Map((await packs.holdings()).map((holding) => [holding.store, holding]))
  const rows = stores.all.map(async (store) => {
    const room = store.trouble === undefined ? await store.capacity() : undefined
    return {
      id: store.id,
      trouble: store.trouble ?? null,
      bytesTotal: room?.bytesTotal ?? null,
      bytesFree: room?.bytesFree ?? null,
      packs: held.get(store.id)?.packs ?? 0,
      bytes: held.get(store.id)?.bytes ?? 0,
    }
  })
  return { stores: await Promise.all(rows) }
}

async function copyByDigest({ catalogue }: ApiContext, digest: unknown): Promise<InstanceRecord> {
  const parsed = sha256.safeParse(String(digest).toLowerCase())
  if (!parsed.success) throw new ArchiveError('invalid_request', 'a digest is 64 hexadecimal digits of SHA-256')
  const record = await catalogue.byDigest(parsed.data)
  if (!record) throw new ArchiveError('not_found', 'no copy has this digest')
  return record
}

/** Adds the API's routes below `/api/v1`. */
export function addApi(router: Router, context: ApiContext): void {
  for (const one of ROUTES) router[one.method ?? 'get'](expressPath(one.path), only(one.role), serve(one, context))
  router.get(expressPath(BY_DIGEST), only('read'), async (req, res) => {
    await sendInstance(context, req, res, await copyByDigest(context, req.params.sha256))
  })
  const document = JSON.stringify(openApi(context.version))
  router.get('/openapi.json', (req, res) => sendText(req, res, 'application/json', document))
}

const expressPath = (path: string): string => path.replace(/\{(\w+)\}/g, ':$1')

function serve(one: Route<z.ZodObject, z.ZodType>, context: ApiContext): RequestHandler {
  const query = one.query ?? z.object({})
  return async (req: Request, res: Response) => {
    const parsed = query.strict().safeParse(req.query)
    if (!parsed.success) throw new ArchiveError('invalid_request', z.prettifyError(parsed.error).replaceAll('\n', ' '))
    const answer = await one.handle(context, parsed.data, req.params as Record<string, string>)
    await sendText(req, res, 'application/json', JSON.stringify(answer))
  }
}

/** OpenAPI 3.1, whose schemas are JSON Schema 2020-12 as zod writes it. */
function openApi(version: string) {
  const error = { description: 'why not', content: { 'application/json': { schema: schemaOf(ERROR) } } }
  const errors = { '400': error, '401': error, '403': error, '404': error }
  const paths: Record<string, unknown> = {}
  for (const one of ROUTES) {
    paths[`/api/v1${one.path}`] = {
      [one.method ?? 'get']: {
        summary: one.summary,
        'x-role': one.role,
        parameters: [...parametersOf('path', one.parameters), ...parametersOf('query', one.query)],
        responses: {
          '200': { description: 'the answer', content: { 'application/json': { schema: schemaOf(one.answer) } } },
          ...errors,
        },
      },
    }
  }
  paths[`/api/v1${BY_DIGEST}`] = {
    get: {
      summary: 'The file with this digest, served or conflicting',
      'x-role': 'read',
      parameters: parametersOf('path', z.object({ sha256 })),
      responses: { '200': { description: 'the file as it is kept', content: { 'application/dicom': {} } }, ...errors },
    },
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Firn', version, description: 'Long-term archive for medical images: its own API beside DICOMweb' },
    paths,
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }, {}],
  }
}

const ERROR = z.object({ error: z.string(), message: z.string() })

function schemaOf(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' })
  return rest
}

function parametersOf(place: 'path' | 'query', schema: z.ZodObject | undefined): object[] {
  return Object.entries(schema?.shape ?? {}).map(([name, type]) => ({
    name,
    in: place,
    required: place === 'path',
    schema: schemaOf(type as z.ZodType),
  }))
}

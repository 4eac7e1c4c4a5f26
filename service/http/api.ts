import type { Request, RequestHandler, Response, Router } from 'express'
import { z } from 'zod'
import type { Conflict, InstanceRecord } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import {
  type ApiContext,
  count,
  pageSize,
  type Route,
  route,
  sha256,
  statusSchema,
  timestamp,
  uid,
} from './api-routes.ts'
import { callerOf, only } from './auth.ts'
import { sendText } from './send.ts'
import { SITE_ROUTES } from './site-routes.ts'
import { STORE_ROUTES } from './store-routes.ts'
import { sendInstance } from './wado.ts'

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

/** Firn's own API: the same schemas validate, shape the answers and describe them. */
const ROUTES = [
  ...STORE_ROUTES,
  ...SITE_ROUTES,
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
    const parameters = req.params as Record<string, string>
    const answer = await one.handle(context, parsed.data, parameters, callerOf(req))
    await sendText(req, res, 'application/json', JSON.stringify(answer))
  }
}

/** OpenAPI 3.1, whose schemas are JSON Schema 2020-12 as zod writes it. */
function openApi(version: string) {
  const error = { description: 'why not', content: { 'application/json': { schema: schemaOf(ERROR) } } }
  const errors = { '400': error, '401': error, '403': error, '404': error }
  const paths: Record<string, object> = {}
  for (const one of ROUTES) {
    const path = `/api/v1${one.path}`
    paths[path] = {
      ...paths[path],
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

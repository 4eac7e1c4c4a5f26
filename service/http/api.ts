import express, { type Request, type RequestHandler, type Response, type Router } from 'express'
import { z } from 'zod'
import type { Conflict, InstanceRecord } from '../catalogue/ports.ts'
import type { Role } from '../config/tokens.ts'
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
import { noteMatches, noting, notingCall } from './audit.ts'
import { AUDIT_ROUTES } from './audit-routes.ts'
import { actorOf, callerOf, only } from './auth.ts'
import { COMMITMENT_ROUTES } from './commitment-routes.ts'
import { CORRECTION_ROUTES } from './correction-routes.ts'
import { IMPORT_ROUTES } from './import-routes.ts'
import { officerOf } from './officer.ts'
import { RECONCILE_ROUTES } from './reconcile-routes.ts'
import { RETENTION_ROUTES } from './retention-routes.ts'
import { addRetentionStreams, RETENTION_STREAMS } from './retention-streams.ts'
import { sendText } from './send.ts'
import { SITE_ROUTES } from './site-routes.ts'
import { STORE_ROUTES } from './store-routes.ts'
import { TIER_ROUTES } from './tier-routes.ts'
import { sendInstance } from './wado.ts'
import { WORM_ROUTES } from './worm-routes.ts'

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
  kind: z.enum(['instance_stored', 'instance_conflict', 'instance_hidden', 'instance_restored', 'study_corrected']),
  at: timestamp,
  studyUid: uid,
  seriesUid: uid,
  sopInstanceUid: uid,
  sha256: sha256.or(z.literal('')),
})

/** Firn's own API: the same schemas validate, shape the answers and describe them. */
const ROUTES = [
  ...STORE_ROUTES,
  ...RETENTION_ROUTES,
  ...TIER_ROUTES,
  ...IMPORT_ROUTES,
  ...RECONCILE_ROUTES,
  ...WORM_ROUTES,
  ...CORRECTION_ROUTES,
  ...AUDIT_ROUTES,
  ...COMMITMENT_ROUTES,
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

/** The longest list of instances that a request may name fits. */
const BODY_BYTES_MAX = 1024 * 1024

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
  if (!record) throw noCopy()
  return record
}

const noCopy = (): ArchiveError => new ArchiveError('not_found', 'no copy has this digest')

/** Adds the API's routes below `/api/v1`. */
export function addApi(router: Router, context: ApiContext): void {
  for (const one of ROUTES) {
    const { method = 'get', path, role } = one
    const noted = notingCall(context.audit, method, path)
    router[method](expressPath(path), only(role), noted, ...bodyOf(one), serve(one, context))
  }
  router.get(expressPath(BY_DIGEST), only('read'), noting(context.audit, 'read', 'by-digest'), async (req, res) => {
    const copy = await copyByDigest(context, req.params.sha256)
    // Who may hide an instance may also look at it.
    const sees = ['records', 'admin'].some((role) => callerOf(req).roles.has(role as Role))
    if (!sees && (await context.corrections.isHidden(copy.sopInstanceUid))) throw noCopy()
    await sendInstance(context, req, res, copy)
  })
  addRetentionStreams(router, context)
  const document = JSON.stringify(openApi(context.version))
  router.get('/openapi.json', (req, res) => sendText(req, res, 'application/json', document))
}

const expressPath = (path: string): string => path.replace(/\{(\w+)\}/g, ':$1')

function serve(one: Route<z.ZodObject, z.ZodType>, context: ApiContext): RequestHandler {
  const query = one.query ?? z.object({})
  return async (req: Request, res: Response) => {
    const parsed = query.strict().safeParse(req.query)
    if (!parsed.success) throw invalid(parsed.error)
    const body = (one.body ?? z.unknown()).safeParse(req.body)
    if (!body.success) throw invalid(body.error)
    const call = { body: body.data, officer: officerOf(req, one.role), actor: actorOf(req, one.role) }
    const answer = await one.handle(context, parsed.data, req.params as Record<string, string>, call)
    noteMatches(req, answer)
    await sendText(req, res, 'application/json', JSON.stringify(answer))
  }
}

// No other type: a page in somebody's browser may send text anywhere without asking, JSON it may not.
const readJson = express.json({ limit: BODY_BYTES_MAX })
const bodyOf = ({ body }: Route<z.ZodObject, z.ZodType>): RequestHandler[] => (body ? [readJson] : [])

const invalid = (error: z.ZodError): ArchiveError =>
  new ArchiveError('invalid_request', z.prettifyError(error).replaceAll('\n', ' '))

/** OpenAPI 3.1, whose schemas are JSON Schema 2020-12 as zod writes it. */
function openApi(version: string) {
  const error = { description: 'why not', content: { 'application/json': { schema: schemaOf(ERROR) } } }
  const errors = { '400': error, '401': error, '403': error, '404': error, '409': error }
  const paths: Record<string, object> = {}
  for (const one of ROUTES) {
    const path = `/api/v1${one.path}`
    paths[path] = {
      ...paths[path],
      [one.method ?? 'get']: {
        summary: one.summary,
        'x-role': one.role,
        parameters: [...parametersOf('path', one.parameters), ...parametersOf('query', one.query)],
        ...(one.body
          ? { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(one.body) } } } }
          : {}),
        responses: {
          '200': { description: 'the answer', content: { 'application/json': { schema: schemaOf(one.answer) } } },
          ...errors,
        },
      },
    }
  }
  for (const { path, method, summary, query, type } of RETENTION_STREAMS) {
    paths[`/api/v1${path}`] = {
      [method]: {
        summary,
        'x-role': 'records',
        parameters: parametersOf('query', query),
        responses: { '200': { description: 'streamed', content: { [type]: {} } }, ...errors },
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

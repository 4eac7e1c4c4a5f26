import { z } from 'zod'
import type { Imports } from '../import/imports.ts'
import { count, pageSize, route, timestamp, uid } from './api-routes.ts'

/** What these routes need. */
export type ImportUseCases = Pick<Imports, 'list' | 'status' | 'start' | 'stop' | 'studies' | 'findings'>

const resultSchema = z.object({
  expected: count.describe('what the source lists'),
  here: count.describe('how many of those are here'),
  stored: count,
  duplicates: count.describe('were here already, byte for byte'),
  conflicts: count.describe('other bytes were here under their UID; both are kept'),
  refused: count,
  missing: count,
  verified: count.describe('were read twice, there and here'),
  differing: count.describe('of those, the ones that had another digest'),
  bytes: count,
})

const statusSchema = z.object({
  name: z.string(),
  type: z.enum(['folder', 'dicomweb', 'dimse']),
  state: z.enum(['new', 'running', 'stopped', 'done', 'listed']).describe('listed: a dry run has ended'),
  dryRun: z.boolean(),
  verify: z.number().describe('share of instances that are read twice'),
  listed: z.boolean().describe('the source was listed to its end'),
  totals: resultSchema.extend({
    studies: count,
    done: count,
    failed: count,
    listedInstances: count.describe('as far as the source says so before it is asked for a study'),
    listedBytes: count,
    findings: count,
  }),
  underway: z.object({ instances: count, bytes: count }).describe('of studies that are being taken now'),
  trouble: z.string().nullable().describe('why it does not go on now'),
  startedAt: timestamp.nullable(),
  endedAt: timestamp.nullable(),
})

const studySchema = resultSchema.extend({
  id: z.int().min(1),
  studyUid: uid,
  state: z.enum(['waiting', 'done', 'failed']),
  listedInstances: count.nullable(),
  reason: z.string().describe('why it was not taken at the last attempt'),
})

const findingSchema = z.object({
  id: z.int().min(1),
  studyUid: z.string(),
  kind: z.enum([
    'unreadable',
    'not_dicom',
    'refused',
    'conflict',
    'missing',
    'differs',
    'unlisted',
    'failed',
    'listing',
  ]),
  object: z.string().describe('SOP Instance UID or path'),
  detail: z.string(),
})

const name = z.object({ name: z.string().max(32) })
const flag = z.enum(['true', 'false']).default('false')
const page = { after: z.coerce.number().int().min(0).default(0), limit: pageSize }
const next = count.nullable().describe('pass as `after` to go on from here')

/** Imports from old archives. */
export const IMPORT_ROUTES = [
  route({
    path: '/imports',
    summary: 'The configured imports, and how far each is',
    role: 'admin',
    answer: z.object({ imports: z.array(statusSchema) }),
    handle: async ({ imports }) => ({ imports: await imports.list() }),
  }),
  route({
    path: '/imports/{name}',
    summary: 'How far an import is',
    role: 'admin',
    parameters: name,
    answer: statusSchema,
    handle: ({ imports }, _query, parameters) => imports.status(parameters.name ?? ''),
  }),
  route({
    path: '/imports/{name}',
    method: 'post',
    summary: 'Start an import, or go on with it',
    role: 'admin',
    parameters: name,
    query: z.object({
      dryRun: flag.describe('only list what the source holds'),
      again: flag.describe('take studies that are done once more'),
      verify: z.coerce.number().min(0).max(1).optional().describe('share of instances that are read twice'),
    }),
    answer: statusSchema,
    handle: ({ imports }, { dryRun, again, verify }, parameters, { actor }) =>
      imports.start(parameters.name ?? '', { listOnly: dryRun === 'true', again: again === 'true', verify }, actor),
  }),
  route({
    path: '/imports/{name}',
    method: 'delete',
    summary: 'Stop an import; what was taken stays, and it can be gone on with',
    role: 'admin',
    parameters: name,
    answer: statusSchema,
    handle: ({ imports }, _query, parameters) => imports.stop(parameters.name ?? ''),
  }),
  route({
    path: '/imports/{name}/studies',
    summary: 'What the source says of each study against what is here',
    role: 'admin',
    parameters: name,
    query: z.object({ ...page, state: z.enum(['waiting', 'done', 'failed']).optional() }),
    answer: z.object({ studies: z.array(studySchema), next }),
    async handle({ imports }, { after, limit, state }, parameters) {
      const found = await imports.studies(parameters.name ?? '', { after, limit, ...(state ? { state } : {}) })
      const studies = found.map(({ id, studyUid, state, expected, reason, result }) => ({
        id,
        studyUid,
        state,
        listedInstances: expected,
        reason,
        ...result,
      }))
      return { studies, next: found.length === limit ? (found.at(-1)?.id ?? null) : null }
    },
  }),
  route({
    path: '/imports/{name}/findings',
    summary: 'What is missing, differs, or could not be read',
    role: 'admin',
    parameters: name,
    query: z.object(page),
    answer: z.object({ findings: z.array(findingSchema), next }),
    async handle({ imports }, { after, limit }, parameters) {
      const findings = await imports.findings(parameters.name ?? '', { after, limit })
      return { findings, next: findings.length === limit ? (findings.at(-1)?.id ?? null) : null }
    },
  }),
]

import { z } from 'zod'
import { count, pageSize, route, timestamp } from './api-routes.ts'

const kinds = z.object({
  pack_unknown: count,
  copy_unknown: count,
  foreign: count,
  copy_missing: count,
  wrong_size: count,
  store_unknown: count,
  too_few: count,
  young: count.describe('objects that may be being recorded just now; nothing is wrong with them'),
  store_unreadable: count,
})

const reportSchema = z.object({
  state: z.enum(['running', 'done', 'stopped']),
  apply: z.boolean(),
  objects: count,
  packs: count,
  copies: count,
  findings: kinds,
  applied: count.describe('findings that something was done about'),
  trouble: z.string().nullable(),
  startedAt: timestamp,
  endedAt: timestamp.nullable(),
})

const findingSchema = z.object({
  kind: kinds.keyof(),
  store: z.string(),
  key: z.string(),
  sizeBytes: count.nullable(),
  why: z.string().describe('what it is, and what to do about it'),
  done: z.string().describe('what was done about it; empty where nothing was'),
})

/** The stores against the catalogue. */
export const RECONCILE_ROUTES = [
  route({
    path: '/reconcile',
    method: 'post',
    summary: 'Compare every store with the catalogue, in the background; one that is under way goes on as it is',
    role: 'admin',
    query: z.object({
      apply: z
        .enum(['true', 'false'])
        .default('false')
        .describe('record whole copies, and have missing ones made anew'),
    }),
    answer: reportSchema,
    handle: ({ reconciler }, { apply }) => reconciler.start(apply === 'true'),
  }),
  route({
    path: '/reconcile',
    summary: 'How far the comparison is, the one under way or the last one',
    role: 'admin',
    answer: reportSchema.nullable().describe('null: none since the node was started'),
    handle: async ({ reconciler }) => reconciler.report ?? null,
  }),
  route({
    path: '/reconcile/findings',
    summary: 'What the last comparison found',
    role: 'admin',
    query: z.object({ after: z.coerce.number().int().min(0).default(0), limit: pageSize }),
    answer: z.object({
      findings: z.array(findingSchema),
      next: count.nullable().describe('pass as `after` to go on from here'),
    }),
    async handle({ reconciler }, { after, limit }) {
      if (!(await reconciler.findings.exists())) return { findings: [], next: null }
      const { rows, next } = await reconciler.findings.page(after, limit)
      return { findings: rows as z.output<typeof findingSchema>[], next }
    },
  }),
]

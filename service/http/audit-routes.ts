import { z } from 'zod'
import type { AuditPlace } from '../audit/ports.ts'
import { ArchiveError } from '../errors.ts'
import { route, sha256, timestamp } from './api-routes.ts'

const text = z.string().min(1).max(256)
const moment = z
  .string()
  .regex(
    /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/,
    'a date, or a time with its zone, such as 2026-11-24T19:00:00Z',
  )

const eventSchema = z.object({
  site: z.string(),
  seq: z.int().min(1).describe("the event's number in its site's log"),
  hash: sha256.describe('of its line there'),
  at: timestamp,
  kind: z.string(),
  actor: z.object({ name: z.string(), role: z.string(), from: z.string() }),
  subject: z.record(z.string(), z.string()),
  data: z.record(z.string(), z.unknown()),
})

/** Who did what with which study: for records officers, who are told of in the trail as everybody is. */
export const AUDIT_ROUTES = [
  route({
    path: '/audit',
    summary: 'The audit trail, the newest first: accesses and changes by study, person, kind and time',
    role: 'records',
    query: z.object({
      study: text.optional().describe('Study Instance UID'),
      actor: text.optional().describe('name of a token, or AE title'),
      kind: z
        .string()
        .regex(/^[a-z][a-z0-9-]*([.][a-z0-9-]+)*$/)
        .max(64)
        .optional()
        .describe('such as `access.read`, or `access` for all of its family'),
      from: moment.optional().describe('a date begins at midnight UTC'),
      to: moment.optional().describe('before it'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      cursor: z.string().max(400).optional().describe('`next` of the page before'),
    }),
    answer: z.object({
      events: z.array(eventSchema),
      next: z
        .string()
        .nullable()
        .describe(
          'pass as `cursor` to go on; a page with fewer events than asked for may have one; null: that was all',
        ),
    }),
    async handle({ auditQueries }, { study, actor, kind, from, to, limit, cursor }) {
      const filter = { study, actor, kind, from: toTime(from), to: toTime(to) }
      const page = await auditQueries.audit(filter, { limit, before: placeOf(cursor) })
      const events = page.events.map((event) => ({ ...event, subject: { ...event.subject } as Record<string, string> }))
      return { events, next: page.next ? cursorOf(page.next) : null }
    },
  }),
]

/** As events write it. */
function toTime(moment: string | undefined): string | undefined {
  if (moment === undefined) return undefined
  const time = new Date(moment)
  if (Number.isNaN(time.getTime())) throw new ArchiveError('invalid_request', `${moment} is no date or time`)
  return time.toISOString()
}

const cursorOf = ({ at, site, seq }: AuditPlace): string =>
  Buffer.from(JSON.stringify([at, site, seq])).toString('base64url')

const cursorSchema = z.tuple([z.string().max(32), z.string().max(64), z.int().min(0)])

function placeOf(cursor: string | undefined): AuditPlace | undefined {
  if (cursor === undefined) return undefined
  try {
    const [at, site, seq] = cursorSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()))
    return { at, site, seq }
  } catch {
    throw new ArchiveError('invalid_request', 'the cursor is not one of this API')
  }
}

import type { Knex } from 'knex'
import type { AuditFilter, AuditPage, AuditPlace } from '../../audit/ports.ts'
import { AUDIT_TABLE, type AuditRow, fromRow } from './projections/audit.ts'

/** So many rows are looked at for one page: a rare kind among a busy person's events takes several pages, not long. */
const SCANNED_MAX = 5000
const ORDER = ['at', 'site', 'seq'] as const

type Rows = Knex.QueryBuilder<AuditRow, AuditRow[]>

/** Events by their own time, the newest first: that is how people look for them; nothing is decided by it. */
export async function auditEvents(
  knex: Knex,
  filter: AuditFilter,
  { limit, before }: { limit: number; before?: AuditPlace | undefined },
): Promise<AuditPage> {
  const leading = leadingOf(filter)
  const scanned = inOrder(within(knex(AUDIT_TABLE), filter, before)).limit(SCANNED_MAX)
  if (leading) scanned.where(leading, filter[leading] as string)
  const rows: AuditRow[] = await inOrder(matching(knex.from(scanned.clone().as('scanned')), filter)).limit(limit)
  const events = rows.map(fromRow)
  const last = rows.at(-1)
  if (rows.length === limit) return { events, next: last && placeOf(last) }
  const end: AuditRow | undefined = await scanned
    .clone()
    .offset(SCANNED_MAX - 1)
    .limit(1)
    .first()
  return { events, next: end && placeOf(end) }
}

const placeOf = ({ at, site, seq }: AuditRow): AuditPlace => ({ at, site, seq })

/** The one that leaves the fewest. */
function leadingOf({ study, actor, kind }: AuditFilter): 'study' | 'actor' | 'kind' | undefined {
  if (study !== undefined) return 'study'
  if (actor !== undefined) return 'actor'
  return kind === undefined || isFamily(kind) ? undefined : 'kind'
}

/** `access` stands for all of `access.read`, `access.query` ... */
const isFamily = (kind: string): boolean => !kind.includes('.')

function within(query: Rows, { from, to }: AuditFilter, before: AuditPlace | undefined): Rows {
  if (from !== undefined) query.where('at', '>=', from)
  if (to !== undefined) query.where('at', '<', to)
  if (before) query.whereRaw('(at, site, seq) < (?, ?, ?)', [before.at, before.site, before.seq])
  return query
}

function matching(query: Knex.QueryBuilder, { study, actor, kind }: AuditFilter): Rows {
  if (study !== undefined) query.where({ study })
  if (actor !== undefined) query.where({ actor })
  if (kind !== undefined && isFamily(kind)) query.where('kind', 'like', `${kind}.%`)
  else if (kind !== undefined) query.where({ kind })
  return query
}

function inOrder(query: Rows): Rows {
  return query.orderBy(ORDER.map((column) => ({ column, order: 'desc' as const })))
}

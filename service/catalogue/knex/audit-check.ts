import { join } from 'node:path'
import type { Knex } from 'knex'
import type { Event } from '../../events/event.ts'
import { known } from '../../events/kinds.ts'
import { openReader, openWriter } from './connect.ts'
import { AUDIT_TABLE, type AuditRow, isAudited, toRow } from './projections/audit.ts'
import { projectedUpTo } from './projections/index.ts'

/** What the index of the audit trail says otherwise than the log. */
export interface AuditDifference {
  site: string
  seq: number
  /** `altered`: another text. `removed`: the log has it, the index doesn't. `invented`: the other way round. */
  found: 'altered' | 'removed' | 'invented'
  /** Columns that differ. */
  columns: string[]
}

export interface AuditCheckOptions {
  url?: string | undefined
  dataDir: string
  /** Each log's events, in order, from its first one. */
  logs: readonly { site: string; events: AsyncIterable<readonly Event[]> }[]
  /** Makes the index say again what the log says. No node may run meanwhile. */
  repair?: boolean
  differences(some: readonly AuditDifference[]): void
}

/** Compares the index with the logs, which are the truth, row by row in bounded memory. Resolves with the rows compared. */
export async function checkAudit({ url, dataDir, logs, repair, differences }: AuditCheckOptions): Promise<number> {
  const options = { url, file: join(dataDir, 'catalogue.sqlite') }
  const knex = repair ? openWriter(options) : openReader(options)
  try {
    let rows = 0
    for (const { site, events } of logs) {
      // What the catalogue has yet to take in is not missing.
      const upTo = await projectedUpTo(knex, site)
      let after = 0
      for await (const some of events) {
        const last = Math.min(some.at(-1)?.seq ?? after, upTo)
        if (last <= after) continue
        rows += await compare(knex, { site, events: some, after, last, repair: repair ?? false, differences })
        after = last
      }
      // A node may have taken in more meanwhile; behind that nothing can be right.
      const behind = { after: Math.max(after, await projectedUpTo(knex, site)), last: Number.MAX_SAFE_INTEGER }
      await compare(knex, { site, events: [], ...behind, repair: repair ?? false, differences })
    }
    await others(knex, { sites: logs.map(({ site }) => site), repair: repair ?? false, differences })
    return rows
  } finally {
    await knex.destroy()
  }
}

interface Stretch {
  site: string
  events: readonly Event[]
  after: number
  last: number
  repair: boolean
  differences(some: readonly AuditDifference[]): void
}

const ROWS_AT_ONCE = 1000

async function compare(knex: Knex, { site, events, after, last, repair, differences }: Stretch): Promise<number> {
  const wanted = new Map<number, AuditRow>()
  for (const event of events) {
    const isIndexed = isAudited(event.kind) && event.seq > after && event.seq <= last && known(event) !== undefined
    if (isIndexed) wanted.set(event.seq, toRow(event, site))
  }
  const found: AuditDifference[] = []
  const there = new Set<number>()
  for (let from = after; ; ) {
    const rows: AuditRow[] = await knex(AUDIT_TABLE)
      .where({ site })
      .whereBetween('seq', [from + 1, last])
      .orderBy('seq')
      .limit(ROWS_AT_ONCE)
    for (const row of rows) {
      there.add(row.seq)
      const right = wanted.get(row.seq)
      const columns = right ? differing(row, right) : []
      if (!right) found.push({ site, seq: row.seq, found: 'invented', columns })
      else if (columns.length > 0) found.push({ site, seq: row.seq, found: 'altered', columns })
    }
    if (rows.length < ROWS_AT_ONCE) break
    from = rows.at(-1)?.seq ?? last
  }
  for (const seq of wanted.keys()) if (!there.has(seq)) found.push({ site, seq, found: 'removed', columns: [] })
  if (found.length > 0) differences(found)
  if (repair) await makeGood(knex, found, wanted)
  return wanted.size
}

function differing(row: AuditRow, right: AuditRow): string[] {
  return (Object.keys(right) as (keyof AuditRow)[]).filter((column) => row[column] !== right[column])
}

async function makeGood(
  knex: Knex,
  found: readonly AuditDifference[],
  wanted: ReadonlyMap<number, AuditRow>,
): Promise<void> {
  for (const { site, seq } of found) {
    const row = wanted.get(seq)
    await knex.transaction(async (trx) => {
      await trx(AUDIT_TABLE).where({ site, seq }).del()
      if (row) await trx(AUDIT_TABLE).insert(row)
    })
  }
}

/** Rows of sites that have no log here. */
async function others(
  knex: Knex,
  { sites, repair, differences }: Pick<Stretch, 'repair' | 'differences'> & { sites: readonly string[] },
): Promise<void> {
  const rows: AuditRow[] = await knex(AUDIT_TABLE).whereNotIn('site', sites).limit(ROWS_AT_ONCE)
  if (rows.length === 0) return
  differences(rows.map(({ site, seq }) => ({ site, seq, found: 'invented' as const, columns: [] })))
  if (repair) await knex(AUDIT_TABLE).whereNotIn('site', sites).del()
}

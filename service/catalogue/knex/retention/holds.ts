import type { Knex } from 'knex'
import type { HoldEvent } from '../../../../retention/holds.ts'
import type { Page, TargetKind } from '../../retention-ports.ts'

const UIDS_PER_QUERY = 500

interface Row {
  hold: string
  body: string
}

/**
 * A query's hold names its studies in `hold_targets` alone. For what is asked about one study its placing says that it
 * found this one, which is all that counts there.
 */
function eventsIn(rows: readonly Row[], studyUid?: string): HoldEvent[] {
  return rows.flatMap(({ body }) =>
    (JSON.parse(body) as HoldEvent[]).map((event) =>
      studyUid !== undefined && event.kind === 'placed' && event.target.kind === 'query'
        ? { ...event, target: { ...event.target, studyUids: [studyUid] } }
        : event,
    ),
  )
}

/** Of holds that name the study itself a query's speaks of the study, those on the patient never do. */
export async function holdEventsOn(knex: Knex, studyUid: string, patient: string): Promise<HoldEvent[]> {
  const ids = knex('hold_targets')
    .where({ kind: 'study', target: studyUid })
    .orWhere({ kind: 'patient', target: patient })
    .select('hold')
  return eventsIn(await knex('hold_events').whereIn('hold', ids).orderBy(['hold', 'site', 'seq']), studyUid)
}

export async function holdEvents(knex: Knex, holdId: string): Promise<HoldEvent[]> {
  return eventsIn(await knex('hold_events').where({ hold: holdId }).orderBy(['site', 'seq']))
}

export async function holdStudies(knex: Knex, holdId: string): Promise<number> {
  const [row] = await knex('hold_targets').where({ hold: holdId, kind: 'study' }).count({ n: '*' })
  return Number(row?.n ?? 0)
}

export async function holds(knex: Knex, state: string, { after = '', limit }: Page): Promise<string[]> {
  const page = knex('holds').where('id', '>', after).whereNot('state', 'unknown').orderBy('id').limit(limit)
  if (state !== 'all') page.where({ state })
  return (await page.select('id')).map(({ id }) => id)
}

/** Whether any of the studies is held: by itself, by a query that found it, or by its patient. */
export async function isHeld(knex: Knex, studyUids: readonly string[]): Promise<boolean> {
  for (let at = 0; at < studyUids.length; at += UIDS_PER_QUERY) {
    const some = studyUids.slice(at, at + UIDS_PER_QUERY)
    const patients = knex('studies')
      .join('patients', 'patients.id', 'studies.patient')
      .whereIn('studies.uid', some)
      .select('patients.identity')
    if (await active(knex, 'study', some)) return true
    if (await active(knex, 'patient', patients)) return true
  }
  return false
}

async function active(knex: Knex, kind: TargetKind, targets: readonly string[] | Knex.QueryBuilder): Promise<boolean> {
  const found = await knex('hold_targets')
    .join('holds', 'holds.id', 'hold_targets.hold')
    .where({ 'hold_targets.kind': kind, 'holds.state': 'active' })
    .whereIn('hold_targets.target', targets as never)
    .first('holds.id')
  return found !== undefined
}

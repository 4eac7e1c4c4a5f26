import type { Knex } from 'knex'
import { type HoldEvent, HoldSet, type HoldTarget } from '../../../../retention/holds.ts'
import type { ProjectedEvent, Projection } from './projection.ts'

/** Holds: a set of events that only grows; which are active is worked out from the whole of it (retention/holds.ts). */
export const holds: Projection = {
  kinds: ['hold.placed', 'hold.expanded', 'hold.agreed', 'hold.released', 'hold.confirmed'],
  tables: ['holds', 'hold_events', 'hold_targets'],
  async apply(trx, event, site) {
    const hold = event.subject.hold
    if (hold === undefined) return
    for (const [kind, target] of targetsOf(event)) {
      await trx('hold_targets').insert({ hold, kind, target }).onConflict(['hold', 'kind', 'target']).ignore()
    }
    const holdEvents = holdEventsOf(event, hold, site)
    if (holdEvents.length === 0) return
    const row = { hold, site, seq: event.seq, body: JSON.stringify(holdEvents) }
    await trx('hold_events').insert(row).onConflict(['hold', 'site', 'seq']).ignore()
    await trx('holds')
      .insert({ id: hold, state: await stateOf(trx, hold) })
      .onConflict('id')
      .merge()
  },
}

async function stateOf(trx: Knex.Transaction, hold: string): Promise<string> {
  const rows: { body: string }[] = await trx('hold_events').where({ hold }).select('body')
  const events = rows.flatMap(({ body }) => JSON.parse(body) as HoldEvent[])
  return new HoldSet([], events).hold(hold)?.state ?? 'unknown'
}

function targetsOf(event: ProjectedEvent): [kind: string, target: string][] {
  const { subject } = event
  if (event.kind === 'hold.expanded') return event.data.studies.map((studyUid) => ['study', studyUid])
  if (event.kind !== 'hold.placed') return []
  if (subject.study !== undefined) return [['study', subject.study]]
  return subject.patient === undefined ? [] : [['patient', subject.patient]]
}

/** The studies of a query are among the targets, and left out here. */
function targetOf({ subject, data }: Extract<ProjectedEvent, { kind: 'hold.placed' }>): HoldTarget {
  if (subject.study !== undefined) return { kind: 'study', studyUid: subject.study }
  if (subject.patient !== undefined) return { kind: 'patient', patientKey: subject.patient }
  return { kind: 'query', query: JSON.stringify(data.query ?? {}), studyUids: [] }
}

function holdEventsOf(event: ProjectedEvent, holdId: string, site: string): HoldEvent[] {
  const { at, actor, seq, generation } = event
  const base = { id: `${site}:${seq}`, holdId, site, generation, by: actor.name, at }
  switch (event.kind) {
    case 'hold.placed': {
      const { case: caseReference, reason, holder } = event.data
      return [{ ...base, kind: 'placed', target: targetOf(event), caseReference, reason, holder }]
    }
    case 'hold.agreed':
      return [{ ...base, kind: 'release-agreed', reason: event.data.reason }]
    case 'hold.released':
      return [{ ...base, kind: 'release-agreed', reason: event.data.reason, by: event.data.approvedBy }]
    case 'hold.confirmed':
      return [{ ...base, kind: 'confirmed' }]
    default:
      return []
  }
}

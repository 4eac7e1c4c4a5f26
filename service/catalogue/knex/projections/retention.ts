import type { Knex } from 'knex'
import type { ProjectedEvent, Projection } from './projection.ts'

/** Policies, decisions, classifications, notes and the compliance clock. */
export const retention: Projection = {
  kinds: [
    'retention.policy',
    'retention.decided',
    'retention.classified',
    'retention.noted',
    'clock.observed',
    'clock.set',
  ],
  tables: [
    'retention_policies',
    'retention_decisions',
    'retention_evaluated',
    'retention_overrides',
    'retention_notes',
    'compliance_clocks',
  ],
  many: {
    'retention.decided': (trx, events, site) => decided(trx, events as EventOf<'retention.decided'>[], site),
  },
  async apply(trx, event, site) {
    switch (event.kind) {
      case 'retention.policy':
        return policy(trx, event, site)
      case 'retention.decided':
        return decided(trx, [event], site)
      case 'retention.classified':
        return classified(trx, event)
      case 'retention.noted':
        return noted(trx, event)
      case 'clock.observed':
      case 'clock.set':
        return clock(trx, event, site)
      default:
    }
  },
}

type EventOf<K extends ProjectedEvent['kind']> = Extract<ProjectedEvent, { kind: K }>

/** A digest that two sites or two times brought into force is one policy; which event tells it last doesn't matter. */
async function policy(trx: Knex.Transaction, { subject, data, seq }: EventOf<'retention.policy'>, site: string) {
  const volume = subject.volume ?? 'default'
  const row = { digest: data.digest, volume, body: JSON.stringify(data.policy), site, seq }
  await trx('retention_policies').insert(row).onConflict('digest').merge(['site', 'seq'])
}

const ROWS_PER_INSERT = 200

/** The later date wins, and of one site's decisions for the same date the last one; so it doesn't matter who tells first. */
async function decided(trx: Knex.Transaction, events: readonly EventOf<'retention.decided'>[], site: string) {
  const rows = new Map<string, object & { retain_until: string }>()
  for (const { subject, data, seq, at } of events) {
    if (subject.study === undefined) continue
    const row = {
      study_uid: subject.study,
      retain_until: data.retainUntil ?? 'forever',
      ...{ rule: data.rule, policy: data.policy, inputs: JSON.stringify(data.inputs), at, site, seq },
    }
    const before = rows.get(row.study_uid)
    if (!before || row.retain_until >= before.retain_until) rows.set(row.study_uid, row)
  }
  const all = [...rows.values()]
  for (let at = 0; at < all.length; at += ROWS_PER_INSERT) {
    await trx('retention_decisions')
      .insert(all.slice(at, at + ROWS_PER_INSERT))
      .onConflict('study_uid')
      .merge()
      .whereRaw(LATER)
  }
}

const LATER =
  '(excluded.retain_until, excluded.site, excluded.seq) > ' +
  '(retention_decisions.retain_until, retention_decisions.site, retention_decisions.seq)'

async function classified(trx: Knex.Transaction, { subject, data, actor, at }: EventOf<'retention.classified'>) {
  if (subject.study === undefined) return
  const body = JSON.stringify({ ...data, studyUid: subject.study, by: actor.name, at })
  await trx('retention_overrides').insert({ id: data.id, study_uid: subject.study, body }).onConflict('id').ignore()
  await lookAgain(trx, 'study', subject.study)
}

async function noted(trx: Knex.Transaction, { subject, data, actor, at }: EventOf<'retention.noted'>) {
  const target_kind = subject.study === undefined ? 'patient' : 'study'
  const target = subject.study ?? subject.patient ?? ''
  const body = JSON.stringify({ ...data, by: actor.name, at })
  await trx('retention_notes').insert({ id: data.id, target_kind, target, body }).onConflict('id').ignore()
  await lookAgain(trx, target_kind, target)
}

/** The next run decides anew about it. */
async function lookAgain(trx: Knex.Transaction, kind: string, target: string) {
  const forget = trx('retention_evaluated')
  if (kind === 'study') await forget.where({ study_uid: target }).del()
  else {
    const patient = trx('patients').where({ identity: target }).select('id')
    await forget.whereIn('study_uid', trx('studies').whereIn('patient', patient).select('uid')).del()
  }
}

async function clock(trx: Knex.Transaction, { data }: EventOf<'clock.observed' | 'clock.set'>, site: string) {
  const row = { site, clock: data.clockId, compliance_ms: data.complianceMs }
  await trx('compliance_clocks')
    .insert(row)
    .onConflict('site')
    .merge()
    .whereRaw('excluded.compliance_ms > compliance_clocks.compliance_ms')
}

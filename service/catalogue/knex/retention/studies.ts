import type { Knex } from 'knex'
import type { ClassOverride } from '../../../../retention/classify.ts'
import type { RetentionEvent } from '../../../../retention/facts.ts'
import type { Evaluated, Expiring, Page, ReportRow, StoredDecision } from '../../retention-ports.ts'

const PAGE_ROWS = 1000

export const inBackslashes = (text: string): string[] => text.split('\\').filter((part) => part !== '')

/** What an officer recorded, without who and why. */
export function toNote(body: string): RetentionEvent {
  const { id, kind, date, recordedOn, ends } = JSON.parse(body) as RetentionEvent
  return { id, kind, recordedOn, ...(date === undefined ? {} : { date }), ...(ends === undefined ? {} : { ends }) }
}

export function toDecision(row: {
  study_uid: string
  retain_until: string
  rule: string
  policy: string
  inputs: string
  at: string
}): StoredDecision {
  return {
    studyUid: row.study_uid,
    retainUntil: row.retain_until,
    rule: row.rule,
    policy: row.policy,
    inputs: JSON.parse(row.inputs),
    at: row.at,
  }
}

export async function overrides(knex: Knex, studyUid: string): Promise<ClassOverride[]> {
  const rows: { body: string }[] = await knex('retention_overrides').where({ study_uid: studyUid }).select('body')
  return rows.map(({ body }) => JSON.parse(body) as ClassOverride)
}

export async function policies(knex: Knex): Promise<Map<string, unknown>> {
  const rows: { digest: string; body: string }[] = await knex('retention_policies').select('digest', 'body')
  return new Map(rows.map(({ digest, body }) => [digest, JSON.parse(body)]))
}

export async function decision(knex: Knex, studyUid: string): Promise<StoredDecision | undefined> {
  const row = await knex('retention_decisions').where({ study_uid: studyUid }).first()
  return row && toDecision(row)
}

export async function patientOf(knex: Knex, studyUid: string): Promise<string | undefined> {
  const row = await knex('studies')
    .join('patients', 'patients.id', 'studies.patient')
    .where('studies.uid', studyUid)
    .first('patients.identity')
  return row?.identity
}

export async function stale(knex: Knex, policyDigest: string, { after, limit }: { after: number; limit: number }) {
  return knex('studies')
    .join('patients', 'patients.id', 'studies.patient')
    .leftJoin('retention_evaluated as e', 'e.study_uid', 'studies.uid')
    .where('studies.id', '>', after)
    .where((changed) =>
      changed
        .whereNull('e.study_uid')
        .orWhereRaw('e.received <> studies.last_received')
        .orWhere('e.policy_digest', '<>', policyDigest),
    )
    .orderBy('studies.id')
    .limit(limit)
    .select({ id: 'studies.id', patient: 'patients.identity' })
}

export async function markEvaluated(knex: Knex, studies: readonly Evaluated[]): Promise<void> {
  const rows = studies.map(({ studyUid, version, policyDigest, classes }) => ({
    study_uid: studyUid,
    received: version,
    policy_digest: policyDigest,
    classes: classes.length === 0 ? '' : `\\${classes.join('\\')}\\`,
  }))
  await knex.transaction(async (trx) => {
    for (let at = 0; at < rows.length; at += 200) {
      await trx('retention_evaluated')
        .insert(rows.slice(at, at + 200))
        .onConflict('study_uid')
        .merge()
    }
  })
}

/** The cursor is `DAY STUDY`, which no day holds a blank of. */
export async function expiring(knex: Knex, from: string, to: string, { after, limit }: Page): Promise<Expiring[]> {
  const page = knex('retention_decisions as d')
    .join('studies', 'studies.uid', 'd.study_uid')
    .join('patients', 'patients.id', 'studies.patient')
    .where('d.retain_until', '>=', from)
    .where('d.retain_until', '<=', to)
    .orderBy([{ column: 'd.retain_until' }, { column: 'd.study_uid' }])
    .limit(limit)
  const [day, uid] = after?.split(' ') ?? []
  if (day !== undefined && uid !== undefined) page.whereRaw('(d.retain_until, d.study_uid) > (?, ?)', [day, uid])
  const rows = await page.select('d.study_uid', 'd.retain_until', 'd.rule', 'd.policy', 'patients.identity')
  return rows.map((row) => ({
    studyUid: row.study_uid,
    patient: row.identity,
    retainUntil: row.retain_until,
    rule: row.rule,
    policy: row.policy,
  }))
}

export async function* report(knex: Knex): AsyncGenerator<ReportRow> {
  for (let after = 0; ; ) {
    const rows = await knex('studies')
      .join('patients', 'patients.id', 'studies.patient')
      .leftJoin('retention_decisions as d', 'd.study_uid', 'studies.uid')
      .leftJoin('retention_evaluated as e', 'e.study_uid', 'studies.uid')
      .where('studies.id', '>', after)
      .orderBy('studies.id')
      .limit(PAGE_ROWS)
      .select(
        ...['studies.id', 'studies.uid', 'studies.study_date', 'studies.instance_count', 'studies.bytes'],
        ...['patients.identity', 'd.retain_until', 'd.rule', 'd.policy', 'e.classes'],
      )
    for (const row of rows) {
      yield {
        studyUid: row.uid,
        patient: row.identity,
        studyDate: row.study_date,
        classes: inBackslashes(row.classes ?? ''),
        instances: row.instance_count,
        bytes: row.bytes,
        retainUntil: row.retain_until ?? undefined,
        rule: row.rule ?? undefined,
        policy: row.policy ?? undefined,
      }
    }
    if (rows.length < PAGE_ROWS) return
    after = rows.at(-1).id
  }
}

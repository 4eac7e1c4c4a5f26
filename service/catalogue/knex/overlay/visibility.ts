import type { Knex } from 'knex'
import type { Change } from '../../ports.ts'
import { addChanges } from '../feed.ts'

/** Which rejected instances are shown all the same. */
export interface RejectionPolicy {
  /** Code values of reasons for which nothing is hidden. */
  shownCodes: readonly string[]
  /** Whether Key Object Selection documents that reject something are shown. */
  notesShown: boolean
}

const POLICY = 'rejection_policy'
const HIDE_ALL: RejectionPolicy = { shownCodes: [], notesShown: false }
const UIDS_PER_QUERY = 200

export async function policyOf(knex: Knex): Promise<RejectionPolicy> {
  const row = await knex('meta').where({ key: POLICY }).first('value')
  return row ? (JSON.parse(row.value) as RejectionPolicy) : HIDE_ALL
}

/** Remembers the policy; whatever it changes is shown or hidden in the same transaction. */
export async function setPolicy(knex: Knex, policy: RejectionPolicy): Promise<void> {
  await knex.transaction(async (trx) => {
    const value = JSON.stringify(policy)
    if (JSON.stringify(await policyOf(trx)) === value) return
    await trx('meta').insert({ key: POLICY, value }).onConflict('key').merge()
    const at = new Date().toISOString()
    for (let last = ''; ; ) {
      const uids = await trx('rejected_instances')
        .where('instance_uid', '>', last)
        .distinct('instance_uid')
        .orderBy('instance_uid')
        .limit(UIDS_PER_QUERY)
        .pluck('instance_uid')
      if (uids.length === 0) return
      await showOrHide(trx, uids, at)
      last = uids.at(-1)
    }
  })
}

/** Of these instances those that are to be hidden, as `study instance`: a rejection speaks of an instance of one study. */
export async function rejectedAmong(knex: Knex, uids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows: RejectedRow[] = await activeRejections(knex).whereRaw(isAmong(knex), [
    knex.client.config.client === 'pg' ? [...uids] : JSON.stringify(uids),
  ])
  if (rows.length === 0) return NONE
  const policy = await policyOf(knex)
  return new Set(rows.filter((row) => hides(row, policy)).map((row) => `${row.study_uid} ${row.instance_uid}`))
}

interface RejectedRow {
  instance_uid: string
  study_uid: string
  code: string
  is_note: boolean | number
}

const NONE: ReadonlySet<string> = new Set()

/** One value for the whole list: a statement with hundreds of them costs more to build than to run. */
const isAmong = (knex: Knex): string =>
  knex.client.config.client === 'pg' ? 'r.instance_uid = ANY(?)' : 'r.instance_uid IN (SELECT value FROM json_each(?))'

/** False in most archives, where nothing further need be asked about what comes in. */
export async function hasRejections(knex: Knex): Promise<boolean> {
  return (await knex('rejections').first('id')) !== undefined
}

/** Rejections of instances that nobody has taken back. */
export function activeRejections(knex: Knex): Knex.QueryBuilder {
  return knex('rejected_instances as r')
    .leftJoin('restorations as b', (on) => {
      on.on('b.rejection', 'r.rejection').andOn((either) => {
        either.on('b.instance_uid', 'r.instance_uid').orOnVal('b.instance_uid', '')
      })
    })
    .whereNull('b.rejection')
    .select('r.instance_uid', 'r.study_uid', 'r.rejection', 'r.code', 'r.is_note')
}

function hides({ code, is_note }: RejectedRow, policy: RejectionPolicy): boolean {
  return !policy.shownCodes.includes(code) && !(is_note && policy.notesShown)
}

/** Brings what is shown of these instances into line with their rejections, with counts and change feed. */
export async function showOrHide(trx: Knex.Transaction, uids: readonly string[], at: string): Promise<void> {
  const studies = new Set<number>()
  for (let start = 0; start < uids.length; start += UIDS_PER_QUERY) {
    const some = uids.slice(start, start + UIDS_PER_QUERY)
    const hidden = await rejectedAmong(trx, some)
    const rows: Row[] = await trx('instances')
      .join('studies', 'studies.id', 'instances.study')
      .join('series', 'series.id', 'instances.series')
      .whereIn('instances.uid', some)
      .select('instances.id', 'instances.study', 'instances.uid', 'instances.hidden', 'instances.sha256')
      .select('studies.uid as study_uid', 'series.uid as series_uid')
    const wrong = rows.filter((row) => Boolean(row.hidden) !== hidden.has(`${row.study_uid} ${row.uid}`))
    for (const isHidden of [true, false]) {
      const ids = wrong.filter((row) => Boolean(row.hidden) !== isHidden).map(({ id }) => id)
      if (ids.length > 0) await trx('instances').whereIn('id', ids).update({ hidden: isHidden })
    }
    for (const { study } of wrong) studies.add(study)
    await addChanges(
      trx,
      wrong.map((row) => changeOf(row, row.hidden ? 'instance_restored' : 'instance_hidden', at)),
    )
  }
  for (const study of studies) {
    await recount(trx, study)
    await trx('studies').where({ id: study }).increment('revision')
  }
}

interface Row {
  id: number
  study: number
  uid: string
  hidden: boolean | number
  sha256: string
  study_uid: string
  series_uid: string
}

function changeOf(row: Row, kind: Change['kind'], at: string): Omit<Change, 'seq'> {
  return {
    kind,
    at,
    studyUid: row.study_uid,
    seriesUid: row.series_uid,
    sopInstanceUid: row.uid,
    sha256: row.sha256,
  }
}

/** Counts of a study and its series are of what is shown; a study or series of which nothing is shown isn't either. */
export async function recount(trx: Knex.Transaction, study: number): Promise<void> {
  await trx('series')
    .where({ study })
    .update({
      instance_count: trx.raw(
        '(SELECT count(*) FROM instances WHERE instances.series = series.id AND instances.hidden = ?)',
        [false],
      ),
    })
  const visible = (): Knex.QueryBuilder => trx('series').where({ study }).where('instance_count', '>', 0)
  const modalities: string[] = await visible().distinct('modality').orderBy('modality').pluck('modality')
  const sums = await visible().sum({ instances: 'instance_count' }).select(trx.raw('count(*) AS series')).first()
  await trx('studies')
    .where({ id: study })
    .update({
      instance_count: Number(sums?.instances ?? 0),
      series_count: Number(sums?.series ?? 0),
      modalities: severalOf(modalities),
    })
}

function severalOf(names: readonly string[]): string {
  const some = names.filter((name) => name !== '')
  return some.length === 0 ? '' : `\\${some.join('\\')}\\`
}

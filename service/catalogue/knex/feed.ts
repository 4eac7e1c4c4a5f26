import type { Knex } from 'knex'
import type { Change } from '../ports.ts'

/** SQLite takes 32,766 parameters a statement. */
const ROWS_PER_INSERT = 200

/** The counter's row lock puts commits of several nodes in line, so that numbers have no gaps and no late-comers. */
export async function addChanges(trx: Knex.Transaction, changes: readonly Omit<Change, 'seq'>[]): Promise<void> {
  if (changes.length === 0) return
  const [counter] = await trx('counters')
    .where({ name: 'changes' })
    .update({ value: trx.raw('?? + ?', ['value', changes.length]) })
    .returning('value')
  const first = counter.value - changes.length + 1
  const rows = changes.map((change, index) => ({
    seq: first + index,
    kind: change.kind,
    at: change.at,
    study_uid: change.studyUid,
    series_uid: change.seriesUid,
    instance_uid: change.sopInstanceUid,
    sha256: change.sha256,
  }))
  for (let at = 0; at < rows.length; at += ROWS_PER_INSERT) {
    await trx('changes').insert(rows.slice(at, at + ROWS_PER_INSERT))
  }
}

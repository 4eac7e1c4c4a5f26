import type { Knex } from 'knex'
import type { Failure, NewTransaction, Next, Reference, TransactionState } from '../../commitment/ports.ts'
import { durably } from './pack-writes.ts'

/** Plain data: it crosses threads. */
export type CommitmentWrite =
  | { do: 'begin'; transaction: NewTransaction }
  | { do: 'references'; id: number; first: number; references: readonly Reference[]; verdict: 'pending' | Failure }
  | { do: 'accept'; id: number; references: number; failed: number; nextAt: number }
  | { do: 'judge'; id: number; verdicts: readonly (readonly [number, string])[]; next: Next }
  | { do: 'answer'; id: number; answeredAt: number; state: 'answered' | 'done' }
  | { do: 'attempted'; id: number; outcome: Next & { state: TransactionState; endedAt: number | null } }
  | { do: 'redeliver'; id: number; at: number }
  | { do: 'postpone' | 'hasten'; requesterName: string | undefined; at: number }
  | { do: 'forget'; id: number; references: number }

/** Everything about commitments that is written. Resolves with the ID of what was begun, with how many rows were forgotten, or 0. */
export async function writeCommitment(knex: Knex, write: CommitmentWrite): Promise<number> {
  switch (write.do) {
    case 'begin':
      return begin(knex, write.transaction)
    case 'references':
      return knex.raw(inserting(knex), [write.id, write.verdict, rowsOf(write.first, write.references)]).then(() => 0)
    case 'accept':
      return accept(knex, write)
    case 'judge':
      return judge(knex, write)
    case 'answer':
      return answer(knex, write)
    case 'attempted': {
      const { state, endedAt, nextAt, trouble } = write.outcome
      const row = { state, ended_at: endedAt, next_at: nextAt, trouble, attempts: knex.raw('attempts + 1') }
      return knex('commitments').where({ id: write.id, state: 'answered' }).update(row)
    }
    case 'redeliver':
      return knex('commitments')
        .where({ id: write.id })
        .whereNot({ state: 'pending' })
        .update({ state: 'answered', answered_at: write.at, ended_at: null, next_at: write.at, attempts: 0 })
    case 'postpone':
    case 'hasten':
      return knex('commitments')
        .where({
          state: 'answered',
          ...(write.requesterName === undefined ? {} : { requester_name: write.requesterName }),
        })
        .where('next_at', write.do === 'hasten' ? '>' : '<', write.at)
        .update({ next_at: write.at })
    case 'forget':
      return forget(knex, write)
  }
}

async function begin(knex: Knex, { transactionUid, requester, form, content, requestedAt }: NewTransaction) {
  const [row] = await knex('commitments')
    .insert({
      transaction_uid: transactionUid,
      protocol: requester.protocol,
      requester_name: requester.name,
      requester_address: requester.address,
      form,
      content,
      state: 'incoming',
      requested_at: requestedAt,
    })
    .returning('id')
  return row.id as number
}

function rowsOf(first: number, references: readonly Reference[]): string {
  return JSON.stringify(
    references.map(({ sopClassUid, sopInstanceUid, studyUid = null, seriesUid = null }, n) => [
      first + n,
      sopClassUid,
      sopInstanceUid,
      studyUid,
      seriesUid,
    ]),
  )
}

/** One statement for many rows, as for packs. */
function inserting(knex: Knex): string {
  const isPg = knex.client.config.client === 'pg'
  const at = (n: number) => (isPg ? `j.value->>${n}` : `j.value->>'$[${n}]'`)
  const number = isPg ? `(${at(0)})::int` : at(0)
  const rows = isPg ? 'json_array_elements(?::json) AS j(value)' : 'json_each(?) AS j'
  return (
    'INSERT INTO commitment_references (commitment, verdict, number, sop_class, sop_instance, study, series) ' +
    `SELECT ${isPg ? '?::bigint, ?::text' : '?, ?'}, ${number}, ${at(1)}, ${at(2)}, ${at(3)}, ${at(4)} FROM ${rows}`
  )
}

/** Synced: the requester is told that its request was accepted. */
async function accept(knex: Knex, { id, references, failed, nextAt }: CommitmentWrite & { do: 'accept' }) {
  await durably(knex, async (trx) => {
    const row = { state: 'pending', reference_count: references, failed, next_at: nextAt }
    await trx('commitments').where({ id, state: 'incoming' }).update(row)
  })
  return 0
}

async function judge(knex: Knex, { id, verdicts, next }: CommitmentWrite & { do: 'judge' }): Promise<number> {
  await knex.transaction(async (trx) => {
    const numbers = new Map<string, number[]>()
    for (const [number, verdict] of verdicts) numbers.set(verdict, [...(numbers.get(verdict) ?? []), number])
    const changed = { committed: 0, failed: 0 }
    for (const [verdict, some] of numbers) {
      const pending = trx('commitment_references').where({ commitment: id, verdict: 'pending' })
      const rows = await pending.whereIn('number', some).update({ verdict })
      changed[verdict === 'committed' ? 'committed' : 'failed'] += rows
    }
    await trx('commitments')
      .where({ id })
      .update({
        committed: trx.raw('committed + ?', [changed.committed]),
        failed: trx.raw('failed + ?', [changed.failed]),
        next_at: next.nextAt,
        trouble: next.trouble,
      })
  })
  return 0
}

async function answer(knex: Knex, { id, answeredAt, state }: CommitmentWrite & { do: 'answer' }) {
  await durably(knex, async (trx) => {
    const isOver = state === 'done'
    await trx('commitments')
      .where({ id, state: 'pending' })
      .update({
        state,
        answered_at: answeredAt,
        ended_at: isOver ? answeredAt : null,
        next_at: isOver ? null : answeredAt,
        attempts: 0,
        trouble: '',
      })
  })
  return 0
}

/** Some of its references at a time, so that nobody waits long behind it; how many they were. */
async function forget(knex: Knex, { id, references }: CommitmentWrite & { do: 'forget' }): Promise<number> {
  const first = await knex('commitment_references').where({ commitment: id }).min({ number: 'number' }).first()
  if (first?.number == null) {
    await knex('commitments').where({ id }).del()
    return 0
  }
  const some = knex('commitment_references').where({ commitment: id })
  return some.where('number', '<', first.number + references).del()
}

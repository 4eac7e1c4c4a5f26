import type { Knex } from 'knex'
import type {
  CommitmentRecords,
  Failure,
  JudgedReference,
  NewTransaction,
  Next,
  Reference,
  ReferenceQuery,
  Transaction,
  TransactionQuery,
  TransactionState,
} from '../../commitment/ports.ts'
import type { InstanceRecord } from '../ports.ts'
import type { CommitmentWrite } from './commitment-writes.ts'
import { conflictingCopies, servedCopies } from './instances.ts'
import { type CopyRow, toRecord } from './rows.ts'

const REFERENCES_PER_WRITE = 1000
const INCOMING = 'incoming'

interface TransactionRow {
  id: number
  transaction_uid: string
  protocol: Transaction['requester']['protocol']
  requester_name: string
  requester_address: string
  form: Transaction['form']
  content: string
  reference_count: number
  committed: number
  failed: number
  state: TransactionState
  requested_at: number
  answered_at: number | null
  ended_at: number | null
  attempts: number
  next_at: number | null
  trouble: string
}

interface Access {
  read: Knex
  write(write: CommitmentWrite): Promise<number>
  /** Resolves when what was acknowledged to senders is in the database. */
  caughtUp(): Promise<void>
}

/** Requests for commitment in the catalogue's database. A rebuild leaves them as they are: storage doesn't hold them. */
export class KnexCommitments implements CommitmentRecords {
  readonly #access: Access

  constructor(access: Access) {
    this.#access = access
  }

  async copiesOf(uids: readonly string[]): Promise<{ served: InstanceRecord[]; conflicting: InstanceRecord[] }> {
    const { read, caughtUp } = this.#access
    await caughtUp()
    const served: CopyRow[] = await servedCopies(read).whereIn('instances.uid', [...uids])
    const conflicting: CopyRow[] = await conflictingCopies(read).whereIn('conflicts.uid', [...uids])
    return { served: served.map(toRecord), conflicting: conflicting.map(toRecord) }
  }

  /** What a crash leaves of it before the end was never accepted. */
  async add(transaction: NewTransaction, references: readonly Reference[], verdict?: Failure): Promise<Transaction> {
    const { write } = this.#access
    const id = await write({ do: 'begin', transaction })
    for (let at = 0; at < references.length; at += REFERENCES_PER_WRITE) {
      const some = references.slice(at, at + REFERENCES_PER_WRITE)
      await write({ do: 'references', id, first: at + 1, references: some, verdict: verdict ?? 'pending' })
    }
    const failed = verdict === undefined ? 0 : references.length
    await write({ do: 'accept', id, references: references.length, failed, nextAt: transaction.requestedAt })
    return (await this.get(id)) as Transaction
  }

  async get(id: number): Promise<Transaction | undefined> {
    const row: TransactionRow | undefined = await this.#transactions().where({ id }).first()
    return row && toTransaction(row)
  }

  async byUid(transactionUid: string): Promise<Transaction[]> {
    const rows: TransactionRow[] = await this.#transactions().where({ transaction_uid: transactionUid }).orderBy('id')
    return rows.map(toTransaction)
  }

  async list({ state, transactionUid, before, limit }: TransactionQuery): Promise<Transaction[]> {
    const page = this.#transactions().orderBy('id', 'desc').limit(limit)
    if (state !== undefined) page.where({ state })
    if (transactionUid !== undefined) page.where({ transaction_uid: transactionUid })
    if (before !== undefined) page.where('id', '<', before)
    return ((await page) as TransactionRow[]).map(toTransaction)
  }

  async count(state: TransactionState, limit: number): Promise<number> {
    const { read } = this.#access
    const some = read('commitments').where({ state }).limit(limit).select('id').as('some')
    const row = await read.from(some).count({ n: '*' }).first()
    return Number(row?.n ?? 0)
  }

  async due(state: 'pending' | 'answered', now: number, limit: number): Promise<Transaction[]> {
    const page = this.#transactions().where({ state }).where('next_at', '<=', now).orderBy('next_at').limit(limit)
    return ((await page) as TransactionRow[]).map(toTransaction)
  }

  async references(id: number, { which, after, limit }: ReferenceQuery): Promise<JudgedReference[]> {
    const page = this.#access
      .read('commitment_references')
      .where({ commitment: id })
      .where('number', '>', after)
      .orderBy('number')
      .limit(limit)
    // The text of the partial index's condition, or the planner doesn't know it again.
    if (which === 'pending') page.whereRaw("verdict = 'pending'")
    if (which === 'committed') page.where({ verdict: 'committed' })
    if (which === 'failed') page.whereNotIn('verdict', ['pending', 'committed'])
    const rows = await page
    return rows.map((row) => ({
      number: row.number,
      sopClassUid: row.sop_class,
      sopInstanceUid: row.sop_instance,
      ...(row.study === null ? {} : { studyUid: row.study, seriesUid: row.series }),
      verdict: row.verdict,
    }))
  }

  async verdicts(id: number): Promise<Record<string, number>> {
    const rows = await this.#access
      .read('commitment_references')
      .where({ commitment: id })
      .groupBy('verdict')
      .select('verdict')
      .count({ n: '*' })
    return Object.fromEntries((rows as { verdict: string; n: unknown }[]).map(({ verdict, n }) => [verdict, Number(n)]))
  }

  async judge(id: number, verdicts: readonly (readonly [number, string])[], next: Next): Promise<void> {
    await this.#access.write({ do: 'judge', id, verdicts, next })
  }

  async answer(id: number, answeredAt: number, state: 'answered' | 'done'): Promise<void> {
    await this.#access.write({ do: 'answer', id, answeredAt, state })
  }

  async attempted(id: number, outcome: Next & { state: TransactionState; endedAt: number | null }): Promise<void> {
    await this.#access.write({ do: 'attempted', id, outcome })
  }

  async redeliver(id: number, at: number): Promise<void> {
    await this.#access.write({ do: 'redeliver', id, at })
  }

  async postpone(requesterName: string, at: number): Promise<void> {
    await this.#access.write({ do: 'postpone', requesterName, at })
  }

  async hasten(requesterName: string | undefined, at: number): Promise<void> {
    await this.#access.write({ do: 'hasten', requesterName, at })
  }

  async forgetOne(endedBefore: number): Promise<boolean> {
    const { read, write } = this.#access
    const one =
      (await read('commitments').where('ended_at', '<', endedBefore).orderBy('ended_at').first('id')) ??
      (await read('commitments').where({ state: INCOMING }).where('requested_at', '<', endedBefore).first('id'))
    if (!one) return false
    while ((await write({ do: 'forget', id: one.id, references: REFERENCES_PER_WRITE })) > 0);
    return true
  }

  #transactions(): Knex.QueryBuilder {
    return this.#access.read('commitments').whereNot({ state: INCOMING })
  }
}

function toTransaction(row: TransactionRow): Transaction {
  return {
    id: row.id,
    transactionUid: row.transaction_uid,
    requester: { protocol: row.protocol, name: row.requester_name, address: row.requester_address },
    form: row.form,
    content: row.content,
    references: row.reference_count,
    committed: row.committed,
    failed: row.failed,
    state: row.state,
    requestedAt: row.requested_at,
    answeredAt: row.answered_at,
    endedAt: row.ended_at,
    attempts: row.attempts,
    nextAt: row.next_at,
    trouble: row.trouble,
  }
}

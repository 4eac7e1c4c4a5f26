import { SYSTEM } from '../events/event.ts'
import type { RecordEvents } from '../events/ports.ts'
import type { CommitmentMetrics, CommitmentRecords, Finding, JudgedReference, Transaction, Verify } from './ports.ts'
import { lookAgainMs } from './schedule.ts'

/** References that are looked at before another transaction has its turn. */
const REFERENCES_PER_STEP = 200
const TRANSACTIONS_PER_LOOK = 16
const BROKEN_OFF_PAUSE_MS = 10_000

export interface JudgingOptions {
  records: CommitmentRecords
  verifier: Verify
  events: RecordEvents
  patienceMs: number
  pendingMs: number
  metrics: CommitmentMetrics
  /** A transaction was answered. */
  answered(id: number): void
  warn(message: string, details: object): void
}

const WHY = {
  absent: 'waits for instances that are not there yet',
  unreadable: 'waits for a store that does not give what it holds',
  peer: 'waits for the other site to confirm the same bytes',
} as const

/** Decides what is pending, step by step, transactions in turn, and answers what is decided. */
export class Judging {
  readonly #options: JudgingOptions
  /** How far this round through a transaction's pending references has come. */
  readonly #cursors = new Map<number, number>()

  constructor(options: JudgingOptions) {
    this.#options = options
  }

  /** Does what is due, until nothing is or at the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { records } = this.#options
    for (;;) {
      const due = await records.due('pending', Date.now(), TRANSACTIONS_PER_LOOK)
      if (due.length === 0) return
      for (const transaction of due) {
        if (signal.aborted) return
        await this.#attempt(transaction)
      }
    }
  }

  /** What goes wrong with one transaction keeps no other back. */
  async #attempt(transaction: Transaction): Promise<void> {
    try {
      await this.#step(transaction)
    } catch (error) {
      const { message } = error as Error
      const { id, transactionUid } = transaction
      this.#options.warn('a commitment was not decided; it is looked at again', { transactionUid, reason: message })
      await this.#options.records.judge(id, [], { nextAt: Date.now() + BROKEN_OFF_PAUSE_MS, trouble: message })
    }
  }

  async #step(transaction: Transaction): Promise<void> {
    const { records, verifier } = this.#options
    const { id, requester } = transaction
    if (transaction.committed + transaction.failed === transaction.references) return this.#answer(transaction)
    const after = this.#cursors.get(id) ?? 0
    const pending = await records.references(id, { which: 'pending', after, limit: REFERENCES_PER_STEP })
    const findings = await verifier.verify(pending, requester)
    const ageMs = Date.now() - transaction.requestedAt
    const verdicts = pending.flatMap((reference, n) => this.#verdict(reference, findings[n] as Finding, ageMs))
    const isRoundOver = pending.length < REFERENCES_PER_STEP
    const why = findings.find((finding) => finding.verdict === 'pending')
    const nextAt = Date.now() + (isRoundOver ? lookAgainMs(ageMs, this.#options.patienceMs) : 0)
    const before = after === 0 ? '' : transaction.trouble
    await records.judge(id, verdicts, { nextAt, trouble: why ? WHY[why.why] : before })
    if (isRoundOver) this.#cursors.delete(id)
    else this.#cursors.set(id, pending.at(-1)?.number ?? 0)
    const now = await records.get(id)
    if (now && now.committed + now.failed === now.references) await this.#answer(now)
  }

  #verdict(reference: JudgedReference, finding: Finding, ageMs: number): [number, string][] {
    const { patienceMs, pendingMs } = this.#options
    if (finding.verdict === 'committed') return [[reference.number, 'committed']]
    if (finding.verdict === 'failed') return [[reference.number, finding.reason]]
    if (finding.why === 'absent') return ageMs > patienceMs ? [[reference.number, 'no_such_instance']] : []
    return ageMs > pendingMs ? [[reference.number, 'processing_failure']] : []
  }

  /** The event comes first: an answer that was given is in the log, whatever happens in between. */
  async #answer({ id, transactionUid, requester, committed, failed }: Transaction): Promise<void> {
    const { records, events, metrics, answered } = this.#options
    const { committed: _, ...failures } = await records.verdicts(id)
    await events.append({
      kind: 'commitment.answered',
      actor: SYSTEM,
      subject: { transaction: transactionUid },
      data: { protocol: requester.protocol, requester: requester.name, committed, failed, failures },
    })
    await records.answer(id, Date.now(), requester.protocol === 'dimse' ? 'answered' : 'done')
    this.#cursors.delete(id)
    metrics.judged('committed', committed)
    for (const [verdict, references] of Object.entries(failures)) metrics.judged(verdict, references)
    answered(id)
  }
}

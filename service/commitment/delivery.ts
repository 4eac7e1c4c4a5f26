import type { CommitmentMetrics, CommitmentRecords, Deliver, Delivery, Transaction } from './ports.ts'
import { offerAgainMs } from './schedule.ts'

const UNDER_WAY_MAX = 8
const RESULTS_PER_LOOK = 50
/** Titles of AEs are what they say they are: a peer that invents them must not fill the memory. */
const FAILING_MAX = 1000

export interface DeliveryOptions {
  records: CommitmentRecords
  deliver: Deliver
  deliverMs: number
  metrics: CommitmentMetrics
  warn(message: string, details: object): void
}

/** Tells AEs the results that wait for them: one at a time to each, and to one that doesn't take them less and less often. */
export class ResultDelivery {
  readonly #options: DeliveryOptions
  readonly #underway = new Map<number, Promise<void>>()
  readonly #busy = new Set<string>()
  /** Failures in a row, by AE title. */
  readonly #failing = new Map<string, number>()
  readonly #stopping = new AbortController()

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** Begins what is due and has somebody free for it; more when that is done. */
  beginDue(): void {
    this.#begin().catch((error) => {
      this.#options.warn('results of commitments are not delivered now', { reason: (error as Error).message })
    })
  }

  async #begin(): Promise<void> {
    const { records, deliver } = this.#options
    for (const transaction of await records.due('answered', Date.now(), RESULTS_PER_LOOK)) {
      if (this.#stopping.signal.aborted || this.#underway.size >= UNDER_WAY_MAX) return
      const { id, requester } = transaction
      const isHere = deliver.isHere(transaction)
      if (this.#underway.has(id) || (!isHere && this.#busy.has(requester.name))) continue
      if (!isHere) this.#busy.add(requester.name)
      const work = this.#deliver(id).finally(() => {
        this.#underway.delete(id)
        if (!isHere) this.#busy.delete(requester.name)
        this.beginDue()
      })
      this.#underway.set(id, work)
    }
  }

  /** What is under way is broken off; it is offered again at the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#underway.values())
  }

  async #deliver(id: number): Promise<void> {
    const { records, deliver, metrics, warn } = this.#options
    try {
      // What was found to be due a moment ago may have been told meanwhile.
      const transaction = await records.get(id)
      if (transaction?.state !== 'answered' || (transaction.nextAt ?? 0) > Date.now()) return
      const delivery = await deliver.deliver(transaction, this.#stopping.signal)
      if (this.#stopping.signal.aborted && delivery.outcome !== 'delivered') return
      metrics.delivered(delivery.outcome)
      await this.#note(transaction, delivery)
    } catch (error) {
      warn('what became of the result of a commitment could not be noted', { reason: (error as Error).message })
    }
  }

  async #note(transaction: Transaction, { outcome, reason }: Delivery): Promise<void> {
    const { records, deliverMs, warn } = this.#options
    const { id, transactionUid, requester, answeredAt } = transaction
    const now = Date.now()
    if (outcome === 'delivered') {
      await records.attempted(id, { state: 'done', endedAt: now, nextAt: null, trouble: '' })
      if (this.#failing.delete(requester.name)) await records.hasten(requester.name, now)
      return
    }
    if (outcome === 'never' || now - (answeredAt ?? now) > deliverMs) {
      warn('the result of a commitment was not taken', { transactionUid, aeTitle: requester.name, reason })
      await records.attempted(id, { state: 'undelivered', endedAt: now, nextAt: null, trouble: reason })
      return
    }
    const failures = (this.#failing.get(requester.name) ?? 0) + 1
    if (this.#failing.size >= FAILING_MAX) this.#failing.clear()
    this.#failing.set(requester.name, failures)
    const nextAt = now + offerAgainMs(failures)
    if (failures === 1) warn('the result of a commitment waits', { transactionUid, aeTitle: requester.name, reason })
    await records.attempted(id, { state: 'answered', endedAt: null, nextAt, trouble: reason })
    await records.postpone(requester.name, nextAt)
  }
}

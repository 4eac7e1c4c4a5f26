import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import type { RecordEvents } from '../events/ports.ts'
import { Turns } from '../ingest/turns.ts'
import { ResultDelivery } from './delivery.ts'
import { Judging } from './judging.ts'
import type {
  CommitmentMetrics,
  CommitmentRecords,
  CommitmentRequest,
  Commitments,
  Deliver,
  JudgedReference,
  ReferenceQuery,
  RequestOutcome,
  Transaction,
  Verify,
} from './ports.ts'

const TICK_MS = 1000
const TICKS_PER_CLEANING = 60
const FORGOTTEN_PER_CLEANING = 100
const PAGE = 1000

export interface CommitmentsOptions {
  records: CommitmentRecords
  verifier: Verify
  deliver: Deliver
  events: RecordEvents
  referencesMax: number
  openMax: number
  patienceMs: number
  pendingMs: number
  deliverMs: number
  keepMs: number
  metrics: CommitmentMetrics
  warn(message: string, details: object): void
}

interface Accepted {
  transaction: Transaction
  outcome: RequestOutcome
}

/** The use case "somebody wants to be sure": takes requests, has them decided and answered in the background, and keeps results. */
export class StorageCommitments implements Commitments {
  readonly referencesMax: number
  readonly #options: CommitmentsOptions
  readonly #judging: Judging
  readonly #delivery: ResultDelivery
  readonly #turns = new Turns()
  readonly #waiting = new Map<number, Set<() => void>>()
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #ticks = 0
  #running: Promise<void> | undefined
  #wanted = false

  constructor(options: CommitmentsOptions) {
    this.#options = options
    this.referencesMax = options.referencesMax
    this.#judging = new Judging({ ...options, answered: (id) => this.#answered(id) })
    this.#delivery = new ResultDelivery(options)
  }

  /** Takes up what an earlier run has left; AEs that didn't take their results are tried again at once. */
  start(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref()
    this.#options.records
      .hasten(undefined, Date.now())
      .catch((error) => this.#options.warn('results of commitments wait', { reason: (error as Error).message }))
      .finally(() => this.wake())
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearInterval(this.#timer)
    await Promise.all([this.#running, this.#delivery.stop()])
  }

  async request(request: CommitmentRequest): Promise<Accepted> {
    const { metrics } = this.#options
    const { protocol } = request.requester
    try {
      this.#assertValid(request)
      const { turn, leave } = this.#turns.join(request.transactionUid)
      const accepted = await turn(() => this.#take(request)).finally(leave)
      metrics.requested(protocol, accepted.outcome)
      this.wake()
      return accepted
    } catch (error) {
      metrics.requested(protocol, error instanceof ArchiveError ? error.code : 'failed')
      throw error
    }
  }

  async settled(id: number, ms: number): Promise<Transaction> {
    const waiters = this.#waiting.get(id) ?? new Set()
    this.#waiting.set(id, waiters)
    let done = (): void => undefined
    const answered = new Promise<void>((resolve) => {
      done = resolve
    })
    waiters.add(done)
    try {
      const transaction = await this.#known(id)
      if (transaction.state !== 'pending') return transaction
      await Promise.race([answered, sleep(ms, undefined, { ref: false })])
      return await this.#known(id)
    } finally {
      waiters.delete(done)
      if (waiters.size === 0) this.#waiting.delete(id)
    }
  }

  async find(transactionUid: string): Promise<Transaction | undefined> {
    const all = await this.#options.records.byUid(transactionUid)
    return all.find(({ requester }) => requester.protocol === 'dicomweb')
  }

  async *references(id: number, which: ReferenceQuery['which']): AsyncGenerator<JudgedReference> {
    for (let after = 0; ; ) {
      const page = await this.#options.records.references(id, { which, after, limit: PAGE })
      yield* page
      if (page.length < PAGE) return
      after = (page.at(-1) as JudgedReference).number
    }
  }

  list: CommitmentRecords['list'] = (options) => this.#options.records.list(options)

  get: CommitmentRecords['get'] = (id) => this.#options.records.get(id)

  page: CommitmentRecords['references'] = (id, query) => this.#options.records.references(id, query)

  /** There may be something to do. */
  wake(): void {
    this.#wanted = true
    if (this.#stopping.signal.aborted) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  #assertValid({ transactionUid, references }: CommitmentRequest): void {
    if (!isUid(transactionUid)) throw new ArchiveError('invalid_request', 'the Transaction UID is missing or no UID')
    if (references.length === 0) throw new ArchiveError('invalid_request', 'the request names no instance')
    if (references.length > this.referencesMax) {
      const message = `the request names more than ${this.referencesMax} instances; ask for them in several requests`
      throw new ArchiveError('too_large', message)
    }
    const bad = references.findIndex(({ sopClassUid, sopInstanceUid, studyUid = sopClassUid, seriesUid = studyUid }) =>
      [sopClassUid, sopInstanceUid, studyUid, seriesUid].some((uid) => !isUid(uid)),
    )
    if (bad >= 0) throw new ArchiveError('invalid_request', `reference ${bad + 1} has no usable UIDs`)
  }

  async #take(request: CommitmentRequest): Promise<Accepted> {
    const { records, openMax } = this.#options
    const { transactionUid, requester } = request
    const content = contentOf(request)
    const known = await records.byUid(transactionUid)
    const same = known.find((one) => one.content === content && isSame(one.requester, requester))
    if (same) return this.#again(same)
    const [first] = known
    if (first && requester.protocol === 'dicomweb') return { transaction: first, outcome: 'taken' }
    if ((await records.count('pending', openMax)) >= openMax) {
      throw new ArchiveError('busy', `${openMax} requests for commitment wait for their answer`)
    }
    await this.#log(request)
    const requestedAt = Date.now()
    const { form, references } = request
    const verdict = first ? 'duplicate_transaction' : undefined
    const row = { transactionUid, requester, form, content, requestedAt }
    return { transaction: await records.add(row, references, verdict), outcome: first ? 'taken' : 'accepted' }
  }

  /** Its sender has lost the result, or never got it. */
  async #again(transaction: Transaction): Promise<Accepted> {
    const { records } = this.#options
    if (transaction.state !== 'pending' && transaction.requester.protocol === 'dimse') {
      await records.redeliver(transaction.id, Date.now())
    }
    return { transaction: await this.#known(transaction.id), outcome: 'repeated' }
  }

  async #log({ transactionUid, requester, references }: CommitmentRequest): Promise<void> {
    await this.#options.events.append({
      kind: 'commitment.requested',
      actor: { name: requester.name, role: 'send', from: requester.address },
      subject: { transaction: transactionUid },
      data: { protocol: requester.protocol, references: references.length },
    })
  }

  async #known(id: number): Promise<Transaction> {
    const transaction = await this.#options.records.get(id)
    if (!transaction) throw new ArchiveError('not_found', 'there is no such request for commitment')
    return transaction
  }

  #answered(id: number): void {
    for (const done of this.#waiting.get(id) ?? []) done()
    this.#delivery.beginDue()
  }

  #tick(): void {
    this.#ticks += 1
    this.wake()
    if (this.#ticks % TICKS_PER_CLEANING === 0) void this.#clean()
  }

  async #run(): Promise<void> {
    while (this.#wanted && !this.#stopping.signal.aborted) {
      this.#wanted = false
      this.#delivery.beginDue()
      try {
        await this.#judging.run(this.#stopping.signal)
      } catch (error) {
        this.#options.warn('commitments are not decided now', { reason: (error as Error).message })
        return
      }
    }
  }

  async #clean(): Promise<void> {
    const { records, keepMs, warn } = this.#options
    try {
      for (let n = 0; n < FORGOTTEN_PER_CLEANING && !this.#stopping.signal.aborted; n++) {
        if (!(await records.forgetOne(Date.now() - keepMs))) return
      }
    } catch (error) {
      warn('old requests for commitment could not be removed', { reason: (error as Error).message })
    }
  }
}

const isSame = (one: Transaction['requester'], other: Transaction['requester']): boolean =>
  one.protocol === other.protocol && one.name === other.name

/** The order of references counts: a request that is sent again has the same. */
function contentOf({ form, references }: CommitmentRequest): string {
  const hash = createHash('sha256').update(form)
  for (const { sopClassUid, sopInstanceUid, studyUid = '', seriesUid = '' } of references) {
    hash.update(`\n${sopClassUid} ${sopInstanceUid} ${studyUid} ${seriesUid}`)
  }
  return hash.digest('hex')
}

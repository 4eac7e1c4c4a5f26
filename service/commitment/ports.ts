import type { InstanceRecord } from '../catalogue/ports.ts'

/** One instance that somebody wants to be sure of. Study and series are there where the request grouped by them. */
export interface Reference {
  sopClassUid: string
  sopInstanceUid: string
  studyUid?: string
  seriesUid?: string
}

/** Who asks: the calling AE title, or the name of the token. */
export interface Requester {
  protocol: 'dimse' | 'dicomweb'
  name: string
  /** Network address, without port. */
  address: string
}

/** Why commitment is refused for an instance: those of PS3.3 C.14.1.1 that Firn has a use for. */
export type Failure = 'no_such_instance' | 'class_conflict' | 'duplicate_transaction' | 'processing_failure'

/**
 * What is known of one instance now. `pending` is never told as success: the instance isn't there (yet), the store that
 * has it doesn't answer, or the other site hasn't confirmed the same bytes.
 */
export type Finding =
  | { verdict: 'committed' }
  | { verdict: 'pending'; why: 'absent' | 'unreadable' | 'peer' }
  | { verdict: 'failed'; reason: Failure }

/** The decision whether an instance is safe: from its stored bytes, never from the catalogue alone. */
export interface Verify {
  /** One finding for each reference, in their order. Throws ArchiveError when nothing can be said now. */
  verify(references: readonly Reference[], requester: Requester): Promise<Finding[]>
}

/** What the other site has confirmed with a receipt that names the digest. */
export interface PeerReceipts {
  /** Those of the digests (lower-case hex SHA-256) that the other site holds. */
  confirmed(sha256s: readonly string[]): Promise<ReadonlySet<string>>
}

/** All stored copies under some SOP Instance UIDs. */
export interface CopiesOf {
  copiesOf(sopInstanceUids: readonly string[]): Promise<{ served: InstanceRecord[]; conflicting: InstanceRecord[] }>
}

/** pending: not all is decided. answered: decided, and an AE waits to be told. The others are ends. */
export type TransactionState = 'pending' | 'answered' | 'done' | 'undelivered'

/** One request for commitment and what became of it. Times in milliseconds since 1970. */
export interface Transaction {
  id: number
  transactionUid: string
  requester: Requester
  /** How the request named its instances, and so must the answer. */
  form: 'instances' | 'studies'
  /** SHA-256 over form and references. */
  content: string
  references: number
  committed: number
  failed: number
  state: TransactionState
  requestedAt: number
  answeredAt: number | null
  /** When the answer was taken, or given up. */
  endedAt: number | null
  attempts: number
  /** When there is something to do again; null: nothing. */
  nextAt: number | null
  /** What keeps it from going on, in words; empty for nothing. */
  trouble: string
}

export type NewTransaction = Pick<Transaction, 'transactionUid' | 'requester' | 'form' | 'content' | 'requestedAt'>

export interface JudgedReference extends Reference {
  /** 1, 2, 3 ... in the order of the request. */
  number: number
  verdict: 'pending' | 'committed' | Failure
}

export interface ReferenceQuery {
  which: 'all' | 'pending' | 'committed' | 'failed'
  after: number
  limit: number
}

export interface TransactionQuery {
  state?: TransactionState
  transactionUid?: string
  before?: number
  limit: number
}

/** Where requests and their results are kept. Throws ArchiveError `catalogue_failed`, `out_of_space`. */
export interface CommitmentRecords extends CopiesOf {
  /** Keeps a request with its references; resolves when it is synced. `verdict`: of all of them, from the beginning. */
  add(transaction: NewTransaction, references: readonly Reference[], verdict?: Failure): Promise<Transaction>
  get(id: number): Promise<Transaction | undefined>
  /** All requests under a Transaction UID, the oldest first. */
  byUid(transactionUid: string): Promise<Transaction[]>
  /** The newest first, `before` an ID. */
  list(options: TransactionQuery): Promise<Transaction[]>
  /** How many are in a state, counted up to `limit`. */
  count(state: TransactionState, limit: number): Promise<number>
  /** Those in a state whose time has come, the one that waits longest first. */
  due(state: 'pending' | 'answered', now: number, limit: number): Promise<Transaction[]>
  /** By number. */
  references(id: number, query: ReferenceQuery): Promise<JudgedReference[]>
  /** How many references have which verdict. */
  verdicts(id: number): Promise<Record<string, number>>
  /** Judges references that are pending, and says when to go on. */
  judge(id: number, verdicts: readonly (readonly [number: number, verdict: string])[], next: Next): Promise<void>
  /** All is decided. Synced, because the answer goes out behind it. */
  answer(id: number, answeredAt: number, state: 'answered' | 'done'): Promise<void>
  /** An attempt to deliver was made. */
  attempted(id: number, outcome: Next & { state: TransactionState; endedAt: number | null }): Promise<void>
  /** What is answered is to be delivered once more, as if it never had been. */
  redeliver(id: number, at: number): Promise<void>
  /** Results that wait for this AE are not tried before. */
  postpone(requesterName: string, at: number): Promise<void>
  /** Results that wait for this AE, or for any, may be tried from then on. */
  hasten(requesterName: string | undefined, at: number): Promise<void>
  /** Forgets one request that ended before, or was never accepted; false when there is none. */
  forgetOne(endedBefore: number): Promise<boolean>
}

export interface Next {
  nextAt: number | null
  trouble: string
}

/** How telling a requester ended. `later`: try again. `never`: it doesn't want it. */
export interface Delivery {
  outcome: 'delivered' | 'later' | 'never'
  /** In words, where it wasn't taken. */
  reason: string
}

/** Tells the requester the result of a transaction. */
export interface Deliver {
  /** Whether the requester is still on the association on which it asked, so that telling it there takes no time. */
  isHere(transaction: Transaction): boolean
  /** Never rejects. */
  deliver(transaction: Transaction, signal: AbortSignal): Promise<Delivery>
}

/** A request as a protocol hands it over. */
export interface CommitmentRequest {
  transactionUid: string
  requester: Requester
  form: Transaction['form']
  references: readonly Reference[]
}

export type RequestOutcome = 'accepted' | 'repeated' | 'taken'

/** The use case that protocols speak to. */
export interface Commitments {
  /** Instances that one request may name. */
  readonly referencesMax: number
  /**
   * Resolves when the request is kept durably. The same request again is the same transaction (`repeated`), and its result
   * is told again. Another one under a Transaction UID that is in use is `taken`: over DIMSE it is kept as failed
   * throughout, which its result will say; over DICOMweb nothing is kept, and the transaction is the one that is there.
   * Throws ArchiveError `invalid_request`, `too_large`, `busy`, `unavailable`, `out_of_space`, `storage_failed`,
   * `catalogue_failed`.
   */
  request(request: CommitmentRequest): Promise<{ transaction: Transaction; outcome: RequestOutcome }>
  /** The transaction when it is no longer pending, or after `ms` as it is then. */
  settled(id: number, ms: number): Promise<Transaction>
  /** The request under this UID that came over DICOMweb. */
  find(transactionUid: string): Promise<Transaction | undefined>
  /** References in the order of the request, page by page. */
  references(id: number, which: ReferenceQuery['which']): AsyncIterable<JudgedReference>
  list: CommitmentRecords['list']
  get: CommitmentRecords['get']
  page: CommitmentRecords['references']
}

/** Counters. */
export interface CommitmentMetrics {
  requested(protocol: Requester['protocol'], outcome: string): void
  judged(verdict: string, references: number): void
  delivered(outcome: Delivery['outcome']): void
}

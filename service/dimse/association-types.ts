import type { AssociateAccept, AssociateReject } from './pdu.ts'

/** Every bound of one association. Times in milliseconds, sizes in bytes. */
export interface AssociationLimits {
  /** Largest P-DATA-TF variable field that is accepted; announced to the peer. */
  maxPduBytes: number
  /** Without progress for so long, while it is the peer's turn, the association is aborted. */
  idleMs: number
  /** PS3.8 9.1.4: how long a connection may take to associate, and to close at the end. */
  artimMs: number
  /** So much of an incoming data set is queued before the socket is paused. */
  dataSetQueueBytes: number
  /** Identifiers (queries, answers, failed lists) above this are refused. */
  identifierBytesMax: number
}

/** A presentation context that both sides agreed on. */
export interface AcceptedContext {
  id: number
  abstractSyntax: string
  transferSyntax: string
  /** The association's requestor may use this context as SCU, as SCP (PS3.7 D.3.3.4). */
  requestorIsScu: boolean
  requestorIsScp: boolean
}

/** The acceptor's answer to an A-ASSOCIATE-RQ. */
export type Decision = { accept: AssociateAccept; contexts: readonly AcceptedContext[] } | { reject: AssociateReject }

/** Why there is no association, or no longer one. */
export class AssociationError extends Error {
  readonly kind: 'unreachable' | 'rejected' | 'aborted' | 'closed' | 'timeout'
  constructor(kind: AssociationError['kind'], message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'AssociationError'
    this.kind = kind
  }
}

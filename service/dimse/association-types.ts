import type { Association } from './association.ts'
import type { Command } from './command.ts'
import type { IncomingDataSet } from './data-set-stream.ts'
import { type AssociateAccept, type AssociateReject, type AssociateRequest, PduType } from './pdu.ts'

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

export function rejection({ result, source, reason }: AssociateReject): AssociationError {
  return new AssociationError('rejected', `association rejected: result ${result}, source ${source}, reason ${reason}`)
}

/** A request of the peer, with everything that is needed to carry it out. */
export interface Operation {
  association: Association
  context: AcceptedContext
  command: Command
  messageId: number
  dataSet: IncomingDataSet | null
  /** Aborted by C-CANCEL, by a release request, and by the end of the association. */
  cancelled: AbortSignal
}

export interface AssociationOwner {
  /** Acceptor only. */
  associate?(request: AssociateRequest, association: Association): Decision
  /** One at a time. What it leaves of the data set is dropped; when it rejects, the association is aborted. */
  operate(operation: Operation): Promise<void>
  ended?(association: Association): void
}

/** PS3.8 9.2.1, as far as the states differ in what may come. */
export type State = 'awaitRequest' | 'awaitAnswer' | 'established' | 'awaitReleaseReply' | 'releaseCollision' | 'ended'

/** PS3.8 Table 9-10: what may come in which state, beside A-ABORT. */
export const EXPECTED: Readonly<Record<State, readonly number[]>> = {
  awaitRequest: [PduType.associateRequest],
  awaitAnswer: [PduType.associateAccept, PduType.associateReject],
  established: [PduType.data, PduType.releaseRequest],
  awaitReleaseReply: [PduType.data, PduType.releaseRequest, PduType.releaseReply],
  releaseCollision: [PduType.releaseReply],
  ended: [],
}

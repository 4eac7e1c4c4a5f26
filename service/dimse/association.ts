import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import {
  type AcceptedContext,
  AssociationError,
  type AssociationLimits,
  type AssociationOwner,
  EXPECTED,
  type Operation,
  rejection,
  type State,
} from './association-types.ts'
import { type Command, CommandField, encodeCommand, NO_DATA_SET, RESPONSE_BIT } from './command.ts'
import { Connection, Hold, type HoldReason } from './connection.ts'
import type { Flow, IncomingDataSet } from './data-set-stream.ts'
import { type Body, Exchanges, type OutgoingCommand } from './exchanges.ts'
import { MessageAssembler } from './message-assembler.ts'
import { agreedContexts } from './negotiation.ts'
import { OperationQueue } from './operation-queue.ts'
import {
  AbortReason,
  AbortSource,
  type AssociateAccept,
  type AssociateRequest,
  decodeAbort,
  decodeAssociateAccept,
  decodeAssociateReject,
  decodeAssociateRequest,
  encodeAbort,
  encodeAssociateAccept,
  encodeAssociateReject,
  encodeAssociateRequest,
  encodeReleaseReply,
  encodeReleaseRequest,
  PduError,
  PduType,
} from './pdu.ts'
import type { Response } from './reply-queue.ts'

/** The Command Data Set Type of a message with a data set: any value but NO_DATA_SET (PS3.7 Table E.1-1). */
const HAS_DATA_SET = 1

/**
 * One association (PS3.8 9.2), as acceptor or as requestor; after negotiation both sides work the same. The peer's
 * requests are carried out strictly one after the other: one that comes early waits unread in the socket.
 */
export class Association {
  readonly log: Logger
  readonly limits: AssociationLimits
  callingAeTitle = ''
  calledAeTitle = ''
  contexts: ReadonlyMap<number, AcceptedContext> = new Map()
  readonly isRequestor: boolean
  /** Without port; empty when the peer is gone already. */
  readonly peerAddress: string
  readonly #owner: AssociationOwner
  readonly #connection: Connection
  readonly #assembler: MessageAssembler
  readonly #timer: NodeJS.Timeout
  readonly #startedAt = performance.now()
  readonly #exchanges: Exchanges
  readonly #queue: OperationQueue
  readonly #ended = new AbortController()
  #state: State
  #proposal: AssociateRequest | undefined
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  #endCause = new AssociationError('closed', 'the association has ended')
  #peerMaxPduBytes = 0
  #releaseRequested = false
  #stopping = false
  #sending: Promise<void> = Promise.resolve()
  #isSending = false

  constructor(socket: Socket, owner: AssociationOwner, limits: AssociationLimits, log: Logger, isRequestor: boolean) {
    this.log = log
    this.limits = limits
    this.isRequestor = isRequestor
    this.peerAddress = socket.remoteAddress ?? ''
    this.#owner = owner
    this.#state = isRequestor ? 'awaitAnswer' : 'awaitRequest'
    this.#connection = new Connection(
      socket,
      {
        begin: (type) => this.#begin(type),
        pdu: (type, body) => this.#pdu(type, body),
        fragment: (id, isCommand, bytes, last) => this.#assembler.fragment(id, isCommand, bytes, last),
        violated: (error) => this.#violated(error),
        gone: (cause) => this.#close(undefined, new AssociationError('closed', cause)),
      },
      limits.maxPduBytes,
    )
    this.#assembler = new MessageAssembler(
      (...message) => this.#deliver(...message),
      this.#flow(Hold.dataSetFull),
      limits.dataSetQueueBytes,
    )
    this.#exchanges = new Exchanges(
      (...message) => this.send(...message),
      this.#flow(Hold.responsesFull),
      limits.identifierBytesMax,
    )
    this.#queue = new OperationQueue({
      operate: (operation) => this.#owner.operate(operation),
      failed: (error) => this.#operationFailed(error),
      idle: () => this.#onIdle(),
      hold: () => this.#connection.hold(Hold.operationRunning),
      unhold: () => this.#connection.unhold(Hold.operationRunning),
    })
    this.#timer = setInterval(() => this.#checkTimes(), Math.min(limits.idleMs, limits.artimMs) / 4)
    this.#timer.unref()
  }

  get state(): State {
    return this.#state
  }

  /** How many operations the peer has asked for. */
  get operations(): number {
    return this.#queue.count
  }

  /** Aborted when the association has ended, for whatever reason. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  /** Why the association ended, once it has. */
  get endCause(): AssociationError {
    return this.#endCause
  }

  /** Resolves when the association has ended and what the peer asked for last is done or given up. */
  async settled(): Promise<void> {
    if (!this.ended.aborted) {
      await new Promise((resolve) => this.ended.addEventListener('abort', resolve, { once: true }))
    }
    await this.#queue.settled
  }

  /** Requestor: proposes the association. Rejects with AssociationError. */
  propose(request: AssociateRequest): Promise<void> {
    this.#proposal = request
    this.callingAeTitle = request.callingAeTitle
    this.calledAeTitle = request.calledAeTitle
    this.#connection.write(encodeAssociateRequest(request))
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
  }

  /** An accepted context of a SOP Class (and transfer syntax); `requestorIsScp`: one where the requestor is SCP. */
  findContext(abstractSyntax: string, transferSyntax?: string, requestorIsScp = false): AcceptedContext | undefined {
    for (const context of this.contexts.values()) {
      if (context.abstractSyntax !== abstractSyntax || (requestorIsScp && !context.requestorIsScp)) continue
      if (transferSyntax === undefined || context.transferSyntax === transferSyntax) return context
    }
    return undefined
  }

  /** Sends one message; messages never interleave. Rejects with AssociationError, or with what the body throws. */
  async send(contextId: number, command: OutgoingCommand, body?: Body): Promise<void> {
    const turn = this.#sending
    let done = () => {}
    this.#sending = new Promise((resolve) => {
      done = resolve
    })
    await turn
    this.#isSending = true
    try {
      if (this.#state === 'ended') throw this.#endCause
      const encoded = encodeCommand({ ...command, commandDataSetType: body ? HAS_DATA_SET : NO_DATA_SET })
      await this.#connection.sendValue(contextId, true, encoded, this.#peerMaxPduBytes)
      if (body) await this.#connection.sendValue(contextId, false, body, this.#peerMaxPduBytes)
    } catch (error) {
      if (this.ended.aborted) throw this.#endCause
      // Half a message can't be taken back.
      this.abort(`a message could not be sent: ${String(error)}`)
      throw error
    } finally {
      this.#isSending = false
      this.#connection.progressed()
      done()
    }
  }

  /**
   * Sends a request and gives its responses, the final one last. Leaving the loop early sends C-CANCEL and reads on to
   * the final one. Rejects with AssociationError.
   */
  request(contextId: number, command: OutgoingCommand, body?: Body): AsyncGenerator<Response, void, undefined> {
    return this.#exchanges.request(contextId, command, body)
  }

  /** For requests that have one response. Rejects with AssociationError. */
  async call(contextId: number, command: OutgoingCommand, body?: Body): Promise<Response> {
    for await (const response of this.request(contextId, command, body)) if (response.final) return response
    throw this.#endCause
  }

  /** Answers an operation: the response bit, message ID and SOP Class are filled in. */
  respond(operation: Operation, fields: Partial<OutgoingCommand> & { status: number }, body?: Body): Promise<void> {
    const { commandField, affectedSopClassUid } = operation.command
    const command: OutgoingCommand = {
      ...(affectedSopClassUid === undefined ? {} : { affectedSopClassUid }),
      commandField: commandField | RESPONSE_BIT,
      messageIdBeingRespondedTo: operation.messageId,
      ...fields,
    }
    return this.send(operation.context.id, command, body)
  }

  /** PS3.8 A-RELEASE, by either side. Resolves when the association has ended, however it did. */
  async release(): Promise<void> {
    if (this.#state === 'established') {
      this.#state = 'awaitReleaseReply'
      this.#connection.progressed()
      this.#connection.write(encodeReleaseRequest())
    }
    await this.settled()
  }

  /** Ends the association at once, as service user unless told otherwise. */
  abort(why: string, source: number = AbortSource.serviceUser, reason: number = AbortReason.notSpecified): void {
    if (this.#state === 'ended') return
    const error = new AssociationError('aborted', why)
    const silent = this.#state === 'awaitRequest' && source === AbortSource.serviceUser
    this.#close(silent ? undefined : encodeAbort({ source, reason }), error)
  }

  /** Lets the operation under way finish, then ends the association. */
  stop(): void {
    this.#stopping = true
    if (!this.#queue.busy && !this.#assembler.midMessage) this.abort('the service is stopping')
  }

  #begin(type: number): void {
    const allowed = EXPECTED[this.#state]
    if (allowed.includes(type) || type === PduType.abort) return
    throw new PduError(`PDU type ${type} while ${this.#state}`, AbortReason.unexpectedPdu)
  }

  #pdu(type: number, body: Buffer): void {
    this.#connection.progressed()
    if (type === PduType.associateRequest) this.#onRequest(decodeAssociateRequest(body))
    else if (type === PduType.associateAccept) this.#onAccept(decodeAssociateAccept(body))
    else if (type === PduType.associateReject) this.#close(undefined, rejection(decodeAssociateReject(body)))
    else if (type === PduType.releaseRequest) this.#onReleaseRequest()
    else if (type === PduType.releaseReply) this.#onReleaseReply()
    else if (type === PduType.abort) this.#onAbort(body)
  }

  #onRequest(request: AssociateRequest): void {
    this.callingAeTitle = request.callingAeTitle
    this.calledAeTitle = request.calledAeTitle
    const decision = this.#owner.associate?.(request, this)
    if (!decision) throw new PduError('A-ASSOCIATE-RQ to a requestor', AbortReason.unexpectedPdu)
    if ('reject' in decision) {
      this.#close(encodeAssociateReject(decision.reject), rejection(decision.reject))
      return
    }
    this.#establish(decision.contexts, request.user.maxPduBytes)
    this.#connection.write(encodeAssociateAccept(decision.accept))
  }

  #onAccept(accept: AssociateAccept): void {
    this.#establish(agreedContexts(this.#proposal, accept), accept.user.maxPduBytes)
    this.#settle?.resolve()
  }

  #establish(contexts: readonly AcceptedContext[], peerMaxPduBytes: number): void {
    if (peerMaxPduBytes !== 0 && peerMaxPduBytes < 64) {
      throw new PduError(`the peer's maximum PDU length of ${peerMaxPduBytes} bytes leaves no room for data`)
    }
    this.#peerMaxPduBytes = peerMaxPduBytes
    this.contexts = new Map(contexts.map((context) => [context.id, context]))
    this.#state = 'established'
  }

  /** PS3.8 AR-2, AR-4 and AR-8: an operation under way is cancelled first, and a collision is for the acceptor to end. */
  #onReleaseRequest(): void {
    if (this.#assembler.midMessage) throw new PduError('A-RELEASE-RQ within a message', AbortReason.unexpectedPdu)
    if (this.#state === 'awaitReleaseReply') {
      if (this.isRequestor) this.#connection.write(encodeReleaseReply())
      this.#state = 'releaseCollision'
      return
    }
    this.#releaseRequested = true
    if (this.#queue.busy) this.#queue.cancel()
    else this.#replyToRelease()
  }

  #replyToRelease(): void {
    this.#close(encodeReleaseReply(), new AssociationError('closed', 'the peer released the association'))
  }

  #onReleaseReply(): void {
    const reply = this.#state === 'releaseCollision' && !this.isRequestor ? encodeReleaseReply() : undefined
    this.#close(reply, new AssociationError('closed', 'released'))
  }

  #onAbort(body: Buffer): void {
    const { source, reason } = decodeAbort(body)
    const why = `the peer aborted: source ${source}, reason ${reason}`
    this.#close(undefined, new AssociationError('aborted', why))
  }

  #deliver(contextId: number, command: Command, dataSet: IncomingDataSet | null): void {
    this.#connection.progressed()
    const context = this.contexts.get(contextId)
    if (!context) {
      throw new PduError(`presentation context ${contextId} was not accepted`, AbortReason.invalidParameterValue)
    }
    if (command.commandField === CommandField.cCancel) {
      dataSet?.discard()
      this.#queue.cancel(command.messageIdBeingRespondedTo ?? -1)
    } else if (command.commandField & RESPONSE_BIT) {
      this.#exchanges.onResponse(command, dataSet)
    } else {
      this.#queue.take({ association: this, context, command, messageId: command.messageId ?? 0, dataSet })
    }
  }

  #operationFailed(error: unknown): void {
    if (this.ended.aborted) return
    this.log.error({ err: error }, 'operation failed')
    this.abort('an operation failed', AbortSource.serviceProvider)
  }

  #onIdle(): void {
    this.#connection.progressed()
    if (this.ended.aborted) return
    if (this.#releaseRequested) this.#replyToRelease()
    else if (this.#stopping) this.abort('the service is stopping')
    else this.#queue.next()
  }

  #flow(reason: HoldReason): Flow {
    return { full: () => this.#connection.hold(reason), room: () => this.#connection.unhold(reason) }
  }

  #violated(error: PduError): void {
    this.log.warn({ err: error }, 'protocol violation')
    this.abort(error.message, AbortSource.serviceProvider, error.reason)
  }

  /** Looked at again after the sockets have been read: if this process stood still, the peer isn't to blame. */
  #checkTimes(): void {
    if (this.#overdue() === undefined) return
    setImmediate(() => {
      const why = this.#overdue()
      if (why !== undefined) this.#timeOut(why)
    })
  }

  #overdue(): string | undefined {
    const { idleMs, artimMs } = this.limits
    if (this.#state === 'ended') return undefined
    if (this.#state === 'awaitRequest' || this.#state === 'awaitAnswer') {
      return performance.now() - this.#startedAt > artimMs ? 'association took too long' : undefined
    }
    if (this.#connection.blockedMs > idleMs) return 'the peer takes no data'
    return this.#isPeersTurn() && this.#connection.quietMs > idleMs ? 'no progress by the peer' : undefined
  }

  /** While this side is sending, carrying out an operation or not reading, the peer may be quiet. */
  #isPeersTurn(): boolean {
    if (this.#connection.held) return false
    if (this.#assembler.midMessage || this.#state !== 'established') return true
    if (this.#isSending) return false
    return this.#exchanges.waiting || (!this.#queue.busy && !this.isRequestor)
  }

  #timeOut(why: string): void {
    this.log.warn({ why }, 'association timed out')
    const pdu = encodeAbort({ source: AbortSource.serviceProvider, reason: AbortReason.notSpecified })
    const isBlocked = this.#connection.blockedMs > 0
    this.#close(this.#state === 'awaitRequest' ? undefined : pdu, new AssociationError('timeout', why))
    if (isBlocked) this.#connection.destroy()
  }

  #close(lastPdu: Buffer | undefined, cause: AssociationError): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#connection.close(lastPdu, this.limits.artimMs)
    this.#finish(cause)
  }

  #finish(cause: AssociationError): void {
    this.#endCause = cause
    clearInterval(this.#timer)
    this.#assembler.fail(cause.message)
    this.#exchanges.fail(cause)
    this.#settle?.reject(cause)
    this.#ended.abort(cause)
    this.#queue.cancel()
    this.#owner.ended?.(this)
  }
}

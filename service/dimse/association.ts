import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { type AcceptedContext, AssociationError, type AssociationLimits, type Decision } from './association-types.ts'
import { type Command, CommandField, encodeCommand, NO_DATA_SET, RESPONSE_BIT } from './command.ts'
import { Connection, Hold } from './connection.ts'
import type { IncomingDataSet } from './data-set-stream.ts'
import { MessageAssembler } from './message-assembler.ts'
import { agreedContexts } from './negotiation.ts'
import {
  AbortReason,
  AbortSource,
  type AssociateAccept,
  type AssociateReject,
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
import { ReplyQueue, type Response } from './reply-queue.ts'

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

type State = 'awaitRequest' | 'awaitAnswer' | 'established' | 'awaitReleaseReply' | 'releaseCollision' | 'ended'

interface Running {
  operation: Operation
  cancel: AbortController
}

/** A command without what the association fills in itself. */
export type OutgoingCommand = Omit<Command, 'commandDataSetType'>
type Body = Buffer | AsyncIterable<Buffer>

/** PS3.8 Table 9-10: what may come in which state, beside A-ABORT. */
const EXPECTED: Readonly<Record<State, readonly number[]>> = {
  awaitRequest: [PduType.associateRequest],
  awaitAnswer: [PduType.associateAccept, PduType.associateReject],
  established: [PduType.data, PduType.releaseRequest],
  awaitReleaseReply: [PduType.data, PduType.releaseRequest, PduType.releaseReply],
  releaseCollision: [PduType.releaseReply],
  ended: [],
}

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
  /** Operations that the peer asked for. */
  operations = 0
  readonly #owner: AssociationOwner
  readonly #connection: Connection
  readonly #assembler: MessageAssembler
  readonly #timer: NodeJS.Timeout
  readonly #startedAt = performance.now()
  readonly #replies = new Map<number, ReplyQueue>()
  readonly #ended = new AbortController()
  #state: State
  #proposal: AssociateRequest | undefined
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  #endCause = new AssociationError('closed', 'the association has ended')
  #peerMaxPduBytes = 0
  #running: Running | undefined
  #operating: Promise<void> = Promise.resolve()
  #waiting: (() => void) | undefined
  #releaseRequested = false
  #stopping = false
  #lastMessageId = 0
  #sending: Promise<void> = Promise.resolve()

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
        gone: (cause) => this.#end(new AssociationError('closed', cause)),
      },
      limits.maxPduBytes,
    )
    const flow = {
      full: () => this.#connection.hold(Hold.dataSetFull),
      room: () => this.#connection.unhold(Hold.dataSetFull),
    }
    this.#assembler = new MessageAssembler((...message) => this.#deliver(...message), flow, limits.dataSetQueueBytes)
    this.#timer = setInterval(() => this.#checkTimes(), Math.min(limits.idleMs, limits.artimMs) / 4)
    this.#timer.unref()
  }

  get state(): State {
    return this.#state
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
    await this.#operating
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

  nextMessageId(): number {
    this.#lastMessageId = (this.#lastMessageId % 0xffff) + 1
    return this.#lastMessageId
  }

  /** Sends one message; messages never interleave. Rejects with AssociationError, or with what the body throws. */
  async send(contextId: number, command: OutgoingCommand, body?: Body): Promise<void> {
    const turn = this.#sending
    let done = () => {}
    this.#sending = new Promise((resolve) => {
      done = resolve
    })
    await turn
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
      done()
    }
  }

  /**
   * Sends a request and gives its responses, the final one last. Leaving the loop early sends C-CANCEL and reads on to
   * the final one. Rejects with AssociationError.
   */
  async *request(contextId: number, command: OutgoingCommand, body?: Body): AsyncGenerator<Response, void, undefined> {
    const messageId = command.messageId ?? this.nextMessageId()
    const replies = new ReplyQueue({
      full: () => this.#connection.hold(Hold.responsesFull),
      room: () => this.#connection.unhold(Hold.responsesFull),
    })
    this.#replies.set(messageId, replies)
    this.#connection.progressed()
    try {
      await this.send(contextId, { ...command, messageId }, body)
      this.#connection.progressed()
      for (let final = false; !final; ) {
        const response = await replies.next()
        final = response.final
        yield response
      }
    } finally {
      if (!replies.finished && !this.ended.aborted) await this.#cancelRequest(contextId, messageId, replies)
      this.#replies.delete(messageId)
    }
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
    if (!this.#running && !this.#assembler.midMessage) this.abort('the service is stopping')
  }

  // ---- what the peer sends

  #begin(type: number): void {
    const allowed = EXPECTED[this.#state]
    if (allowed.includes(type) || type === PduType.abort) return
    throw new PduError(`PDU type ${type} while ${this.#state}`, AbortReason.unexpectedPdu)
  }

  #pdu(type: number, body: Buffer): void {
    this.#connection.progressed()
    if (type === PduType.associateRequest) this.#onRequest(decodeAssociateRequest(body))
    else if (type === PduType.associateAccept) this.#onAccept(decodeAssociateAccept(body))
    else if (type === PduType.associateReject) this.#onReject(decodeAssociateReject(body))
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
      const { result, source, reason } = decision.reject
      const why = `rejected: result ${result}, source ${source}, reason ${reason}`
      this.#close(encodeAssociateReject(decision.reject), new AssociationError('rejected', why))
      return
    }
    this.#establish(decision.contexts, request.user.maxPduBytes)
    this.#connection.write(encodeAssociateAccept(decision.accept))
  }

  #onAccept(accept: AssociateAccept): void {
    this.#establish(agreedContexts(this.#proposal, accept), accept.user.maxPduBytes)
    this.#settle?.resolve()
  }

  #onReject({ result, source, reason }: AssociateReject): void {
    const why = `association rejected: result ${result}, source ${source}, reason ${reason}`
    this.#close(undefined, new AssociationError('rejected', why))
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
    if (this.#running) this.#running.cancel.abort()
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

  // ---- messages

  #deliver(contextId: number, command: Command, dataSet: IncomingDataSet | null): void {
    this.#connection.progressed()
    const context = this.contexts.get(contextId)
    if (!context) {
      throw new PduError(`presentation context ${contextId} was not accepted`, AbortReason.invalidParameterValue)
    }
    if (command.commandField === CommandField.cCancel) this.#onCancel(command)
    else if (command.commandField & RESPONSE_BIT) this.#onResponse(command, dataSet)
    else if (!this.#running) this.#run(context, command, dataSet)
    else {
      this.#connection.hold(Hold.operationRunning)
      this.#waiting = () => this.#run(context, command, dataSet)
    }
  }

  #onCancel(command: Command): void {
    const { messageIdBeingRespondedTo: id } = command
    if (this.#running?.operation.messageId === id) this.#running?.cancel.abort()
  }

  #onResponse(command: Command, dataSet: IncomingDataSet | null): void {
    const replies = this.#replies.get(command.messageIdBeingRespondedTo ?? -1)
    if (!replies) throw new PduError('response to no request', AbortReason.unexpectedParameter)
    replies.push(command, dataSet, this.limits.identifierBytesMax)
  }

  #run(context: AcceptedContext, command: Command, dataSet: IncomingDataSet | null): void {
    const cancel = new AbortController()
    const messageId = command.messageId ?? 0
    const operation = { association: this, context, command, messageId, dataSet, cancelled: cancel.signal }
    this.#running = { operation, cancel }
    this.operations++
    this.#operating = this.#operate(operation)
  }

  async #operate(operation: Operation): Promise<void> {
    try {
      await this.#owner.operate(operation)
      await operation.dataSet?.discard()
    } catch (error) {
      if (!this.ended.aborted) {
        this.log.error({ err: error }, 'operation failed')
        this.abort('an operation failed', AbortSource.serviceProvider)
      }
    }
    this.#running = undefined
    this.#connection.progressed()
    if (this.ended.aborted) return
    if (this.#releaseRequested) this.#replyToRelease()
    else if (this.#stopping) this.abort('the service is stopping')
    else this.#runWaiting()
  }

  #runWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
    this.#connection.unhold(Hold.operationRunning)
  }

  async #cancelRequest(contextId: number, messageId: number, replies: ReplyQueue): Promise<void> {
    await this.send(contextId, { commandField: CommandField.cCancel, messageIdBeingRespondedTo: messageId })
    while (!replies.finished) await replies.next()
  }

  // ---- ends and times

  #violated(error: PduError): void {
    this.log.warn({ err: error }, 'protocol violation')
    this.abort(error.message, AbortSource.serviceProvider, error.reason)
  }

  #checkTimes(): void {
    if (this.#state === 'ended') return
    if (this.#state === 'awaitRequest' || this.#state === 'awaitAnswer') {
      if (performance.now() - this.#startedAt > this.limits.artimMs) this.#timeOut('association took too long')
    } else if (this.#connection.blockedMs > this.limits.idleMs) {
      this.#timeOut('the peer takes no data')
      this.#connection.destroy()
    } else if (this.#isPeersTurn() && this.#connection.quietMs > this.limits.idleMs) {
      this.#timeOut('no progress by the peer')
    }
  }

  #isPeersTurn(): boolean {
    if (this.#connection.held) return false
    return (
      this.#assembler.midMessage || this.#replies.size > 0 || (!this.#running && !this.isRequestor) || this.#isReleasing
    )
  }

  get #isReleasing(): boolean {
    return this.#state === 'awaitReleaseReply' || this.#state === 'releaseCollision'
  }

  #timeOut(why: string): void {
    this.log.warn({ why }, 'association timed out')
    const source = this.#state === 'awaitRequest' ? undefined : AbortSource.serviceProvider
    const pdu = source === undefined ? undefined : encodeAbort({ source, reason: AbortReason.notSpecified })
    this.#close(pdu, new AssociationError('timeout', why))
  }

  #close(lastPdu: Buffer | undefined, cause: AssociationError): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#connection.close(lastPdu, this.limits.artimMs)
    this.#finish(cause)
  }

  #end(cause: AssociationError): void {
    this.#close(undefined, cause)
  }

  #finish(cause: AssociationError): void {
    this.#endCause = cause
    clearInterval(this.#timer)
    this.#waiting = undefined
    this.#assembler.fail(cause.message)
    for (const replies of this.#replies.values()) replies.fail(cause)
    this.#settle?.reject(cause)
    this.#ended.abort(cause)
    this.#running?.cancel.abort()
    this.#owner.ended?.(this)
  }
}

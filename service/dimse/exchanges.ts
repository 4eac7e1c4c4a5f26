import type { AssociationError } from './association-types.ts'
import { type Command, CommandField } from './command.ts'
import type { Flow, IncomingDataSet } from './data-set-stream.ts'
import { AbortReason, PduError } from './pdu.ts'
import { ReplyQueue, type Response } from './reply-queue.ts'

/** A command without what the association fills in itself. */
export type OutgoingCommand = Omit<Command, 'commandDataSetType'>
/** A data set to send. Chunks should have even lengths, as data sets have. */
export type Body = Buffer | AsyncIterable<Buffer>
type Send = (contextId: number, command: OutgoingCommand, body?: Body) => Promise<void>

/** The requests that this side has made on an association and whose final response it has not had. */
export class Exchanges {
  readonly #send: Send
  readonly #flow: Flow
  readonly #identifierBytesMax: number
  readonly #replies = new Map<number, ReplyQueue>()
  #lastMessageId = 0

  constructor(send: Send, flow: Flow, identifierBytesMax: number) {
    this.#send = send
    this.#flow = flow
    this.#identifierBytesMax = identifierBytesMax
  }

  /** The peer owes a response. */
  get waiting(): boolean {
    return this.#replies.size > 0
  }

  /** Throws PduError for a response to nothing. */
  onResponse(command: Command, dataSet: IncomingDataSet | null): void {
    const replies = this.#replies.get(command.messageIdBeingRespondedTo ?? -1)
    if (!replies) throw new PduError('response to no request', AbortReason.unexpectedParameter)
    replies.push(command, dataSet, this.#identifierBytesMax)
  }

  fail(cause: AssociationError): void {
    for (const replies of this.#replies.values()) replies.fail(cause)
  }

  async *request(contextId: number, command: OutgoingCommand, body?: Body): AsyncGenerator<Response, void, undefined> {
    const messageId = this.#nextMessageId()
    const replies = new ReplyQueue(this.#flow)
    this.#replies.set(messageId, replies)
    try {
      await this.#send(contextId, { ...command, messageId }, body)
      for (let final = false; !final; ) {
        const response = await replies.next()
        final = response.final
        yield response
      }
    } finally {
      if (!replies.finished) await this.#cancel(contextId, messageId, replies)
      this.#replies.delete(messageId)
    }
  }

  #nextMessageId(): number {
    this.#lastMessageId = (this.#lastMessageId % 0xffff) + 1
    return this.#lastMessageId
  }

  /** Asks the peer to stop, and reads on to the final response. */
  async #cancel(contextId: number, messageId: number, replies: ReplyQueue): Promise<void> {
    await this.#send(contextId, { commandField: CommandField.cCancel, messageIdBeingRespondedTo: messageId })
    while (!replies.finished) await replies.next()
  }
}

import { type Command, CommandError, decodeCommand, NO_DATA_SET } from './command.ts'
import { type Flow, IncomingDataSet } from './data-set-stream.ts'
import { AbortReason, PduError } from './pdu.ts'

/** A command set needs some hundred bytes; the longest that anything could sensibly send is far below this. */
const COMMAND_BYTES_MAX = 65_536

/** Gets each message as soon as its command set is complete; the data set, if any, arrives while it is read. */
export type Deliver = (contextId: number, command: Command, dataSet: IncomingDataSet | null) => void

function broken(message: string): PduError {
  return new PduError(message, AbortReason.unexpectedParameter)
}

/** Puts presentation data values together to DIMSE messages (PS3.7 6.3.1, PS3.8 Annex E). */
export class MessageAssembler {
  readonly #deliver: Deliver
  readonly #flow: Flow
  readonly #queueBytesMax: number
  #contextId = 0
  #commandParts: Buffer[] = []
  #commandBytes = 0
  #dataSet: IncomingDataSet | undefined

  constructor(deliver: Deliver, flow: Flow, queueBytesMax: number) {
    this.#deliver = deliver
    this.#flow = flow
    this.#queueBytesMax = queueBytesMax
  }

  /** The peer owes the rest of a message. */
  get midMessage(): boolean {
    return this.#dataSet !== undefined || this.#commandBytes > 0
  }

  /** Throws PduError. */
  fragment(contextId: number, isCommand: boolean, bytes: Buffer, last: boolean): void {
    if (this.midMessage && contextId !== this.#contextId) throw broken('presentation context changes within a message')
    this.#contextId = contextId
    if (isCommand) this.#takeCommand(bytes, last)
    else this.#takeData(bytes, last)
  }

  fail(message: string): void {
    this.#dataSet?.fail(message)
    this.#dataSet = undefined
  }

  #takeData(bytes: Buffer, last: boolean): void {
    const dataSet = this.#dataSet
    if (!dataSet) throw broken('data set without a command that announces one')
    if (last) this.#dataSet = undefined
    dataSet.push(bytes, last)
  }

  #takeCommand(bytes: Buffer, last: boolean): void {
    if (this.#dataSet) throw broken('command set before the end of the data set')
    this.#commandBytes += bytes.length
    if (this.#commandBytes > COMMAND_BYTES_MAX) throw broken(`command set of more than ${COMMAND_BYTES_MAX} bytes`)
    if (bytes.length > 0) this.#commandParts.push(bytes)
    if (!last) return
    const whole = this.#commandParts.length === 1 ? bytes : Buffer.concat(this.#commandParts)
    this.#commandParts = []
    this.#commandBytes = 0
    const command = this.#decode(whole)
    const hasDataSet = command.commandDataSetType !== NO_DATA_SET
    const dataSet = hasDataSet ? new IncomingDataSet(this.#flow, this.#queueBytesMax) : null
    this.#dataSet = dataSet ?? undefined
    this.#deliver(this.#contextId, command, dataSet)
  }

  #decode(bytes: Buffer): Command {
    try {
      return decodeCommand(bytes)
    } catch (error) {
      if (error instanceof CommandError) throw broken(error.message)
      throw error
    }
  }
}

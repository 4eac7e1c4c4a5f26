import type { Command } from './command.ts'
import { collect, type Flow, type IncomingDataSet } from './data-set-stream.ts'
import { isPending } from './status-map.ts'

/** One response to a request that Firn made. */
export interface Response {
  command: Command
  status: number
  /** The identifier, when there is one. */
  dataSet: Buffer | null
  /** Not a pending one: nothing follows. */
  final: boolean
}

/** So many responses wait before reading of the socket is held. */
const RESPONSES_MAX = 64

/** The responses to one request, in the order in which they arrive. */
export class ReplyQueue {
  readonly #flow: Flow
  #queue: Promise<Response>[] = []
  #wake: (() => void) | undefined
  #error: Error | undefined
  #isFull = false
  #finalTaken = false

  constructor(flow: Flow) {
    this.#flow = flow
  }

  /** The final response was taken, or none will come. */
  get finished(): boolean {
    return this.#finalTaken || this.#error !== undefined
  }

  push(command: Command, dataSet: IncomingDataSet | null, bytesMax: number): void {
    const response = read(command, dataSet, bytesMax)
    this.#queue.push(response)
    // Not before its data set has been read, or holding would wait for itself. Whoever takes it sees a failure.
    response.then(
      () => this.#checkFull(),
      () => {},
    )
    this.#wakeUp()
  }

  /** Rejects with the cause of the association's end. */
  async next(): Promise<Response> {
    for (;;) {
      const response = this.#queue.shift()
      if (response) {
        this.#makeRoom()
        const { final } = await response
        if (final) this.#finalTaken = true
        return response
      }
      if (this.#error) throw this.#error
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  fail(error: Error): void {
    this.#error = error
    this.#wakeUp()
  }

  #checkFull(): void {
    if (this.#queue.length < RESPONSES_MAX || this.#isFull) return
    this.#isFull = true
    this.#flow.full()
  }

  #makeRoom(): void {
    if (!this.#isFull || this.#queue.length > RESPONSES_MAX / 2) return
    this.#isFull = false
    this.#flow.room()
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

async function read(command: Command, dataSet: IncomingDataSet | null, bytesMax: number): Promise<Response> {
  const status = command.status ?? 0
  const final = !isPending(status)
  if (!dataSet) return { command, status, dataSet: null, final }
  try {
    return { command, status, dataSet: await collect(dataSet, bytesMax), final }
  } catch (error) {
    await dataSet.discard()
    throw error
  }
}

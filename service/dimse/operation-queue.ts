import type { Operation } from './association-types.ts'

export type IncomingRequest = Omit<Operation, 'cancelled'>

export interface OperationQueueOwner {
  operate(operation: Operation): Promise<void>
  /** An operation could not even be answered. */
  failed(error: unknown): void
  /** Nothing is under way any more. */
  idle(): void
  /** No request may be read from the socket until `unhold`. */
  hold(): void
  unhold(): void
}

/**
 * Carries the peer's requests out strictly one after the other. One that comes early waits, its data set unread in the
 * socket; as nothing is read behind it, there is never more than one.
 */
export class OperationQueue {
  readonly #owner: OperationQueueOwner
  #running: { messageId: number; cancel: AbortController } | undefined
  #waiting: IncomingRequest | undefined
  #settled: Promise<void> = Promise.resolve()
  /** How many have been begun. */
  count = 0

  constructor(owner: OperationQueueOwner) {
    this.#owner = owner
  }

  get busy(): boolean {
    return this.#running !== undefined
  }

  /** Resolves when the operation under way has come to its end. */
  get settled(): Promise<void> {
    return this.#settled
  }

  take(request: IncomingRequest): void {
    if (!this.#running) {
      this.#run(request)
      return
    }
    this.#owner.hold()
    this.#waiting = request
  }

  /** Cancels the operation under way, if it has this message ID; without one, whichever it is. */
  cancel(messageId?: number): void {
    if (messageId === undefined || messageId === this.#running?.messageId) this.#running?.cancel.abort()
  }

  /** Begins the request that waits, if any. */
  next(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) this.#run(waiting)
    this.#owner.unhold()
  }

  #run(request: IncomingRequest): void {
    const cancel = new AbortController()
    this.#running = { messageId: request.messageId, cancel }
    this.count++
    this.#settled = this.#operate({ ...request, cancelled: cancel.signal })
  }

  async #operate(operation: Operation): Promise<void> {
    try {
      await this.#owner.operate(operation)
      await operation.dataSet?.discard()
    } catch (error) {
      this.#owner.failed(error)
    }
    this.#running = undefined
    this.#owner.idle()
  }
}

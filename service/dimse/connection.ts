import type { Socket } from 'node:net'
import { AbortReason, encodePdvHeader, PDV_COMMAND, PDV_LAST, PduError } from './pdu.ts'
import { PduReader, type PduSink } from './pdu-reader.ts'
import { acknowledgeNow } from './quick-ack.ts'

/** A P-DATA-TF that Firn sends is never larger, whatever the peer allows. */
const SENT_PDU_BYTES_MAX = 262_144
/** So much is handed to the socket before waiting for it to drain. */
const BATCH_BYTES = 524_288
/** So many bytes count as progress of a peer that sends; fewer don't keep an association alive. */
const PROGRESS_BYTES = 4096
/** A piece of a command: its sender may wait for our acknowledgement before it goes on. */
const SMALL_BYTES = 1024

export interface ConnectionOwner extends PduSink {
  /** The peer broke the protocol. */
  violated(error: PduError): void
  /** The transport connection is gone, or is going and nothing more will be read. May be called again. */
  gone(cause: string): void
}

/** Why reading of the socket is held; bits, as several reasons may hold at once. */
export const Hold = { dataSetFull: 1, operationRunning: 2, responsesFull: 4 } as const
export type HoldReason = (typeof Hold)[keyof typeof Hold]

/**
 * A socket that speaks PDUs: reading with back-pressure, writing with back-pressure, and the bookkeeping by which the
 * association's timers decide. Nothing is read while anything holds it.
 */
export class Connection {
  readonly socket: Socket
  readonly #owner: ConnectionOwner
  readonly #reader: PduReader
  #holds = 0
  #over = false
  #closing = false
  #drain: { resolve: () => void; reject: (error: Error) => void } | undefined
  /** Monotonic milliseconds. */
  #progressAt = performance.now()
  #progressBytes = 0
  #blockedSince: number | undefined

  constructor(socket: Socket, owner: ConnectionOwner, maxPduBytes: number) {
    this.socket = socket
    this.#owner = owner
    this.#reader = new PduReader(owner, maxPduBytes)
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('drain', () => this.#onDrain())
    socket.on('error', (error) => this.#end(error.message))
    socket.on('end', () => this.#end('the peer closed the connection'))
    socket.on('close', () => this.#end('the connection was closed'))
  }

  get held(): boolean {
    return this.#holds !== 0
  }

  hold(reason: HoldReason): void {
    this.#holds |= reason
    this.#reader.suspend()
    this.socket.pause()
  }

  unhold(reason: HoldReason): void {
    if ((this.#holds & reason) === 0) return
    this.#holds &= ~reason
    if (this.#holds !== 0 || this.#over) return
    this.progressed()
    this.#guard(() => this.#reader.resume())
    if (this.#holds === 0) this.socket.resume()
  }

  /** The peer did something useful, or it is now its turn to. */
  progressed(): void {
    this.#progressAt = performance.now()
    this.#progressBytes = 0
  }

  /** How long the peer has kept Firn waiting for bytes, in milliseconds. */
  get quietMs(): number {
    return performance.now() - this.#progressAt
  }

  /** How long the peer has not taken what was written, in milliseconds; 0 when it has. */
  get blockedMs(): number {
    return this.#blockedSince === undefined ? 0 : performance.now() - this.#blockedSince
  }

  write(pdu: Buffer): void {
    if (!this.#over) this.socket.write(pdu)
  }

  /**
   * Sends one command set or data set as P-DATA-TF PDUs of at most `peerMaxPduBytes` (0: no limit). Resolves when the
   * socket has taken it; rejects when the connection ends or the source throws, in which case the message is half sent.
   */
  async sendValue(
    contextId: number,
    isCommand: boolean,
    source: Buffer | AsyncIterable<Buffer>,
    peerMaxPduBytes: number,
  ): Promise<void> {
    const limit = peerMaxPduBytes === 0 ? SENT_PDU_BYTES_MAX : Math.min(peerMaxPduBytes, SENT_PDU_BYTES_MAX)
    const valueBytesMax = (limit - 6) & ~1
    const control = isCommand ? PDV_COMMAND : 0
    if (Buffer.isBuffer(source)) {
      return this.#sendPieces(contextId, control, PDV_LAST, source, valueBytesMax)
    }
    // The last fragment carries a flag, so one chunk is kept back until it is known whether another one follows.
    let kept: Buffer | undefined
    for await (const chunk of source) {
      if (chunk.length === 0) continue
      if (kept) await this.#sendPieces(contextId, control, 0, kept, valueBytesMax)
      kept = chunk
    }
    await this.#sendPieces(contextId, control, PDV_LAST, kept ?? Buffer.alloc(0), valueBytesMax)
  }

  async #sendPieces(contextId: number, control: number, last: number, bytes: Buffer, max: number): Promise<void> {
    let at = 0
    do {
      if (this.#over) throw new Error('the association has ended')
      const batchEnd = Math.min(bytes.length, at + BATCH_BYTES)
      this.socket.cork()
      do {
        const end = Math.min(bytes.length, at + max)
        this.socket.write(encodePdvHeader(contextId, end === bytes.length ? control | last : control, end - at))
        if (end > at) this.socket.write(bytes.subarray(at, end))
        at = end
      } while (at < batchEnd)
      this.socket.uncork()
      if (this.socket.writableNeedDrain) await this.#drained()
    } while (at < bytes.length)
  }

  /** Sends a last PDU, if any, and closes; what the peer still sends is dropped. The socket is gone after `graceMs`. */
  close(lastPdu: Buffer | undefined, graceMs: number): void {
    if (this.#closing) return
    this.#closing = true
    this.#over = true
    this.#reader.suspend()
    this.socket.removeAllListeners('data')
    this.socket.resume()
    if (lastPdu) this.socket.end(lastPdu)
    else this.socket.end()
    const timer = setTimeout(() => this.socket.destroy(), graceMs)
    this.socket.once('close', () => clearTimeout(timer))
    this.#rejectDrain()
  }

  destroy(): void {
    this.socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#progressBytes += chunk.length
    if (this.#progressBytes >= PROGRESS_BYTES) this.progressed()
    if (chunk.length < SMALL_BYTES) acknowledgeNow(this.socket)
    this.#guard(() => this.#reader.push(chunk))
  }

  #guard(parse: () => void): void {
    try {
      parse()
    } catch (error) {
      // Nothing else is expected; if it happens it must cost one association, not the process.
      this.#owner.violated(error instanceof PduError ? error : new PduError(String(error), AbortReason.notSpecified))
    }
  }

  #drained(): Promise<void> {
    this.#blockedSince = performance.now()
    return new Promise((resolve, reject) => {
      this.#drain = { resolve, reject }
    })
  }

  #onDrain(): void {
    const drain = this.#drain
    this.#drain = undefined
    this.#blockedSince = undefined
    drain?.resolve()
  }

  #rejectDrain(): void {
    const drain = this.#drain
    this.#drain = undefined
    drain?.reject(new Error('the association has ended'))
  }

  #end(cause: string): void {
    this.#rejectDrain()
    this.#over = true
    this.#owner.gone(cause)
  }
}

import { AbortReason, ASSOCIATION_PDU_BYTES_MAX, PDV_COMMAND, PDV_LAST, PduError, PduType } from './pdu.ts'

/** Receives what PduReader finds. A PduError thrown from here or there ends the association. */
export interface PduSink {
  /** A PDU's header was read; throws PduError when the PDU isn't expected now. */
  begin(type: number): void
  /** A complete PDU other than P-DATA-TF; `body` is its variable field. */
  pdu(type: number, body: Buffer): void
  /**
   * A piece of a presentation data value, as it came from the socket: never empty, except for a value without bytes.
   * `last`: these are the last bytes of the command set or data set.
   */
  fragment(contextId: number, isCommand: boolean, bytes: Buffer, last: boolean): void
}

const Reading = { pduHeader: 0, body: 1, pdvHeader: 2, pdv: 3 } as const
type State = (typeof Reading)[keyof typeof Reading]

/**
 * Cuts a byte stream into PDUs (PS3.8 9.3). P-DATA-TF is never collected: pieces of its values are passed on as
 * subarrays of the chunks as these arrive. Memory: 6 bytes, or one association PDU, or, while suspended, what is left
 * of the chunks that were pushed.
 */
export class PduReader {
  readonly #sink: PduSink
  readonly #dataBytesMax: number
  #state: State = Reading.pduHeader
  #type = 0
  /** Bytes of the PDU's variable field, and of the PDV's value, that are still to come. */
  #pduLeft = 0
  #pdvLeft = 0
  #contextId = 0
  #control = 0
  readonly #scratch = Buffer.alloc(6)
  #scratchFilled = 0
  #body: Buffer | undefined
  #bodyFilled = 0
  #suspended = false
  #parsing = false
  #rest: Buffer[] = []

  /** `dataBytesMax`: the largest variable field of a P-DATA-TF that was announced to the peer. */
  constructor(sink: PduSink, dataBytesMax: number) {
    this.#sink = sink
    this.#dataBytesMax = dataBytesMax
  }

  /** Stops passing things to the sink, at once; also from within a sink's method. */
  suspend(): void {
    this.#suspended = true
  }

  /** Goes on with what was pushed meanwhile. Throws PduError. */
  resume(): void {
    this.#suspended = false
    if (!this.#parsing) this.#parseRest()
  }

  get suspended(): boolean {
    return this.#suspended
  }

  /** Throws PduError, after which the reader must not be used again. */
  push(chunk: Buffer): void {
    this.#rest.push(chunk)
    if (!this.#suspended && !this.#parsing) this.#parseRest()
  }

  #parseRest(): void {
    this.#parsing = true
    try {
      for (;;) {
        const chunk = this.#rest[0]
        if (!chunk || this.#suspended) return
        const used = this.#parse(chunk)
        if (used < chunk.length) this.#rest[0] = chunk.subarray(used)
        else this.#rest.shift()
      }
    } finally {
      this.#parsing = false
    }
  }

  /** Returns how many bytes of the chunk were used: all, unless suspended. */
  #parse(chunk: Buffer): number {
    let at = 0
    while (at < chunk.length && !this.#suspended) {
      if (this.#state === Reading.pdv) at = this.#takePdv(chunk, at)
      else if (this.#state === Reading.body) at = this.#takeBody(chunk, at)
      else at = this.#takeHeader(chunk, at)
    }
    return at
  }

  #takeHeader(chunk: Buffer, at: number): number {
    if (this.#scratchFilled === 0 && chunk.length - at >= 6) {
      this.#header(chunk, at)
      return at + 6
    }
    const take = Math.min(6 - this.#scratchFilled, chunk.length - at)
    chunk.copy(this.#scratch, this.#scratchFilled, at, at + take)
    this.#scratchFilled += take
    if (this.#scratchFilled === 6) {
      this.#scratchFilled = 0
      this.#header(this.#scratch, 0)
    }
    return at + take
  }

  #header(bytes: Buffer, at: number): void {
    if (this.#state === Reading.pduHeader) this.#pduHeader(bytes.readUInt8(at), bytes.readUInt32BE(at + 2))
    else this.#pdvHeader(bytes.readUInt32BE(at), bytes.readUInt8(at + 4), bytes.readUInt8(at + 5))
  }

  #pduHeader(type: number, length: number): void {
    if (type < PduType.associateRequest || type > PduType.abort) {
      throw new PduError(`unknown PDU type ${type}`, AbortReason.unrecognizedPdu)
    }
    this.#sink.begin(type)
    this.#type = type
    this.#pduLeft = length
    if (type === PduType.data) {
      if (length > this.#dataBytesMax) {
        throw new PduError(`P-DATA-TF of ${length} bytes, at most ${this.#dataBytesMax} were announced`)
      }
      if (length < 6) throw new PduError(`P-DATA-TF of ${length} bytes holds no presentation data value`)
      this.#state = Reading.pdvHeader
      return
    }
    const max = type <= PduType.associateAccept ? ASSOCIATION_PDU_BYTES_MAX : 4
    if (length > max || length < 4) throw new PduError(`PDU type ${type} of ${length} bytes, 4 to ${max} are allowed`)
    this.#state = Reading.body
  }

  #takeBody(chunk: Buffer, at: number): number {
    const take = Math.min(this.#pduLeft, chunk.length - at)
    const piece = chunk.subarray(at, at + take)
    if (this.#body === undefined && take === this.#pduLeft) {
      this.#endBody(piece)
      return at + take
    }
    this.#body ??= Buffer.allocUnsafe(this.#pduLeft)
    piece.copy(this.#body, this.#bodyFilled)
    this.#bodyFilled += take
    this.#pduLeft -= take
    if (this.#pduLeft === 0) this.#endBody(this.#body)
    return at + take
  }

  #endBody(body: Buffer): void {
    this.#body = undefined
    this.#bodyFilled = 0
    this.#pduLeft = 0
    this.#state = Reading.pduHeader
    this.#sink.pdu(this.#type, body)
  }

  #pdvHeader(length: number, contextId: number, control: number): void {
    this.#pduLeft -= 6
    if (length < 2 || length - 2 > this.#pduLeft) {
      throw new PduError(`presentation data value of ${length} bytes, ${this.#pduLeft + 2} are left in its PDU`)
    }
    this.#pdvLeft = length - 2
    this.#contextId = contextId
    this.#control = control
    this.#state = Reading.pdv
    if (this.#pdvLeft === 0) this.#passOn(Buffer.alloc(0))
  }

  #takePdv(chunk: Buffer, at: number): number {
    const take = Math.min(this.#pdvLeft, chunk.length - at)
    this.#pdvLeft -= take
    this.#pduLeft -= take
    this.#passOn(chunk.subarray(at, at + take))
    return at + take
  }

  /** The state is moved on first: the sink may suspend the reader. */
  #passOn(bytes: Buffer): void {
    const pdvEnds = this.#pdvLeft === 0
    if (pdvEnds) {
      if (this.#pduLeft > 0 && this.#pduLeft < 6) throw new PduError(`${this.#pduLeft} stray bytes at a PDU's end`)
      this.#state = this.#pduLeft === 0 ? Reading.pduHeader : Reading.pdvHeader
    }
    const last = pdvEnds && (this.#control & PDV_LAST) !== 0
    this.#sink.fragment(this.#contextId, (this.#control & PDV_COMMAND) !== 0, bytes, last)
  }
}

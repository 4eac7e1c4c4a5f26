import { connect, type Socket } from 'node:net'

/**
 * A DICOM upper layer and DIMSE client of the tests' own (PS3.8, PS3.7): enough to store, echo, and misbehave. It sends
 * a data set's bytes exactly as given, which dcmtk's tools don't.
 */
export const VERIFICATION = '1.2.840.10008.1.1'
export const IMPLICIT_LE = '1.2.840.10008.1.2'
const APPLICATION_CONTEXT = '1.2.840.10008.3.1.1.1'
const IMPLEMENTATION = '1.2.826.0.1.3680043.10.1520.99'

export const PDU = { associateRq: 1, associateAc: 2, associateRj: 3, data: 4, releaseRq: 5, releaseRp: 6, abort: 7 }

export interface Proposal {
  sopClassUid: string
  transferSyntaxUids: readonly string[]
}

export function pdu(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(6)
  head.writeUInt8(type, 0)
  head.writeUInt32BE(body.length, 2)
  return Buffer.concat([head, body])
}

export function item(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt8(type, 0)
  head.writeUInt16BE(body.length, 2)
  return Buffer.concat([head, body])
}

/** A-ASSOCIATE-RQ (PS3.8 9.3.2); presentation context IDs are 1, 3, 5 ... in the order of the proposals. */
export function associateRq(
  proposals: readonly Proposal[],
  calling = 'FIRNTEST',
  called = 'FIRN',
  maxPdu = 65_536,
  userItems: readonly Buffer[] = [],
): Buffer {
  const fixed = Buffer.alloc(68)
  fixed.writeUInt16BE(1, 0)
  fixed.write(called.padEnd(16), 4, 'latin1')
  fixed.write(calling.padEnd(16), 20, 'latin1')
  const contexts = proposals.map((proposal, index) => {
    const syntaxes = proposal.transferSyntaxUids.map((uid) => item(0x40, Buffer.from(uid)))
    const abstract = item(0x30, Buffer.from(proposal.sopClassUid))
    return item(0x20, Buffer.concat([Buffer.from([index * 2 + 1, 0, 0, 0]), abstract, ...syntaxes]))
  })
  const length = Buffer.alloc(4)
  length.writeUInt32BE(maxPdu)
  const user = Buffer.concat([item(0x51, length), item(0x52, Buffer.from(IMPLEMENTATION)), ...userItems])
  return pdu(
    PDU.associateRq,
    Buffer.concat([fixed, item(0x10, Buffer.from(APPLICATION_CONTEXT)), ...contexts, item(0x50, user)]),
  )
}

/** One implicit little endian command element (PS3.7 6.3.1). */
function commandElement(element: number, value: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt16LE(element, 2)
  head.writeUInt32LE(value.length, 4)
  return Buffer.concat([head, value])
}

function uidValue(uid: string): Buffer {
  return Buffer.from(uid.length % 2 === 0 ? uid : `${uid}\0`, 'latin1')
}

function u16Value(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

/** A command set: numbers become US, text UI; element numbers of group 0000 in ascending order. */
export function command(fields: Record<number, number | string>): Buffer {
  const body = Object.entries(fields).map(([element, value]) =>
    commandElement(Number(element), typeof value === 'number' ? u16Value(value) : uidValue(value)),
  )
  const all = Buffer.concat(body)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(all.length)
  return Buffer.concat([commandElement(0, length), all])
}

export function storeRq(messageId: number, sopClassUid: string, sopInstanceUid: string): Buffer {
  return command({ 2: sopClassUid, 256: 1, 272: messageId, 1792: 0, 2048: 0, 4096: sopInstanceUid })
}

export function echoRq(messageId: number): Buffer {
  return command({ 2: VERIFICATION, 256: 0x30, 272: messageId, 2048: 0x0101 })
}

/** P-DATA-TF PDUs that carry one message part, in fragments of at most `maxPdu` bytes (PS3.8 9.3.5). */
export function* eachDataPdu(contextId: number, isCommand: boolean, bytes: Buffer, maxPdu: number): Generator<Buffer> {
  const room = maxPdu - 6
  let at = 0
  do {
    const end = Math.min(at + room, bytes.length)
    const head = Buffer.alloc(6)
    head.writeUInt32BE(end - at + 2, 0)
    head.writeUInt8(contextId, 4)
    head.writeUInt8((isCommand ? 1 : 0) | (end === bytes.length ? 2 : 0), 5)
    yield pdu(PDU.data, Buffer.concat([head, bytes.subarray(at, end)]))
    at = end
  } while (at < bytes.length)
}

export function dataPdus(contextId: number, isCommand: boolean, bytes: Buffer, maxPdu = 16_384): Buffer[] {
  return [...eachDataPdu(contextId, isCommand, bytes, maxPdu)]
}

/** Group 0000 elements of a command set by element number. */
export function readCommand(bytes: Buffer): Map<number, Buffer> {
  const fields = new Map<number, Buffer>()
  let at = 0
  while (at + 8 <= bytes.length) {
    const length = bytes.readUInt32LE(at + 4)
    fields.set(bytes.readUInt16LE(at + 2), bytes.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return fields
}

export interface Pdu {
  type: number
  body: Buffer
}

/** A socket that hands out whole PDUs. */
export class PduSocket {
  readonly socket: Socket
  #buffered = Buffer.alloc(0)
  #failure: Error | undefined
  #waiting: (() => void) | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#buffered = Buffer.concat([this.#buffered, chunk])
      this.#waiting?.()
    })
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('connection closed by the peer')))
  }

  static async open(port: number, host = '127.0.0.1'): Promise<PduSocket> {
    const socket = connect({ port, host, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
    return new PduSocket(socket)
  }

  /** Over a socket that a server has accepted. */
  static over(socket: Socket): PduSocket {
    return new PduSocket(socket)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#waiting?.()
  }

  get closed(): boolean {
    return this.#failure !== undefined
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    await new Promise<void>((resolve, reject) =>
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve())),
    )
  }

  /** The next PDU; rejects when the connection ends first. */
  async read(): Promise<Pdu> {
    for (;;) {
      const held = this.#buffered
      const length = held.length >= 6 ? held.readUInt32BE(2) : Number.POSITIVE_INFINITY
      if (held.length >= 6 + length) {
        this.#buffered = held.subarray(6 + length)
        return { type: held.readUInt8(0), body: held.subarray(6, 6 + length) }
      }
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export interface Accepted {
  contextId: number
  sopClassUid: string
  transferSyntaxUid: string
}

/** An established association. One request at a time. */
export class Association {
  readonly peer: PduSocket
  readonly accepted: readonly Accepted[]
  readonly maxPdu: number
  #messageId = 0

  private constructor(peer: PduSocket, accepted: readonly Accepted[], maxPdu: number) {
    this.peer = peer
    this.accepted = accepted
    this.maxPdu = maxPdu
  }

  static async open(
    port: number,
    proposals: readonly Proposal[],
    options: { calling?: string; called?: string } = {},
  ): Promise<Association> {
    const peer = await PduSocket.open(port)
    await peer.write(associateRq(proposals, options.calling, options.called))
    const answer = await peer.read()
    if (answer.type !== PDU.associateAc) {
      peer.destroy()
      throw new Error(`association refused: PDU type ${answer.type}, ${answer.body.toString('hex')}`)
    }
    const { accepted, maxPdu } = readAccept(answer.body, proposals)
    return new Association(peer, accepted, maxPdu === 0 ? 65_536 : Math.min(maxPdu, 262_144))
  }

  #context(sopClassUid: string, transferSyntaxUid?: string): Accepted {
    const found = this.accepted.find(
      (one) =>
        one.sopClassUid === sopClassUid && (transferSyntaxUid ?? one.transferSyntaxUid) === one.transferSyntaxUid,
    )
    if (found === undefined)
      throw new Error(`no accepted context for ${sopClassUid} in ${transferSyntaxUid ?? 'any syntax'}`)
    return found
  }

  /** Sends a data set's bytes as they are and returns the response's status (0 is success). */
  async store(
    sopClassUid: string,
    sopInstanceUid: string,
    transferSyntaxUid: string,
    dataSet: Buffer,
  ): Promise<number> {
    const context = this.#context(sopClassUid, transferSyntaxUid)
    const request = storeRq(++this.#messageId, sopClassUid, sopInstanceUid)
    for (const one of eachDataPdu(context.contextId, true, request, this.maxPdu)) await this.peer.write(one)
    for (const one of eachDataPdu(context.contextId, false, dataSet, this.maxPdu)) await this.peer.write(one)
    return await this.#status()
  }

  async echo(): Promise<number> {
    const context = this.#context(VERIFICATION)
    for (const one of dataPdus(context.contextId, true, echoRq(++this.#messageId))) await this.peer.write(one)
    return await this.#status()
  }

  async #status(): Promise<number> {
    const message: Buffer[] = []
    for (;;) {
      const { type, body } = await this.peer.read()
      if (type !== PDU.data) throw new Error(`PDU type ${type} where a response was due: ${body.toString('hex')}`)
      let at = 0
      while (at + 6 <= body.length) {
        const length = body.readUInt32BE(at)
        message.push(body.subarray(at + 6, at + 4 + length))
        if ((body.readUInt8(at + 5) & 2) !== 0) return responseStatus(Buffer.concat(message))
        at += 4 + length
      }
    }
  }

  async release(): Promise<void> {
    await this.peer.write(pdu(PDU.releaseRq, Buffer.alloc(4)))
    const answer = await this.peer.read()
    this.peer.destroy()
    if (answer.type !== PDU.releaseRp) throw new Error(`PDU type ${answer.type} instead of A-RELEASE-RP`)
  }

  /** Drops the connection without a word. */
  destroy(): void {
    this.peer.destroy()
  }
}

function responseStatus(bytes: Buffer): number {
  const status = readCommand(bytes).get(0x0900)
  if (status === undefined) throw new Error('a response without a status')
  return status.readUInt16LE(0)
}

function readAccept(body: Buffer, proposals: readonly Proposal[]): { accepted: Accepted[]; maxPdu: number } {
  const accepted: Accepted[] = []
  let maxPdu = 0
  let at = 68
  while (at + 4 <= body.length) {
    const type = body.readUInt8(at)
    const length = body.readUInt16BE(at + 2)
    const value = body.subarray(at + 4, at + 4 + length)
    if (type === 0x21 && value.readUInt8(2) === 0) {
      const contextId = value.readUInt8(0)
      const proposal = proposals[(contextId - 1) / 2]
      const syntaxLength = value.readUInt16BE(6)
      const transferSyntaxUid = value.toString('latin1', 8, 8 + syntaxLength).replace(/\0+$/, '')
      if (proposal !== undefined) accepted.push({ contextId, sopClassUid: proposal.sopClassUid, transferSyntaxUid })
    }
    if (type === 0x50 && value.readUInt8(0) === 0x51) maxPdu = value.readUInt32BE(4)
    at += 4 + length
  }
  return { accepted, maxPdu }
}

import { createServer, type Server } from 'node:net'
import { associateRq, command, dataPdus, eachDataPdu, item, PDU, PduSocket, pdu, readCommand } from './dimse.ts'
import { within } from './until.ts'

/**
 * Storage commitment as its user (PS3.4 Annex J), of the tests' own: it asks on an association, and takes results on the
 * same one or as a listening AE.
 */
export const COMMITMENT = '1.2.840.10008.1.20.1'
export const COMMITMENT_INSTANCE = '1.2.840.10008.1.20.1.1'
export const EXPLICIT_LE = '1.2.840.10008.1.2.1'
const IMPLICIT_LE = '1.2.840.10008.1.2'
const IMPLEMENTATION = '1.2.826.0.1.3680043.10.1520.99'

export interface Reference {
  sopClassUid: string
  sopInstanceUid: string
}

export interface Report {
  eventType: number
  transactionUid: string
  committed: string[]
  /** By SOP Instance UID. */
  failed: Map<string, number>
  /** A-ASSOCIATE-RQ's roles of its association's requestor; undefined on the one that asked. */
  role?: { scu: boolean; scp: boolean } | undefined
}

function element(group: number, number: number, vr: string, value: Buffer, explicit: boolean): Buffer {
  const padded = value.length % 2 === 0 ? value : Buffer.concat([value, Buffer.of(0)])
  const head = Buffer.alloc(explicit && vr === 'SQ' ? 12 : 8)
  head.writeUInt16LE(group, 0)
  head.writeUInt16LE(number, 2)
  if (explicit) head.write(vr, 4, 'latin1')
  if (explicit && vr !== 'SQ') head.writeUInt16LE(padded.length, 6)
  else head.writeUInt32LE(padded.length, head.length - 4)
  return Buffer.concat([head, padded])
}

/** The data set of an N-ACTION request; parts that are undefined are left out. */
export function actionInformation(
  { transactionUid, references }: { transactionUid?: string; references?: readonly Partial<Reference>[] },
  explicit = true,
): Buffer {
  const uid = (number: number, value: string | undefined) =>
    value === undefined ? [] : [element(8, number, 'UI', Buffer.from(value, 'latin1'), explicit)]
  const items = (references ?? []).map(({ sopClassUid, sopInstanceUid }) => {
    const content = Buffer.concat([...uid(0x1150, sopClassUid), ...uid(0x1155, sopInstanceUid)])
    const head = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0])
    head.writeUInt32LE(content.length, 4)
    return Buffer.concat([head, content])
  })
  const sequence = references ? [element(8, 0x1199, 'SQ', Buffer.concat(items), explicit)] : []
  return Buffer.concat([...uid(0x1195, transactionUid), ...sequence])
}

interface Element {
  tag: number
  value: Buffer
  items: Element[][]
}

const UNDEFINED = 0xffffffff

/** Little endian elements, sequences of defined and undefined length. */
class Reader {
  readonly #bytes: Buffer
  readonly #explicit: boolean
  #at = 0

  constructor(bytes: Buffer, explicit: boolean) {
    this.#bytes = bytes
    this.#explicit = explicit
  }

  elements(end = this.#bytes.length): Element[] {
    const found: Element[] = []
    while (this.#at < end) {
      const tag = this.#tag()
      if (tag === 0xfffee00d) {
        this.#at += 4
        break
      }
      found.push(this.#element(tag))
    }
    return found
  }

  #tag(): number {
    this.#at += 4
    return this.#bytes.readUInt16LE(this.#at - 4) * 0x10000 + this.#bytes.readUInt16LE(this.#at - 2)
  }

  #element(tag: number): Element {
    const isSequence = [0x00081198, 0x00081199].includes(tag)
    if (this.#explicit) this.#at += isSequence ? 4 : 2
    const short = this.#explicit && !isSequence
    const length = short ? this.#bytes.readUInt16LE(this.#at) : this.#bytes.readUInt32LE(this.#at)
    this.#at += short ? 2 : 4
    if (isSequence) return { tag, value: Buffer.alloc(0), items: this.#items(length) }
    this.#at += length
    return { tag, value: this.#bytes.subarray(this.#at - length, this.#at), items: [] }
  }

  #items(length: number): Element[][] {
    const end = length === UNDEFINED ? this.#bytes.length : this.#at + length
    const items: Element[][] = []
    while (this.#at < end) {
      const tag = this.#tag()
      const bytes = this.#bytes.readUInt32LE(this.#at)
      this.#at += 4
      if (tag === 0xfffee0dd) break
      items.push(this.elements(bytes === UNDEFINED ? end : this.#at + bytes))
    }
    return items
  }
}

const text = (value: Buffer | undefined): string => (value ?? Buffer.alloc(0)).toString('latin1').replace(/[\0 ]+$/, '')

function readReport(fields: Map<number, Buffer>, dataSet: Buffer, explicit: boolean): Report {
  const elements = new Map(new Reader(dataSet, explicit).elements().map((one) => [one.tag, one]))
  const rows = (tag: number) =>
    (elements.get(tag)?.items ?? []).map((one) => new Map(one.map(({ tag, value }) => [tag, value])))
  const instance = (row: Map<number, Buffer>) => text(row.get(0x00081155))
  return {
    eventType: fields.get(0x1002)?.readUInt16LE(0) ?? -1,
    transactionUid: text(elements.get(0x00081195)?.value),
    committed: rows(0x00081199).map(instance),
    failed: new Map(rows(0x00081198).map((row) => [instance(row), row.get(0x00081197)?.readUInt16LE(0) ?? -1])),
  }
}

interface Message {
  contextId: number
  fields: Map<number, Buffer>
  dataSet: Buffer
}

/** The next DIMSE message; undefined when the peer releases or ends the association. */
async function readMessage(peer: PduSocket): Promise<Message | undefined> {
  const parts = { command: [] as Buffer[], data: [] as Buffer[] }
  let fields: Map<number, Buffer> | undefined
  for (;;) {
    const { type, body } = await peer.read()
    if (type === PDU.releaseRq) {
      await peer.write(pdu(PDU.releaseRp, Buffer.alloc(4)))
      return undefined
    }
    if (type !== PDU.data) return undefined
    for (let at = 0; at + 6 <= body.length; ) {
      const length = body.readUInt32BE(at)
      const control = body.readUInt8(at + 5)
      parts[(control & 1) === 1 ? 'command' : 'data'].push(body.subarray(at + 6, at + 4 + length))
      const contextId = body.readUInt8(at + 4)
      at += 4 + length
      if ((control & 2) === 0) continue
      if ((control & 1) === 1) fields = readCommand(Buffer.concat(parts.command))
      const hasData = fields?.get(0x0800)?.readUInt16LE(0) !== 0x0101
      if (fields && (!hasData || (control & 1) === 0)) return { contextId, fields, dataSet: Buffer.concat(parts.data) }
    }
  }
}

const RESPONSE = 0x8100

async function answerReport(peer: PduSocket, { contextId, fields }: Message, status: number): Promise<void> {
  const messageId = fields.get(0x0110)?.readUInt16LE(0) ?? 0
  const response = command({
    2: COMMITMENT,
    256: RESPONSE,
    288: messageId,
    2048: 0x0101,
    2304: status,
    4096: COMMITMENT_INSTANCE,
    4098: fields.get(0x1002)?.readUInt16LE(0) ?? 0,
  })
  for (const one of dataPdus(contextId, true, response)) await peer.write(one)
}

/** SCP/SCU Role Selection (PS3.7 D.3.3.4). */
function roleItem(scu: boolean, scp: boolean): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(COMMITMENT.length)
  return item(0x54, Buffer.concat([length, Buffer.from(COMMITMENT), Buffer.from([Number(scu), Number(scp)])]))
}

export interface Action {
  transactionUid?: string
  references?: readonly Partial<Reference>[]
  actionType?: number
  sopInstanceUid?: string
  /** Sent in place of the data set that the above makes; null: none. */
  dataSet?: Buffer | null
}

/** An association of a requester with an archive. */
export class CommitmentScu {
  readonly peer: PduSocket
  readonly #explicit: boolean
  #messageId = 0
  readonly #early: Message[] = []

  private constructor(peer: PduSocket, explicit: boolean) {
    this.peer = peer
    this.#explicit = explicit
  }

  static async open(
    port: number,
    {
      calling = 'MODALITY',
      explicit = true,
      roles,
    }: { calling?: string; explicit?: boolean; roles?: [boolean, boolean] } = {},
  ): Promise<CommitmentScu> {
    const peer = await PduSocket.open(port)
    const proposal = { sopClassUid: COMMITMENT, transferSyntaxUids: [explicit ? EXPLICIT_LE : IMPLICIT_LE] }
    await peer.write(associateRq([proposal], calling, 'FIRN', 65_536, roles ? [roleItem(...roles)] : []))
    const answer = await peer.read()
    if (answer.type !== PDU.associateAc) throw new Error(`association refused: PDU type ${answer.type}`)
    return new CommitmentScu(peer, explicit)
  }

  /** Requests commitment; resolves with the response's status. */
  async ask({
    transactionUid,
    references,
    actionType = 1,
    sopInstanceUid = COMMITMENT_INSTANCE,
    dataSet,
  }: Action): Promise<number> {
    const information = {
      ...(transactionUid === undefined ? {} : { transactionUid }),
      ...(references ? { references } : {}),
    }
    const body = dataSet === undefined ? actionInformation(information, this.#explicit) : dataSet
    this.#messageId += 1
    const request = command({
      3: COMMITMENT,
      256: 0x0130,
      272: this.#messageId,
      2048: body ? 1 : 0x0101,
      4097: sopInstanceUid,
      4104: actionType,
    })
    for (const one of dataPdus(1, true, request)) await this.peer.write(one)
    if (body) for (const one of eachDataPdu(1, false, body, 16_384)) await this.peer.write(one)
    for (;;) {
      const message = await readMessage(this.peer)
      if (!message) throw new Error('the association ended where a response was due')
      if (message.fields.get(0x0100)?.readUInt16LE(0) === 0x8130) {
        return message.fields.get(0x0900)?.readUInt16LE(0) ?? -1
      }
      this.#early.push(message)
    }
  }

  /** The next result on this association, answered with a status. */
  async report(status = 0, ms = 15_000): Promise<Report> {
    const message =
      this.#early.shift() ?? (await within('a result on the association that asked', ms, readMessage(this.peer)))
    if (!message) throw new Error('the association ended before the result')
    await answerReport(this.peer, message, status)
    return readReport(message.fields, message.dataSet, this.#explicit)
  }

  async release(): Promise<void> {
    await this.peer.write(pdu(PDU.releaseRq, Buffer.alloc(4)))
    const { type } = await this.peer.read()
    this.peer.destroy()
    if (type !== PDU.releaseRp) throw new Error(`PDU type ${type} instead of A-RELEASE-RP`)
  }
}

/** take: as it should be. hang: accepts and never answers. noRole: leaves the role out. reject: no association. */
export type Behaviour = 'take' | 'hang' | 'noRole' | 'reject'

/** The AE that results are reported to. */
export class CommitmentListener {
  readonly port: number
  readonly reports: Report[] = []
  behaviour: Behaviour
  /** What it answers to a report. */
  status = 0
  attempts = 0
  readonly #server: Server
  readonly #peers = new Set<PduSocket>()

  private constructor(server: Server, port: number, behaviour: Behaviour) {
    this.#server = server
    this.port = port
    this.behaviour = behaviour
  }

  /** `port`: 0 takes a free one. */
  static async listen(port = 0, behaviour: Behaviour = 'take'): Promise<CommitmentListener> {
    const server = createServer()
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
    const address = server.address()
    const listener = new CommitmentListener(
      server,
      typeof address === 'object' && address ? address.port : port,
      behaviour,
    )
    server.on('connection', (socket) => {
      const peer = PduSocket.over(socket)
      listener.#peers.add(peer)
      listener.#serve(peer).catch(() => peer.destroy())
    })
    return listener
  }

  async close(): Promise<void> {
    for (const peer of this.#peers) peer.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(peer: PduSocket): Promise<void> {
    const request = await peer.read()
    this.attempts += 1
    if (this.behaviour === 'hang') return
    if (this.behaviour === 'reject') {
      await peer.write(pdu(PDU.associateRj, Buffer.from([0, 1, 1, 7])))
      return
    }
    const { role, explicit } = readRequest(request.body)
    const roles = this.behaviour === 'noRole' || !role ? [] : [roleItem(role.scu, role.scp)]
    await peer.write(associateAc(request.body, explicit ? EXPLICIT_LE : IMPLICIT_LE, roles))
    for (;;) {
      const message = await readMessage(peer)
      if (!message) return
      this.reports.push({ ...readReport(message.fields, message.dataSet, explicit), role })
      await answerReport(peer, message, this.status)
    }
  }
}

function readRequest(body: Buffer): { role: { scu: boolean; scp: boolean } | undefined; explicit: boolean } {
  const at = body.indexOf(Buffer.concat([Buffer.from([0x54, 0, 0, COMMITMENT.length + 4])]))
  const role = at < 0 ? undefined : body.subarray(at + 6 + COMMITMENT.length)
  return {
    role: role && { scu: role.readUInt8(0) === 1, scp: role.readUInt8(1) === 1 },
    explicit: body.includes(item(0x40, Buffer.from(EXPLICIT_LE))),
  }
}

/** A-ASSOCIATE-AC (PS3.8 9.3.3) to a proposal of one context. */
function associateAc(request: Buffer, transferSyntaxUid: string, userItems: readonly Buffer[]): Buffer {
  const fixed = Buffer.from(request.subarray(0, 68))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(16_384)
  const context = item(0x21, Buffer.concat([Buffer.from([1, 0, 0, 0]), item(0x40, Buffer.from(transferSyntaxUid))]))
  const user = item(0x50, Buffer.concat([item(0x51, length), item(0x52, Buffer.from(IMPLEMENTATION)), ...userItems]))
  return pdu(PDU.associateAc, Buffer.concat([fixed, item(0x10, Buffer.from('1.2.840.10008.3.1.1.1')), context, user]))
}

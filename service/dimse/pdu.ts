/**
 * The PDUs of the DICOM Upper Layer (PS3.8 9.3), encoded and decoded. Lengths from the peer are checked before use;
 * whatever doesn't fit throws PduError with the A-ABORT reason that the standard gives for it.
 */

export const PduType = {
  associateRequest: 1,
  associateAccept: 2,
  associateReject: 3,
  data: 4,
  releaseRequest: 5,
  releaseReply: 6,
  abort: 7,
} as const

/** PS3.8 Table 9-26, reasons of a service-provider abort. */
export const AbortReason = {
  notSpecified: 0,
  unrecognizedPdu: 1,
  unexpectedPdu: 2,
  unrecognizedParameter: 4,
  unexpectedParameter: 5,
  invalidParameterValue: 6,
} as const

export const AbortSource = { serviceUser: 0, serviceProvider: 2 } as const

export const APPLICATION_CONTEXT_UID = '1.2.840.10008.3.1.1.1'

/** PS3.8 9.3.2.2: context IDs are odd numbers between 1 and 255, so there are at most so many. */
export const CONTEXTS_MAX = 128

/** Association PDUs have no negotiated bound; 128 contexts with 30 transfer syntaxes each need about 120 KiB. */
export const ASSOCIATION_PDU_BYTES_MAX = 262_144

/** The peer sent bytes that break PS3.8; `reason` is for the A-ABORT. */
export class PduError extends Error {
  readonly reason: number
  constructor(message: string, reason: number = AbortReason.invalidParameterValue) {
    super(message)
    this.name = 'PduError'
    this.reason = reason
  }
}

export interface ProposedContext {
  /** Odd, 1 to 255. */
  id: number
  abstractSyntax: string
  /** In the order of the proposer's preference. */
  transferSyntaxes: string[]
}

export interface ContextResult {
  id: number
  /** PS3.8 Table 9-18: 0 accepted, 1 user rejection, 2 no reason, 3 abstract syntax, 4 transfer syntaxes not supported. */
  result: number
  /** Not significant unless accepted. */
  transferSyntax: string
}

/** PS3.7 D.3.3.4: which roles the association's requestor may play for a SOP Class. */
export interface RoleSelection {
  sopClassUid: string
  scu: boolean
  scp: boolean
}

export interface UserInformation {
  /** Largest P-DATA-TF variable field the sender of this item takes, in bytes; 0: no limit. */
  maxPduBytes: number
  implementationClassUid: string
  implementationVersion: string
  roles: RoleSelection[]
}

export interface AssociateRequest {
  protocolVersion: number
  calledAeTitle: string
  callingAeTitle: string
  applicationContext: string
  contexts: ProposedContext[]
  user: UserInformation
}

export interface AssociateAccept {
  calledAeTitle: string
  callingAeTitle: string
  contexts: ContextResult[]
  user: UserInformation
}

/** PS3.8 Table 9-21. */
export interface AssociateReject {
  result: number
  source: number
  reason: number
}

export interface Abort {
  source: number
  reason: number
}

const Item = {
  applicationContext: 0x10,
  proposedContext: 0x20,
  contextResult: 0x21,
  abstractSyntax: 0x30,
  transferSyntax: 0x40,
  userInformation: 0x50,
  maximumLength: 0x51,
  implementationClass: 0x52,
  roleSelection: 0x54,
  implementationVersion: 0x55,
} as const

const ASSOCIATE_FIXED_BYTES = 68

// ---- decoding: every function gets the PDU's variable field, without the 6 bytes of type and length

interface ItemView {
  type: number
  body: Buffer
}

function* items(bytes: Buffer, where: string): Generator<ItemView> {
  let at = 0
  while (at < bytes.length) {
    if (bytes.length - at < 4) throw new PduError(`${where}: ${bytes.length - at} bytes left, an item header has 4`)
    const end = at + 4 + bytes.readUInt16BE(at + 2)
    if (end > bytes.length) throw new PduError(`${where}: item of ${end - at} bytes, ${bytes.length - at} are left`)
    yield { type: bytes.readUInt8(at), body: bytes.subarray(at + 4, end) }
    at = end
  }
}

/** Text of a UID or name: padding, which senders disagree about, is taken off. */
function text(bytes: Buffer): string {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === 0 || bytes[end - 1] === 0x20)) end--
  return bytes.toString('latin1', 0, end).trimStart()
}

function uid(bytes: Buffer, where: string): string {
  if (bytes.length > 65) throw new PduError(`${where}: UID of ${bytes.length} bytes, at most 64 are allowed`)
  return text(bytes)
}

function decodeProposedContext(body: Buffer): ProposedContext {
  if (body.length < 4) throw new PduError('presentation context item shorter than 4 bytes')
  const context: ProposedContext = { id: body.readUInt8(0), abstractSyntax: '', transferSyntaxes: [] }
  for (const item of items(body.subarray(4), 'presentation context')) {
    if (item.type === Item.abstractSyntax) context.abstractSyntax = uid(item.body, 'abstract syntax')
    else if (item.type === Item.transferSyntax) context.transferSyntaxes.push(uid(item.body, 'transfer syntax'))
  }
  return context
}

function decodeContextResult(body: Buffer): ContextResult {
  if (body.length < 4) throw new PduError('presentation context item shorter than 4 bytes')
  const context: ContextResult = { id: body.readUInt8(0), result: body.readUInt8(2), transferSyntax: '' }
  for (const item of items(body.subarray(4), 'presentation context')) {
    if (item.type === Item.transferSyntax) context.transferSyntax = uid(item.body, 'transfer syntax')
  }
  return context
}

function decodeRole(body: Buffer): RoleSelection {
  const uidLength = body.length < 2 ? 0 : body.readUInt16BE(0)
  if (body.length < 4 || uidLength + 4 > body.length) throw new PduError('SCP/SCU role selection item too short')
  return {
    sopClassUid: uid(body.subarray(2, 2 + uidLength), 'role selection'),
    scu: body.readUInt8(2 + uidLength) === 1,
    scp: body.readUInt8(3 + uidLength) === 1,
  }
}

/**
 * Asynchronous operations window, extended and common extended negotiation and user identity are passed over:
 * unanswered, each of them means "not negotiated" (PS3.7 D.3.3.3, D.3.3.5 to D.3.3.7).
 */
function decodeUserInformation(body: Buffer): UserInformation {
  const user: UserInformation = { maxPduBytes: 0, implementationClassUid: '', implementationVersion: '', roles: [] }
  for (const item of items(body, 'user information')) {
    if (item.type === Item.maximumLength) {
      if (item.body.length !== 4) throw new PduError('maximum length item must have 4 bytes')
      user.maxPduBytes = item.body.readUInt32BE(0)
    } else if (item.type === Item.implementationClass) {
      user.implementationClassUid = uid(item.body, 'implementation class')
    } else if (item.type === Item.implementationVersion) {
      user.implementationVersion = text(item.body).slice(0, 16)
    } else if (item.type === Item.roleSelection) {
      user.roles.push(decodeRole(item.body))
    }
  }
  return user
}

function checkContextIds(contexts: readonly { id: number }[]): void {
  const seen = new Set<number>()
  for (const { id } of contexts) {
    if (id % 2 === 0) throw new PduError(`presentation context ID ${id} is even`)
    if (seen.has(id)) throw new PduError(`presentation context ID ${id} is used twice`)
    seen.add(id)
  }
}

interface AssociateFields {
  protocolVersion: number
  calledAeTitle: string
  callingAeTitle: string
  variable: Buffer
}

function decodeFixedPart(body: Buffer): AssociateFields {
  if (body.length < ASSOCIATE_FIXED_BYTES) throw new PduError(`A-ASSOCIATE of ${body.length} bytes is too short`)
  return {
    protocolVersion: body.readUInt16BE(0),
    calledAeTitle: text(body.subarray(4, 20)),
    callingAeTitle: text(body.subarray(20, 36)),
    variable: body.subarray(ASSOCIATE_FIXED_BYTES),
  }
}

/** A-ASSOCIATE-RQ (PS3.8 9.3.2). Throws PduError. */
export function decodeAssociateRequest(body: Buffer): AssociateRequest {
  const { variable, ...fixed } = decodeFixedPart(body)
  let applicationContext = ''
  let user: UserInformation | undefined
  const contexts: ProposedContext[] = []
  for (const item of items(variable, 'A-ASSOCIATE-RQ')) {
    if (item.type === Item.applicationContext) applicationContext = uid(item.body, 'application context')
    else if (item.type === Item.proposedContext) contexts.push(decodeProposedContext(item.body))
    else if (item.type === Item.userInformation) user = decodeUserInformation(item.body)
  }
  checkContextIds(contexts)
  if (contexts.length === 0) throw new PduError('A-ASSOCIATE-RQ proposes no presentation context')
  if (!user) throw new PduError('A-ASSOCIATE-RQ has no user information')
  return { ...fixed, applicationContext, contexts, user }
}

/** A-ASSOCIATE-AC (PS3.8 9.3.3). Throws PduError. */
export function decodeAssociateAccept(body: Buffer): AssociateAccept {
  const { calledAeTitle, callingAeTitle, variable } = decodeFixedPart(body)
  let user: UserInformation | undefined
  const contexts: ContextResult[] = []
  for (const item of items(variable, 'A-ASSOCIATE-AC')) {
    if (item.type === Item.contextResult) contexts.push(decodeContextResult(item.body))
    else if (item.type === Item.userInformation) user = decodeUserInformation(item.body)
  }
  checkContextIds(contexts)
  if (!user) throw new PduError('A-ASSOCIATE-AC has no user information')
  return { calledAeTitle, callingAeTitle, contexts, user }
}

/** A-ASSOCIATE-RJ (PS3.8 9.3.4). Throws PduError. */
export function decodeAssociateReject(body: Buffer): AssociateReject {
  if (body.length !== 4) throw new PduError('A-ASSOCIATE-RJ must have 4 bytes')
  return { result: body.readUInt8(1), source: body.readUInt8(2), reason: body.readUInt8(3) }
}

/** A-ABORT (PS3.8 9.3.8). Throws PduError. */
export function decodeAbort(body: Buffer): Abort {
  if (body.length !== 4) throw new PduError('A-ABORT must have 4 bytes')
  return { source: body.readUInt8(2), reason: body.readUInt8(3) }
}

// ---- encoding: every function gives the whole PDU

function item(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt8(type, 0)
  header.writeUInt16BE(body.length, 2)
  return Buffer.concat([header, body])
}

function textItem(type: number, value: string): Buffer {
  return item(type, Buffer.from(value, 'latin1'))
}

function pdu(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(6)
  header.writeUInt8(type, 0)
  header.writeUInt32BE(body.length, 2)
  return Buffer.concat([header, body])
}

function encodeRole(role: RoleSelection): Buffer {
  const name = Buffer.from(role.sopClassUid, 'latin1')
  const body = Buffer.alloc(name.length + 4)
  body.writeUInt16BE(name.length, 0)
  name.copy(body, 2)
  body.writeUInt8(role.scu ? 1 : 0, name.length + 2)
  body.writeUInt8(role.scp ? 1 : 0, name.length + 3)
  return item(Item.roleSelection, body)
}

function encodeUserInformation(user: UserInformation): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(user.maxPduBytes, 0)
  const parts = [
    item(Item.maximumLength, length),
    textItem(Item.implementationClass, user.implementationClassUid),
    ...user.roles.map(encodeRole),
  ]
  if (user.implementationVersion) parts.push(textItem(Item.implementationVersion, user.implementationVersion))
  return item(Item.userInformation, Buffer.concat(parts))
}

function encodeFixedPart(calledAeTitle: string, callingAeTitle: string): Buffer {
  const fixed = Buffer.alloc(ASSOCIATE_FIXED_BYTES)
  fixed.writeUInt16BE(1, 0)
  fixed.write(calledAeTitle.slice(0, 16).padEnd(16), 4, 16, 'latin1')
  fixed.write(callingAeTitle.slice(0, 16).padEnd(16), 20, 16, 'latin1')
  return fixed
}

export function encodeAssociateRequest(request: Omit<AssociateRequest, 'protocolVersion'>): Buffer {
  const contexts = request.contexts.map((context) =>
    item(
      Item.proposedContext,
      Buffer.concat([
        Buffer.from([context.id, 0, 0, 0]),
        textItem(Item.abstractSyntax, context.abstractSyntax),
        ...context.transferSyntaxes.map((syntax) => textItem(Item.transferSyntax, syntax)),
      ]),
    ),
  )
  const body = Buffer.concat([
    encodeFixedPart(request.calledAeTitle, request.callingAeTitle),
    textItem(Item.applicationContext, request.applicationContext),
    ...contexts,
    encodeUserInformation(request.user),
  ])
  return pdu(PduType.associateRequest, body)
}

export function encodeAssociateAccept(accept: AssociateAccept): Buffer {
  const contexts = accept.contexts.map((context) =>
    item(
      Item.contextResult,
      Buffer.concat([
        Buffer.from([context.id, 0, context.result, 0]),
        textItem(Item.transferSyntax, context.transferSyntax),
      ]),
    ),
  )
  const body = Buffer.concat([
    encodeFixedPart(accept.calledAeTitle, accept.callingAeTitle),
    textItem(Item.applicationContext, APPLICATION_CONTEXT_UID),
    ...contexts,
    encodeUserInformation(accept.user),
  ])
  return pdu(PduType.associateAccept, body)
}

export function encodeAssociateReject(reject: AssociateReject): Buffer {
  return pdu(PduType.associateReject, Buffer.from([0, reject.result, reject.source, reject.reason]))
}

export function encodeReleaseRequest(): Buffer {
  return pdu(PduType.releaseRequest, Buffer.alloc(4))
}

export function encodeReleaseReply(): Buffer {
  return pdu(PduType.releaseReply, Buffer.alloc(4))
}

export function encodeAbort(abort: Abort): Buffer {
  return pdu(PduType.abort, Buffer.from([0, 0, abort.source, abort.reason]))
}

/** PS3.8 Annex E.2, the message control header's bits. */
export const PDV_COMMAND = 1
export const PDV_LAST = 2

/** The 12 bytes before the `length` bytes of a P-DATA-TF PDU with one presentation data value (PS3.8 9.3.5). */
export function encodePdvHeader(contextId: number, control: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(12)
  header.writeUInt16BE(PduType.data << 8, 0)
  header.writeUInt32BE(length + 6, 2)
  header.writeUInt32BE(length + 2, 6)
  header.writeUInt8(contextId, 10)
  header.writeUInt8(control, 11)
  return header
}

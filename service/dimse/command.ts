/**
 * DIMSE command sets (PS3.7 6.3 and Annex E): implicit VR little endian, group 0000 only.
 */

/** PS3.7 Table E.1-1, the values of Command Field. A response is its request with bit 15 set. */
export const CommandField = {
  cStore: 0x0001,
  cGet: 0x0010,
  cFind: 0x0020,
  cMove: 0x0021,
  cEcho: 0x0030,
  nEventReport: 0x0100,
  nGet: 0x0110,
  nSet: 0x0120,
  nAction: 0x0130,
  nCreate: 0x0140,
  nDelete: 0x0150,
  cCancel: 0x0fff,
} as const

export const RESPONSE_BIT = 0x8000

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(CommandField).map(([name, field]) => [field, name.replace(/[A-Z]/g, '-$&').toUpperCase()]),
)

/** `C-STORE` and so on, for logs and metrics; responses have their request's name. */
export function commandName(field: number): string {
  return NAMES.get(field & ~RESPONSE_BIT) ?? 'unknown'
}

/** Command Data Set Type that says "no data set follows"; every other value says that one does. */
export const NO_DATA_SET = 0x0101

/** A command set: the elements of PS3.7 Annex E.1 that Firn uses; others are passed over. */
export interface Command {
  affectedSopClassUid?: string
  requestedSopClassUid?: string
  commandField: number
  messageId?: number
  messageIdBeingRespondedTo?: number
  moveDestination?: string
  priority?: number
  commandDataSetType: number
  status?: number
  offendingElement?: number[]
  errorComment?: string
  errorId?: number
  affectedSopInstanceUid?: string
  requestedSopInstanceUid?: string
  eventTypeId?: number
  attributeIdentifierList?: number[]
  actionTypeId?: number
  remainingSubOperations?: number
  completedSubOperations?: number
  failedSubOperations?: number
  warningSubOperations?: number
  moveOriginatorAeTitle?: string
  moveOriginatorMessageId?: number
}

type Kind = 'uid' | 'text' | 'number' | 'tags'

/** Ascending by element number, which is the order of encoding. */
const ELEMENTS: readonly (readonly [element: number, name: keyof Command, kind: Kind])[] = [
  [0x0002, 'affectedSopClassUid', 'uid'],
  [0x0003, 'requestedSopClassUid', 'uid'],
  [0x0100, 'commandField', 'number'],
  [0x0110, 'messageId', 'number'],
  [0x0120, 'messageIdBeingRespondedTo', 'number'],
  [0x0600, 'moveDestination', 'text'],
  [0x0700, 'priority', 'number'],
  [0x0800, 'commandDataSetType', 'number'],
  [0x0900, 'status', 'number'],
  [0x0901, 'offendingElement', 'tags'],
  [0x0902, 'errorComment', 'text'],
  [0x0903, 'errorId', 'number'],
  [0x1000, 'affectedSopInstanceUid', 'uid'],
  [0x1001, 'requestedSopInstanceUid', 'uid'],
  [0x1002, 'eventTypeId', 'number'],
  [0x1005, 'attributeIdentifierList', 'tags'],
  [0x1008, 'actionTypeId', 'number'],
  [0x1020, 'remainingSubOperations', 'number'],
  [0x1021, 'completedSubOperations', 'number'],
  [0x1022, 'failedSubOperations', 'number'],
  [0x1023, 'warningSubOperations', 'number'],
  [0x1030, 'moveOriginatorAeTitle', 'text'],
  [0x1031, 'moveOriginatorMessageId', 'number'],
]

const BY_ELEMENT = new Map(ELEMENTS.map(([element, name, kind]) => [element, { name, kind }]))

/** The peer's command set can't be understood. */
export class CommandError extends Error {}

function decodeText(bytes: Buffer): string {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === 0 || bytes[end - 1] === 0x20)) end--
  return bytes.toString('latin1', 0, end).trimStart()
}

function decodeTags(bytes: Buffer): number[] {
  const tags: number[] = []
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    tags.push(bytes.readUInt16LE(at) * 0x10000 + bytes.readUInt16LE(at + 2))
  }
  return tags
}

function decodeValue(kind: Kind, bytes: Buffer, name: string): string | number | number[] | undefined {
  if (kind === 'uid' || kind === 'text') return decodeText(bytes)
  if (kind === 'tags') return decodeTags(bytes)
  if (bytes.length === 0) return undefined
  if (bytes.length < 2) throw new CommandError(`command element ${name} has ${bytes.length} bytes instead of 2`)
  return bytes.readUInt16LE(0)
}

/** Throws CommandError when the bytes are no command set or lack Command Field or Command Data Set Type. */
export function decodeCommand(bytes: Buffer): Command {
  const found: Record<string, string | number | number[]> = {}
  let at = 0
  while (at < bytes.length) {
    if (bytes.length - at < 8) throw new CommandError('command set ends within an element header')
    const group = bytes.readUInt16LE(at)
    const element = BY_ELEMENT.get(bytes.readUInt16LE(at + 2))
    const start = at + 8
    at = start + bytes.readUInt32LE(at + 4)
    if (group !== 0) throw new CommandError('command set holds an element of another group')
    if (at > bytes.length) throw new CommandError('command element is longer than its command set')
    if (!element) continue
    const value = decodeValue(element.kind, bytes.subarray(start, at), element.name)
    if (value !== undefined) found[element.name] = value
  }
  const { commandField, commandDataSetType } = found
  if (typeof commandField !== 'number') throw new CommandError('command set without Command Field')
  if (typeof commandDataSetType !== 'number') throw new CommandError('command set without Command Data Set Type')
  return { ...found, commandField, commandDataSetType }
}

function encodeValue(kind: Kind, value: string | number | readonly number[]): Buffer {
  if (typeof value === 'number') return Buffer.from([value & 0xff, (value >> 8) & 0xff])
  if (typeof value === 'string') {
    const padding = value.length % 2 === 0 ? '' : kind === 'uid' ? '\0' : ' '
    return Buffer.from(value + padding, 'latin1')
  }
  const bytes = Buffer.alloc(value.length * 4)
  value.forEach((tag, index) => {
    bytes.writeUInt16LE(tag >>> 16, index * 4)
    bytes.writeUInt16LE(tag & 0xffff, index * 4 + 2)
  })
  return bytes
}

function encodeElement(element: number, value: Buffer): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt16LE(element, 2)
  header.writeUInt32LE(value.length, 4)
  return Buffer.concat([header, value])
}

/** The command set's bytes, Command Group Length first. */
export function encodeCommand(command: Command): Buffer {
  const parts: Buffer[] = []
  for (const [element, name, kind] of ELEMENTS) {
    const value = command[name]
    if (value !== undefined) parts.push(encodeElement(element, encodeValue(kind, value)))
  }
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(body.length, 0)
  return Buffer.concat([encodeElement(0, length), body])
}

import { deflateRawSync } from 'node:zlib'
import type { Random } from './random.ts'

/** Synthetic Part 10 files, written without Firn's own code. */

export const CT = '1.2.840.10008.5.1.4.1.1.2'
export const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
export const EXPLICIT_LE = '1.2.840.10008.1.2.1'
export const IMPLICIT_LE = '1.2.840.10008.1.2'
export const EXPLICIT_BE = '1.2.840.10008.1.2.2'
export const DEFLATED_LE = '1.2.840.10008.1.2.1.99'
export const JPEG_BASELINE = '1.2.840.10008.1.2.4.50'

/** `US` numbers, text, ready bytes, or items of a sequence. */
export type Value = number | string | Buffer | Elements[]
/** Tag (eight hexadecimal digits) to VR and value. */
export type Elements = Record<string, [vr: string, value: Value]>

export interface Uids {
  studyUid: string
  seriesUid: string
  sopInstanceUid: string
}

export interface Instance extends Uids {
  sopClassUid: string
  transferSyntaxUid: string
  file: Buffer
  /** What C-STORE carries: the file without preamble and file meta information. */
  dataSet: Buffer
}

const LONG = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])

interface Syntax {
  explicit: boolean
  big: boolean
}

function u16(value: number, big: boolean): Buffer {
  const bytes = Buffer.alloc(2)
  big ? bytes.writeUInt16BE(value) : bytes.writeUInt16LE(value)
  return bytes
}

function u32(value: number, big: boolean): Buffer {
  const bytes = Buffer.alloc(4)
  big ? bytes.writeUInt32BE(value) : bytes.writeUInt32LE(value)
  return bytes
}

function valueBytes(vr: string, value: Value, syntax: Syntax): Buffer {
  if (typeof value === 'number') return u16(value, syntax.big)
  if (Buffer.isBuffer(value)) return value
  if (typeof value === 'string') {
    const bytes = Buffer.from(value, 'utf8')
    return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.from(vr === 'UI' ? '\0' : ' ')])
  }
  const sequence = value.map((item) => {
    const body = encode(item, syntax)
    return Buffer.concat([u16(0xfffe, syntax.big), u16(0xe000, syntax.big), u32(body.length, syntax.big), body])
  })
  return Buffer.concat(sequence)
}

function header(tag: string, vr: string, length: number, syntax: Syntax): Buffer {
  const group = u16(Number.parseInt(tag.slice(0, 4), 16), syntax.big)
  const element = u16(Number.parseInt(tag.slice(4), 16), syntax.big)
  if (!syntax.explicit) return Buffer.concat([group, element, u32(length, syntax.big)])
  const name = Buffer.from(vr, 'latin1')
  if (LONG.has(vr)) return Buffer.concat([group, element, name, Buffer.alloc(2), u32(length, syntax.big)])
  return Buffer.concat([group, element, name, u16(length, syntax.big)])
}

function encode(elements: Elements, syntax: Syntax): Buffer {
  const pieces: Buffer[] = []
  for (const tag of Object.keys(elements).sort()) {
    const [vr, value] = elements[tag] ?? ['UN', '']
    const bytes = valueBytes(vr, value, syntax)
    // PS3.5 A.4: a pixel data value that is a list of fragments comes encapsulated, with undefined length.
    const encapsulated = tag === '7FE00010' && vr === 'OB' && bytes.subarray(0, 4).equals(ITEM)
    pieces.push(header(tag, vr, encapsulated ? 0xffffffff : bytes.length, syntax), bytes)
  }
  return Buffer.concat(pieces)
}

const ITEM = Buffer.from([0xfe, 0xff, 0x00, 0xe0])

/** Encapsulated pixel data: an empty basic offset table and one fragment a frame. */
export function encapsulate(frames: readonly Buffer[]): Buffer {
  const pieces: Buffer[] = [ITEM, u32(0, false)]
  for (const frame of frames) pieces.push(ITEM, u32(frame.length, false), frame)
  pieces.push(Buffer.from([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]))
  return Buffer.concat(pieces)
}

function metaInformation(sopClassUid: string, sopInstanceUid: string, transferSyntaxUid: string): Buffer {
  const syntax = { explicit: true, big: false }
  const rest = encode(
    {
      '00020001': ['OB', Buffer.from([0, 1])],
      '00020002': ['UI', sopClassUid],
      '00020003': ['UI', sopInstanceUid],
      '00020010': ['UI', transferSyntaxUid],
      '00020012': ['UI', '1.2.826.0.1.3680043.10.1520.99'],
    },
    syntax,
  )
  const group = encode({ '00020000': ['UL', u32(rest.length, false)] }, syntax)
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), group, rest])
}

export interface Making extends Partial<Uids> {
  sopClassUid?: string
  transferSyntaxUid?: string
  /** Added to, or put in place of, the default attributes; undefined takes one away. */
  elements?: Record<string, Elements[string] | undefined>
}

/** One instance with random identifiers where none are given, in UTF-8, without pixel data unless `elements` has some. */
export function makeInstance(random: Random, making: Making = {}): Instance {
  const sopClassUid = making.sopClassUid ?? CT
  const transferSyntaxUid = making.transferSyntaxUid ?? EXPLICIT_LE
  const studyUid = making.studyUid ?? random.uid()
  const seriesUid = making.seriesUid ?? random.uid()
  const sopInstanceUid = making.sopInstanceUid ?? random.uid()
  const elements: Record<string, Elements[string] | undefined> = {
    '00080005': ['CS', 'ISO_IR 192'],
    '00080016': ['UI', sopClassUid],
    '00080018': ['UI', sopInstanceUid],
    '00080020': ['DA', '20240229'],
    '00080030': ['TM', '101530'],
    '00080050': ['SH', 'ACC1'],
    '00080060': ['CS', 'CT'],
    '00080090': ['PN', 'Referrer^Rita'],
    '00100010': ['PN', 'Test^Patient'],
    '00100020': ['LO', 'PAT1'],
    '00100030': ['DA', '19700131'],
    '00100040': ['CS', 'O'],
    '0020000D': ['UI', studyUid],
    '0020000E': ['UI', seriesUid],
    '00200010': ['SH', 'STUDY1'],
    '00200011': ['IS', '1'],
    '00200013': ['IS', '1'],
    ...making.elements,
  }
  const present: Elements = {}
  for (const [tag, element] of Object.entries(elements)) if (element !== undefined) present[tag] = element
  const plain = encode(present, {
    explicit: transferSyntaxUid !== IMPLICIT_LE,
    big: transferSyntaxUid === EXPLICIT_BE,
  })
  const dataSet = transferSyntaxUid === DEFLATED_LE ? deflateRawSync(plain) : plain
  const file = Buffer.concat([metaInformation(sopClassUid, sopInstanceUid, transferSyntaxUid), dataSet])
  return { studyUid, seriesUid, sopInstanceUid, sopClassUid, transferSyntaxUid, file, dataSet }
}

/** Attributes of an uncompressed image of 8-bit samples, with the given frames. */
export function image(frames: readonly Buffer[], rows: number, columns: number): Elements {
  return {
    '00280002': ['US', 1],
    '00280004': ['CS', 'MONOCHROME2'],
    '00280008': ['IS', String(frames.length)],
    '00280010': ['US', rows],
    '00280011': ['US', columns],
    '00280100': ['US', 8],
    '00280101': ['US', 8],
    '00280102': ['US', 7],
    '00280103': ['US', 0],
    '7FE00010': ['OB', Buffer.concat(frames)],
  }
}

/** An instance whose file is about `sizeBytes` long, of random content. */
export function instanceOfSize(random: Random, sizeBytes: number, making: Making = {}): Instance {
  const pixels = random.bytes(Math.max(2, (sizeBytes >> 1) << 1))
  const elements = { ...making.elements, '7FE00010': ['OW', pixels] satisfies Elements[string] }
  return makeInstance(random, { ...making, elements })
}

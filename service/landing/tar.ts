import type { Source } from '../ingest/ports.ts'

/**
 * The landing's segments are POSIX pax archives (IEEE 1003.1-2017, pax "Extended Interchange Format"): `tar -tf` lists
 * them, `tar -xf` restores every instance. What Firn adds about a member is one pax `comment`, which tar ignores.
 */
export const BLOCK = 512

/** Two zero blocks end an archive; more of them mean the same, and keep a segment's length what direct I/O wants. */
export const END_BYTES_MIN = 2 * BLOCK
export const END_OF_ARCHIVE = Buffer.alloc(8 * BLOCK)

/** What a segment says of one instance, enough to rebuild the catalogue from. */
export interface MemberNote {
  firn: 1
  sha256: string
  received: string
  source: Source
}

export interface Member {
  name: string
  sizeBytes: number
  note: MemberNote
}

/** The pax record's room is fixed, so that a header can be written before digest and size are known. */
const NOTE_BYTES = 2 * BLOCK
/** Headers before a member's data: pax header, pax records, ustar header. */
export const MEMBER_HEADER_BYTES = BLOCK + NOTE_BYTES + BLOCK

/** ustar keeps sizes in eleven octal digits; beyond that the pax `size` record counts. */
const USTAR_SIZE_MAX = 0o77777777777

export function paddingBytes(sizeBytes: number): number {
  return (BLOCK - (sizeBytes % BLOCK)) % BLOCK
}

/** A member name from UIDs (`isUid`), which hold nothing that means anything to a path. */
export function memberName(studyUid: string, seriesUid: string, sopInstanceUid: string): string {
  return `${studyUid}/${seriesUid}/${sopInstanceUid}.dcm`
}

/** Always MEMBER_HEADER_BYTES long. */
export function encodeMemberHeader(member: Member): Buffer {
  const header = Buffer.alloc(MEMBER_HEADER_BYTES)
  const mtime = Math.floor(Date.parse(member.note.received) / 1000)
  writeUstar(header.subarray(0, BLOCK), { name: 'PaxHeaders/firn', size: NOTE_BYTES, type: 'x', mtime })
  writeRecords(header.subarray(BLOCK, BLOCK + NOTE_BYTES), member)
  writeUstar(header.subarray(BLOCK + NOTE_BYTES), {
    name: member.name,
    size: Math.min(member.sizeBytes, USTAR_SIZE_MAX),
    type: '0',
    mtime,
  })
  return header
}

/** `comment` and, for giants, `size`; the comment is padded with blanks so that the records fill their room exactly. */
function writeRecords(into: Buffer, member: Member): void {
  const size = member.sizeBytes > USTAR_SIZE_MAX ? paxRecord('size', String(member.sizeBytes)) : Buffer.alloc(0)
  const room = into.length - size.length
  const frame = `${room} comment=`
  const text = Buffer.from(JSON.stringify(member.note))
  const blanks = room - frame.length - text.length - 1
  if (blanks < 0) throw new RangeError(`the note on ${member.name} is too long for its room`)
  Buffer.concat([size, Buffer.from(frame), text, Buffer.alloc(blanks, 0x20), Buffer.from('\n')]).copy(into)
}

/** A filler holds at least its header and one block of records. */
const FILLER_BYTES_MIN = 2 * BLOCK
const FILLER_NAME = 'PaxFiller/firn'

/**
 * What makes a batch as long as direct I/O wants: a pax global header (type `g`) whose one record is a comment of blanks,
 * which tar passes over. Empty where `bytes` is a multiple of `alignment` already.
 */
export function encodeFiller(bytes: number, alignment: number): Buffer {
  const gap = (alignment - (bytes % alignment)) % alignment
  if (gap === 0) return Buffer.alloc(0)
  const filler = Buffer.alloc(gap < FILLER_BYTES_MIN ? gap + alignment : gap)
  const room = filler.length - BLOCK
  writeUstar(filler.subarray(0, BLOCK), { name: FILLER_NAME, size: room, type: 'g', mtime: 0 })
  const frame = `${room} comment=`
  filler.fill(0x20, BLOCK)
  filler.write(frame, BLOCK, 'latin1')
  filler.write('\n', filler.length - 1, 'latin1')
  return filler
}

/** Length of the filler that begins here; undefined when none does. */
export function fillerBytes(header: Buffer): number | undefined {
  if (header.length < BLOCK) return undefined
  const ustar = header.subarray(0, BLOCK)
  if (ustar[156] !== 0x67 || !intact(ustar) || textAt(ustar, 0, 100) !== FILLER_NAME) return undefined
  return BLOCK + Number.parseInt(textAt(ustar, 124, 12), 8)
}

function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.from(length + rest)
}

interface Ustar {
  name: string
  size: number
  type: '0' | 'x' | 'g'
  mtime: number
}

function writeUstar(block: Buffer, { name, size, type, mtime }: Ustar): void {
  // A name over 100 bytes is split at a slash into prefix and name.
  const slash = name.length > 100 ? name.lastIndexOf('/') : -1
  block.write(slash < 0 ? name : name.slice(slash + 1), 0, 100, 'latin1')
  block.write(slash < 0 ? '' : name.slice(0, slash), 345, 155, 'latin1')
  block.write('0000444\0', 100, 'latin1')
  block.write('0000000\0', 108, 'latin1')
  block.write('0000000\0', 116, 'latin1')
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  block.write(`${mtime.toString(8).padStart(11, '0')}\0`, 136, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write(type, 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  block.write('firn', 265, 'latin1')
  block.write('firn', 297, 'latin1')
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}

function checksum(block: Buffer): number {
  let sum = 0
  for (const byte of block) sum += byte
  return sum
}

/** Undefined when the bytes are no intact header that `encodeMemberHeader` made: a torn tail, or the archive's end. */
export function decodeMemberHeader(header: Buffer): Member | undefined {
  if (header.length < MEMBER_HEADER_BYTES) return undefined
  const pax = header.subarray(0, BLOCK)
  const ustar = header.subarray(BLOCK + NOTE_BYTES, MEMBER_HEADER_BYTES)
  if (!intact(pax) || !intact(ustar) || pax[156] !== 0x78 || ustar[156] !== 0x30) return undefined
  const records = header.toString('utf8', BLOCK, BLOCK + NOTE_BYTES)
  const note = /(?:^|\n)\d+ comment=(\{.*\}) *\n$/s.exec(records)?.[1]
  if (note === undefined) return undefined
  const size = /^\d+ size=(\d+)\n/.exec(records)?.[1]
  const prefix = textAt(ustar, 345, 155)
  const name = textAt(ustar, 0, 100)
  try {
    return {
      name: prefix === '' ? name : `${prefix}/${name}`,
      sizeBytes: size === undefined ? Number.parseInt(textAt(ustar, 124, 12), 8) : Number(size),
      note: JSON.parse(note) as MemberNote,
    }
  } catch {
    return undefined
  }
}

function intact(block: Buffer): boolean {
  const stored = Number.parseInt(textAt(block, 148, 8), 8)
  const blank = Buffer.from(block)
  blank.fill(0x20, 148, 156)
  return textAt(block, 257, 5) === 'ustar' && stored === checksum(blank)
}

function textAt(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset)
  return block.toString('latin1', offset, end < 0 || end > offset + length ? offset + length : end)
}

import type { Source } from '../ingest/ports.ts'
import { BLOCK, paxRecord, readUstar, USTAR_SIZE_MAX, writeUstar } from '../tar/ustar.ts'

export { BLOCK, END_OF_ARCHIVE, paddingBytes } from '../tar/ustar.ts'

/**
 * The landing's segments are POSIX pax archives: `tar -tf` lists them, `tar -xf` restores every instance. What Firn adds
 * about a member is one pax `comment`, which tar ignores.
 */

/** More zero blocks than tar wants, so that a segment's length stays what direct I/O wants. */
export const END_OF_SEGMENT = Buffer.alloc(8 * BLOCK)

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

/** A member name from UIDs (`isUid`), which hold nothing that means anything to a path. */
export function memberName(studyUid: string, seriesUid: string, sopInstanceUid: string): string {
  return `${studyUid}/${seriesUid}/${sopInstanceUid}.dcm`
}

/** The Study Instance UID in a member's name. */
export const studyOfMember = (name: string): string => name.slice(0, Math.max(0, name.indexOf('/')))

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
  filler.fill(0x20, BLOCK)
  filler.write(`${room} comment=`, BLOCK, 'latin1')
  filler.write('\n', filler.length - 1, 'latin1')
  return filler
}

/** Length of the filler that begins here; undefined when none does. */
export function fillerBytes(header: Buffer): number | undefined {
  if (header.length < BLOCK) return undefined
  const ustar = readUstar(header.subarray(0, BLOCK))
  return ustar?.type === 'g' && ustar.name === FILLER_NAME ? BLOCK + ustar.size : undefined
}

/** Undefined when the bytes are no intact header that `encodeMemberHeader` made: a torn tail, or the archive's end. */
export function decodeMemberHeader(header: Buffer): Member | undefined {
  if (header.length < MEMBER_HEADER_BYTES) return undefined
  const pax = readUstar(header.subarray(0, BLOCK))
  const ustar = readUstar(header.subarray(BLOCK + NOTE_BYTES, MEMBER_HEADER_BYTES))
  if (pax?.type !== 'x' || ustar?.type !== '0') return undefined
  const records = header.toString('utf8', BLOCK, BLOCK + NOTE_BYTES)
  const note = /(?:^|\n)\d+ comment=(\{.*\}) *\n$/s.exec(records)?.[1]
  if (note === undefined) return undefined
  const size = /^\d+ size=(\d+)\n/.exec(records)?.[1]
  try {
    return {
      name: ustar.name,
      sizeBytes: size === undefined ? ustar.size : Number(size),
      note: JSON.parse(note) as MemberNote,
    }
  } catch {
    return undefined
  }
}

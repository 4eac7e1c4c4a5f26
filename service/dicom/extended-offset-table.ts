import { bytesOf, type ParsedDataSet, UNDEFINED_LENGTH } from './data-set.ts'

const PIXEL_DATA = 'x7fe00010'
const TABLE = 'x7fe00001'
const LENGTHS = 'x7fe00002'

/** The header of Extended Offset Table (7FE0,0001), explicit little endian, up to its VR. */
const TABLE_HEADER = Buffer.from('\xe0\x7f\x01\x00OV', 'latin1')
const HEADER_BYTES = 12

/**
 * The tag at which dicom-parser has to stop in a second attempt, when it was told to stop at Pixel Data and tripped over
 * Extended Offset Table: it takes that one's VR, OV, for one with a 16-bit length, and what follows for anything.
 * Undefined when the first attempt stands.
 */
export function secondStop(dataSet: ParsedDataSet): string | undefined {
  const table = dataSet.elements[TABLE]
  return table?.vr === 'OV' && table.length === 0 ? TABLE : undefined
}

/** Puts right what dicom-parser read where it stopped at Extended Offset Table: both tables and Pixel Data. */
export function readOffsetTables(dataSet: ParsedDataSet): void {
  const { elements } = dataSet
  const table = elements[TABLE]
  const bytes = bytesOf(dataSet)
  let at = table ? bytes.indexOf(TABLE_HEADER, Math.max(0, table.dataOffset - HEADER_BYTES)) : -1
  if (!table || at < 0 || at + TABLE_HEADER.length > table.dataOffset) return
  for (const tag of [TABLE, LENGTHS, PIXEL_DATA]) {
    if (at + HEADER_BYTES > bytes.length) return
    const group = bytes.readUInt16LE(at).toString(16).padStart(4, '0')
    const found = `x${group}${bytes
      .readUInt16LE(at + 2)
      .toString(16)
      .padStart(4, '0')}`
    if (found !== tag) continue
    const length = bytes.readUInt32LE(at + 8)
    const open = length === UNDEFINED_LENGTH
    const vr = bytes.toString('latin1', at + 4, at + 6)
    elements[tag] = { tag, vr, length, dataOffset: at + HEADER_BYTES, ...(open ? { hadUndefinedLength: true } : {}) }
    at += HEADER_BYTES + length
  }
}

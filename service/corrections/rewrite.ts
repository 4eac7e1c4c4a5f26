import { bytesOf, type ParsedElement } from '../dicom/data-set.ts'
import { vrOf } from '../dicom/dictionary.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { toDicomJson } from '../dicom/json.ts'
import type { Header } from '../dicom/part10.ts'
import { IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { DicomJson, Tag } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { relabelled } from './apply.ts'
import { charsetFor, encodeElement, type Syntax } from './encode-corrected.ts'
import type { Laid } from './overlay.ts'

const ORIGINAL_ATTRIBUTES = '04000561'
const CHARACTER_SET = '00080005'
const SEQUENCE_DELIMITER = Buffer.from('feffdde000000000', 'hex')
const UNDEFINED_LENGTH = 0xffffffff

/** A file with other header attributes: its beginning, and where in the stored file it goes on unchanged. */
export interface Rewritten {
  head: Buffer
  restFrom: number
}

/** A top-level element as it stands in the file. */
interface Piece {
  tag: Tag
  element: ParsedElement
  start: number
  end: number
}

/**
 * The header of a stored file with corrections laid over, and with what it was before in the Original Attributes Sequence
 * (PS3.3 C.12.1.1.9). All other elements, pixel data with them, are passed on byte for byte. Undefined where the file says
 * it all already. Throws ArchiveError `not_acceptable` for a file whose header can't be rewritten safely.
 */
export function rewritten(file: Buffer, header: Header, laid: readonly Laid[]): Rewritten | undefined {
  const wanted = new Set([
    ...laid.flatMap(({ replaced }) => Object.keys(replaced)),
    CHARACTER_SET,
    ...patientTags(header),
  ])
  const json = toDicomJson(header.dataSet, { only: wanted })
  const change = relabelled(json, laid)
  if (!change) return undefined
  const { pieces, syntax, restFrom } = piecesOf(file, header)
  const charset = charsetFor(header, Object.values(change.replaced))
  const changes = new Map<Tag, Buffer | undefined>(change.dropped.map((tag) => [tag, undefined]))
  for (const [tag, attribute] of Object.entries(change.replaced)) {
    changes.set(tag, encodeElement(tag, attribute, syntax, charset))
  }
  const before = new Map(pieces.map((piece) => [piece.tag, piece]))
  const originals = originalsOf(file, change.original, before, syntax)
  changes.set(ORIGINAL_ATTRIBUTES, withItem(file, before.get(ORIGINAL_ATTRIBUTES), originals, syntax))
  if (charset.added) changes.set(CHARACTER_SET, encodeElement(CHARACTER_SET, charset.added, syntax, charset))
  return { head: assemble(file, header, pieces, changes), restFrom }
}

const patientTags = (header: Header): Tag[] =>
  Object.keys(header.dataSet.elements)
    .map(tagOf)
    .filter((tag) => tag.startsWith('0010'))

const tagOf = (key: string): Tag => key.slice(1).toUpperCase()

function unsafe(why: string): ArchiveError {
  return new ArchiveError('not_acceptable', `no corrected version of this instance can be made: ${why}`)
}

/** The elements before the pixel data, which must be in the order that the standard wants. */
function piecesOf(file: Buffer, header: Header): { pieces: Piece[]; syntax: Syntax; restFrom: number } {
  if (header.inflated) throw unsafe('its data set is deflated')
  if (!header.complete) throw unsafe('its header is too long')
  if (bytesOf(header.dataSet).buffer !== file.buffer) throw unsafe('its header was not read from the file')
  const all = Object.entries(header.dataSet.elements).map(([key, element]): Omit<Piece, 'end'> => {
    const tag = tagOf(key)
    return { tag, element, start: startOf(file, tag, element) }
  })
  all.sort((a, b) => a.start - b.start)
  const syntax = syntaxOf(file, header)
  let expected = header.dataSetOffset
  const pixels = all.findIndex(({ tag }) => tag >= '7FE00008')
  const restFrom = pixels < 0 ? file.length : (all[pixels] as { start: number }).start
  const pieces = (pixels < 0 ? all : all.slice(0, pixels)).map((piece, index): Piece => {
    const end = all[index + 1]?.start ?? restFrom
    if (piece.start !== expected) throw unsafe('its elements do not follow one another')
    if (index > 0 && piece.tag <= (all[index - 1] as Piece).tag) throw unsafe('its elements are not in order')
    expected = end
    return { ...piece, end }
  })
  return { pieces, syntax, restFrom }
}

/** Data sets exist that are implicit whatever their transfer syntax says; two letters tell. */
function syntaxOf(file: Buffer, { transferSyntaxUid, dataSetOffset }: Header): Syntax {
  const vr = file.toString('latin1', dataSetOffset + 4, dataSetOffset + 6)
  return transferSyntaxUid !== IMPLICIT_LITTLE_ENDIAN && /^[A-Z]{2}$/.test(vr) ? 'explicit' : 'implicit'
}

/** Little endian only: the tag's own bytes tell where its element starts. */
function startOf(file: Buffer, tag: Tag, { dataOffset }: ParsedElement): number {
  const group = Number.parseInt(tag.slice(0, 4), 16)
  const number = Number.parseInt(tag.slice(4), 16)
  for (const start of [dataOffset - 8, dataOffset - 12]) {
    if (start >= 0 && file.readUInt16LE(start) === group && file.readUInt16LE(start + 2) === number) return start
  }
  throw unsafe('its elements are not where they should be, or big endian')
}

/** The item that says what was, with the original elements as they stand in the file. */
function originalsOf(file: Buffer, item: DicomJson, before: ReadonlyMap<Tag, Piece>, syntax: Syntax): Buffer {
  const modified = Object.entries((item['04000550']?.Value?.[0] ?? {}) as DicomJson).map(([tag, { vr }]) => {
    const piece = before.get(tag)
    return piece
      ? file.subarray(piece.start, piece.end)
      : encodeDataSet({ [tag]: { vr: vr === 'UN' ? (vrOf(tag) ?? 'UN') : vr } }, syntax)
  })
  const rest = Object.fromEntries(Object.entries(item).filter(([tag]) => tag !== '04000550'))
  const nested = sequence('04000550', itemOf(Buffer.concat(modified)), syntax)
  return itemOf(Buffer.concat([nested, encodeDataSet(rest, syntax)]))
}

function itemOf(content: Buffer): Buffer {
  const head = Buffer.from('feff00e000000000', 'hex')
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content])
}

function sequence(tag: Tag, items: Buffer, syntax: Syntax): Buffer {
  const head = encodeDataSet({ [tag]: { vr: 'SQ' } }, syntax)
  head.writeUInt32LE(items.length, head.length - 4)
  return Buffer.concat([head, items])
}

/** The sequence with one item more. */
function withItem(file: Buffer, piece: Piece | undefined, item: Buffer, syntax: Syntax): Buffer {
  if (!piece) return sequence(ORIGINAL_ATTRIBUTES, item, syntax)
  const { element, start, end } = piece
  const vr = file.toString('latin1', start + 4, start + 6)
  if (syntax === 'explicit' && vr !== 'SQ') throw unsafe('its Original Attributes Sequence is none')
  const declared = file.readUInt32LE(element.dataOffset - 4)
  if (declared !== UNDEFINED_LENGTH) {
    return sequence(ORIGINAL_ATTRIBUTES, Buffer.concat([file.subarray(element.dataOffset, end), item]), syntax)
  }
  const closed = end - SEQUENCE_DELIMITER.length
  if (!file.subarray(closed, end).equals(SEQUENCE_DELIMITER))
    throw unsafe('its Original Attributes Sequence has no end')
  return Buffer.concat([file.subarray(start, closed), item, SEQUENCE_DELIMITER])
}

/** Group lengths, retired long ago, would be wrong where something changed: they are left out (PS3.5 7.2). */
function assemble(
  file: Buffer,
  header: Header,
  pieces: readonly Piece[],
  changes: ReadonlyMap<Tag, Buffer | undefined>,
): Buffer {
  const groups = new Set([...changes.keys()].map((tag) => tag.slice(0, 4)))
  const kept = pieces
    .filter(({ tag }) => !changes.has(tag) && !(tag.endsWith('0000') && groups.has(tag.slice(0, 4))))
    .map(({ tag, start, end }) => ({ tag, bytes: file.subarray(start, end) }))
  const added = [...changes].flatMap(([tag, bytes]) => (bytes ? [{ tag, bytes }] : []))
  const all = [...kept, ...added].sort((a, b) => (a.tag < b.tag ? -1 : 1))
  return Buffer.concat([file.subarray(0, header.dataSetOffset), ...all.map(({ bytes }) => bytes)])
}

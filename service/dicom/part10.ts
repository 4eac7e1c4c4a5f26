import { constants, inflateRawSync } from 'node:zlib'
import { ArchiveError } from '../errors.ts'
import type { ParsedDataSet } from './data-set.ts'
import { type Budget, type Parsed, parseDataSet } from './parse-data-set.ts'
import {
  EXPLICIT_BIG_ENDIAN,
  EXPLICIT_LITTLE_ENDIAN,
  IMPLICIT_LITTLE_ENDIAN,
  transferSyntax,
} from './transfer-syntaxes.ts'
import type { InstanceIdentifiers } from './types.ts'
import { isUid, MEDIA_STORAGE_DIRECTORY } from './uids.ts'
import { hasLongLength } from './value-representations.ts'

/** The header of one DICOM file: everything before its pixel data. */
export interface Header {
  /** What was found of the four identifiers. */
  identifiers: Partial<InstanceIdentifiers>
  transferSyntaxUid: string
  /** Offset of the first byte of the data set in the file. */
  dataSetOffset: number
  /**
   * The parsed elements. Offsets count from the start of the file, but from the start of the inflated data set where
   * `inflated`. Elements whose value is not wholly in the prefix are left out, except pixel data (offset and length).
   */
  dataSet: ParsedDataSet
  /** The data set is deflated; `dataSet` is over its inflated beginning. */
  inflated: boolean
  /** Pixel data or the end of the file was reached: no header element is missing. */
  complete: boolean
}

const PREAMBLE_BYTES = 132
/** Elements and items that are looked at where an instance comes in or a frame is cut out; real headers have hundreds. */
const BUDGET: Budget = { elements: 20_000 }

/** The inflated beginning of a deflated data set is bounded: a small file may inflate to gigabytes. */
const INFLATED_BYTES_MAX = 8 * 1024 * 1024

interface FileMeta {
  sopClassUid?: string
  sopInstanceUid?: string
  transferSyntaxUid?: string
  dataSetOffset: number
  /** The prefix ended inside the file meta information. */
  cut: boolean
}

/** Reads group 0002 (PS3.10 7.1), which is always explicit little endian. Never looks beyond the buffer. */
function readFileMeta(file: Buffer): FileMeta {
  const meta: FileMeta = { dataSetOffset: PREAMBLE_BYTES, cut: false }
  let at = PREAMBLE_BYTES
  while (at + 8 <= file.length && file.readUInt16LE(at) === 0x0002) {
    const element = file.readUInt16LE(at + 2)
    const long = hasLongLength(file.toString('latin1', at + 4, at + 6))
    if (long && at + 12 > file.length) break
    const length = long ? file.readUInt32LE(at + 8) : file.readUInt16LE(at + 6)
    const value = at + (long ? 12 : 8)
    if (value + length > file.length) break
    if (element === 0x0002) meta.sopClassUid = uidAt(file, value, length)
    if (element === 0x0003) meta.sopInstanceUid = uidAt(file, value, length)
    if (element === 0x0010) meta.transferSyntaxUid = uidAt(file, value, length)
    at = value + length
    meta.dataSetOffset = at
  }
  meta.cut = at + 8 > file.length || file.readUInt16LE(at) === 0x0002
  return meta
}

function uidAt(file: Buffer, offset: number, length: number): string {
  return file.toString('latin1', offset, offset + Math.min(length, 128)).replace(/[\0 ]+$/, '')
}

/**
 * Parses the header out of a file's beginning. Never throws for what the data set holds: admission decides by
 * `identifiers` and `complete`.
 *
 * @param file the file's first bytes, or all of it
 * @param whole it is all of it: where a parse ends without fault, nothing is missing
 * @param budget what is beyond it counts as cut off
 * @throws ArchiveError `not_dicom` without preamble and prefix (PS3.10 7.1), `dicomdir`
 */
export function parseHeader(file: Buffer, whole: boolean, budget = BUDGET): Header {
  if (file.length < PREAMBLE_BYTES || file.toString('latin1', 128, 132) !== 'DICM') {
    throw new ArchiveError('not_dicom', 'not a DICOM file: no "DICM" after a preamble of 128 bytes')
  }
  const meta = readFileMeta(file)
  if (meta.sopClassUid === MEDIA_STORAGE_DIRECTORY) {
    throw new ArchiveError('dicomdir', 'a DICOMDIR is the index of a medium, not an instance; send the instances')
  }
  const transferSyntaxUid = meta.transferSyntaxUid || guessTransferSyntax(file, meta.dataSetOffset)
  const inflated = transferSyntax(transferSyntaxUid).deflated
  const bytes = inflated ? inflateBeginning(file.subarray(meta.dataSetOffset)) : file
  const offset = inflated ? 0 : meta.dataSetOffset
  const { dataSet, end } = parse(bytes, offset, transferSyntaxUid, whole, budget)
  return {
    identifiers: identifiersOf(dataSet),
    transferSyntaxUid,
    dataSetOffset: meta.dataSetOffset,
    dataSet,
    inflated,
    complete: end === 'pixels' || (end === 'end' && whole && !meta.cut),
  }
}

/** Files without (0002,0010) exist; a plausible VR after the first tag tells explicit from implicit. */
function guessTransferSyntax(file: Buffer, offset: number): string {
  return startsExplicit(file, offset) ? EXPLICIT_LITTLE_ENDIAN : IMPLICIT_LITTLE_ENDIAN
}

/** Data sets exist that are implicit whatever their transfer syntax says. */
function startsExplicit(bytes: Buffer, offset: number): boolean {
  return /^[A-Z]{2}$/.test(bytes.toString('latin1', offset + 4, offset + 6))
}

/** Inflates as much as there is of a raw deflate stream, up to a bound; what is damaged or cut off is left out. */
function inflateBeginning(deflated: Buffer): Buffer {
  for (let take = Math.min(deflated.length, 1024 * 1024); take > 0; take = Math.floor(take / 16)) {
    try {
      return inflateRawSync(deflated.subarray(0, take), {
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: INFLATED_BYTES_MAX,
      })
    } catch {
      // Too large when inflated, or damaged: a shorter beginning may still hold the header.
    }
  }
  return Buffer.alloc(0)
}

function parse(bytes: Buffer, offset: number, transferSyntaxUid: string, whole: boolean, budget: Budget): Parsed {
  const explicit = transferSyntaxUid !== IMPLICIT_LITTLE_ENDIAN && startsExplicit(bytes, offset)
  const littleEndian = transferSyntaxUid !== EXPLICIT_BIG_ENDIAN
  return parseDataSet(bytes, offset, { explicit, littleEndian }, whole, budget)
}

function identifiersOf(dataSet: ParsedDataSet): Partial<InstanceIdentifiers> {
  const found: Partial<InstanceIdentifiers> = {}
  const take = (name: keyof InstanceIdentifiers, tag: string): void => {
    const element = dataSet.elements[tag]
    if (!element || element.length === 0 || element.length > 128) return
    const value = uidAt(dataSet.byteArray as Buffer, element.dataOffset, element.length).trim()
    if (value !== '') found[name] = value
  }
  take('sopClassUid', 'x00080016')
  take('sopInstanceUid', 'x00080018')
  take('studyUid', 'x0020000d')
  take('seriesUid', 'x0020000e')
  return found
}

const NAMES: Record<keyof InstanceIdentifiers, string> = {
  studyUid: 'Study Instance UID (0020,000D)',
  seriesUid: 'Series Instance UID (0020,000E)',
  sopInstanceUid: 'SOP Instance UID (0008,0018)',
  sopClassUid: 'SOP Class UID (0008,0016)',
}

/**
 * Admission: the four identifiers, present and usable in a URL and an index, and a usable transfer syntax. Everything else
 * is kept as it came.
 *
 * @param whole the header was parsed from the whole file
 * @throws ArchiveError `missing_identifier`, `header_truncated`, `header_too_large`, `invalid_identifier`, `dicomdir`
 */
export function admit(header: Header, whole: boolean): InstanceIdentifiers {
  const { identifiers, transferSyntaxUid } = header
  const missing = (Object.keys(NAMES) as (keyof InstanceIdentifiers)[]).filter((key) => !identifiers[key])
  if (missing.length > 0) {
    const names = missing.map((key) => NAMES[key]).join(', ')
    if (!whole)
      throw new ArchiveError('header_too_large', `the header is too long; not found in its beginning: ${names}`)
    if (!header.complete) throw new ArchiveError('header_truncated', `the file ends inside its header, before ${names}`)
    throw new ArchiveError('missing_identifier', `without ${names} an instance can't be archived`)
  }
  if (identifiers.sopClassUid === MEDIA_STORAGE_DIRECTORY) {
    throw new ArchiveError('dicomdir', 'a DICOMDIR is the index of a medium, not an instance; send the instances')
  }
  if (!isUid(transferSyntaxUid)) {
    throw new ArchiveError('invalid_identifier', 'Transfer Syntax UID (0002,0010) is no UID')
  }
  for (const key of Object.keys(NAMES) as (keyof InstanceIdentifiers)[]) {
    if (!isUid(identifiers[key] ?? '')) {
      throw new ArchiveError(
        'invalid_identifier',
        `${NAMES[key]} is no UID: at most 64 characters, by right digits and dots`,
      )
    }
  }
  return identifiers as InstanceIdentifiers
}

import { ArchiveError } from '../errors.ts'
import { toDicomJson } from './json.ts'
import { readDataSet } from './read-data-set.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from './transfer-syntaxes.ts'
import type { DicomJson } from './types.ts'

/** Requests are some hundred bytes; a list of UIDs may make them long, but not longer than this. */
const DATA_SET_BYTES_MAX = 4 * 1024 * 1024

/**
 * Decodes a whole data set that has no file around it, such as a DIMSE identifier. Text becomes Unicode.
 *
 * @throws ArchiveError `invalid_request` when the bytes are no data set, are more than 4 MiB or nest too deeply;
 *   `unsupported` for transfer syntaxes other than implicit and explicit little endian
 */
export function decodeDataSet(bytes: Buffer, transferSyntaxUid: string): DicomJson {
  if (transferSyntaxUid !== IMPLICIT_LITTLE_ENDIAN && transferSyntaxUid !== EXPLICIT_LITTLE_ENDIAN) {
    throw new ArchiveError('unsupported', `data sets of transfer syntax ${transferSyntaxUid} are not decoded`)
  }
  if (bytes.length > DATA_SET_BYTES_MAX) {
    throw new ArchiveError('invalid_request', `a data set of ${bytes.length} bytes is too long`)
  }
  const syntax = transferSyntaxUid === IMPLICIT_LITTLE_ENDIAN ? 'implicit' : 'explicit'
  // Nothing may be left out for its length: a matching key without its value would match everything.
  const whole = { inlineBytesMax: DATA_SET_BYTES_MAX, valueBytesMax: DATA_SET_BYTES_MAX }
  return toDicomJson(readDataSet(bytes, 0, bytes.length, syntax), whole)
}

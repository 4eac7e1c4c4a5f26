import type { DicomJson } from './types.ts'

/** Throws ArchiveError `invalid_request` on garbage, `unsupported` for another transfer syntax. */
export function decodeDataSet(bytes: Buffer, transferSyntaxUid: string): DicomJson {
  throw new Error(`not yet: ${bytes} ${transferSyntaxUid}`)
}

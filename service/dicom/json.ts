import type { ParsedDataSet } from './data-set.ts'
import type { DicomJson, Tag } from './types.ts'

export interface DicomJsonOptions {
  /** Binary values up to so many bytes become InlineBinary. Default 1024. */
  inlineBytesMax?: number
  /**
   * The BulkDataURI of a longer binary value, and of pixel data always, from its path (`7FE00010`,
   * `00082112.1.00281201`). Left out: such elements have neither value nor URI.
   */
  bulkDataUri?: (path: string) => string
  /** Convert only these top-level tags. */
  only?: ReadonlySet<Tag>
  /** Convert top-level tags below this one only. */
  until?: Tag
}

/** PS3.18 Annex F. Group 0002 and group lengths are left out. */
export function toDicomJson(dataSet: ParsedDataSet, options: DicomJsonOptions = {}): DicomJson {
  throw new Error(`not yet: ${dataSet} ${options}`)
}

/** Where a bulk value's bytes are. */
export interface BulkDataRange {
  /** Of the value's first byte in the parsed byte array (the file, unless it is deflated). */
  offset: number
  /** Bytes; undefined where the element has undefined length and its end was not parsed (encapsulated pixel data). */
  length: number | undefined
  vr: string
  tag: Tag
}

/** Resolves a path that `toDicomJson` gave to `bulkDataUri`; undefined when the data set has no such element. */
export function bulkDataRange(dataSet: ParsedDataSet, path: string): BulkDataRange | undefined {
  throw new Error(`not yet: ${dataSet} ${path}`)
}

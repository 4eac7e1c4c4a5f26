/** What Firn needs of a parsed data set. `dicomParser.DataSet` fits, as does what `parseDataSet` returns. */
export interface ParsedDataSet {
  byteArray: Uint8Array
  byteArrayParser: { readUint16(bytes: Uint8Array, position: number): number }
  /** Keyed by `xggggeeee`, lower case. */
  elements: { [tag: string]: ParsedElement }
}

export interface ParsedElement {
  tag: string
  vr?: string | undefined
  /** Bytes of the value; 4294967295 where undefined and not yet resolved. */
  length: number
  dataOffset: number
  hadUndefinedLength?: boolean | undefined
  items?: { dataSet?: ParsedDataSet | undefined }[] | undefined
}

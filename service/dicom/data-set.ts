/**
 * A parsed data set, as `parseDataSet` and `readDataSet` give it. Its parts are only as good as the file: offsets and lengths
 * may point outside of the bytes.
 */
export interface ParsedDataSet {
  byteArray: Uint8Array
  byteArrayParser: { readUint16(bytes: Uint8Array, position: number): number }
  /** Keyed by `xggggeeee`, lower case. */
  elements: { [tag: string]: ParsedElement }
}

export interface ParsedElement {
  tag: string
  vr?: string | undefined
  /** Bytes of the value; 4294967295 where undefined and not resolved by the parser. */
  length: number
  dataOffset: number
  hadUndefinedLength?: boolean | undefined
  items?: { dataSet?: ParsedDataSet | undefined }[] | undefined
}

export const UNDEFINED_LENGTH = 0xffffffff

const ONE_LITTLE_ENDIAN = Uint8Array.of(1, 0)

export function isLittleEndian(dataSet: ParsedDataSet): boolean {
  return dataSet.byteArrayParser.readUint16(ONE_LITTLE_ENDIAN, 0) === 1
}

/** The data set's bytes as a Buffer over the same memory. */
export function bytesOf(dataSet: ParsedDataSet): Buffer {
  const { byteArray } = dataSet
  return Buffer.isBuffer(byteArray)
    ? byteArray
    : Buffer.from(byteArray.buffer, byteArray.byteOffset, byteArray.byteLength)
}

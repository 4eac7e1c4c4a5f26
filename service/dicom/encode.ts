import type { DicomJson } from './types.ts'

/** Little endian; `SpecificCharacterSet` ISO_IR 192 is set when any text is not ASCII. */
export function encodeDataSet(json: DicomJson, syntax: 'implicit' | 'explicit'): Buffer {
  throw new Error(`not yet: ${json} ${syntax}`)
}

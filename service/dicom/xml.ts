import type { DicomJson } from './types.ts'

/** Native DICOM Model (PS3.19 A.1) for application/dicom+xml. */
export function toNativeXml(json: DicomJson): string {
  throw new Error(`not yet: ${json}`)
}

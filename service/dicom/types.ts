/** Eight upper-case hexadecimal digits, group then element: `0020000D`. The form of PS3.18 F.2.2. */
export type Tag = string

/** One attribute of the DICOM JSON Model (PS3.18 Annex F.2.2). */
export interface JsonAttribute {
  vr: string
  Value?: JsonValue[]
  BulkDataURI?: string
  InlineBinary?: string
}

/** PS3.18 F.2.3: a person name's component groups, decoded to Unicode. */
export interface JsonPersonName {
  Alphabetic?: string
  Ideographic?: string
  Phonetic?: string
}

export type JsonValue = string | number | null | JsonPersonName | DicomJson

/** One data set in the DICOM JSON Model, keys in ascending tag order. */
export interface DicomJson {
  [tag: Tag]: JsonAttribute
}

/** The four identifiers without which an instance can't be archived. */
export interface InstanceIdentifiers {
  studyUid: string
  seriesUid: string
  sopInstanceUid: string
  sopClassUid: string
}

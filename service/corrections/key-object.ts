import { textOf } from '../dicom/describe.ts'
import type { DicomJson, Tag } from '../dicom/types.ts'
import { isUid } from '../dicom/uids.ts'
import { rejectionCode } from './codes.ts'

/** SOP Class of Key Object Selection documents (PS3.3 A.35.4). */
export const KEY_OBJECT_SELECTION = '1.2.840.10008.5.1.4.1.1.88.59'

/** What a Key Object Selection document rejects (IHE RAD TF-2, 4.66.4.1.2). */
export interface RejectionNote {
  /** Code value of its title, in the coding scheme DCM. */
  code: string
  studies: { studyUid: string; sopInstanceUids: string[] }[]
}

/** More than any study has: a document that names more is broken or hostile. */
const REFERENCES_MAX = 100_000

/**
 * Undefined for a document with another title, which rejects nothing. Only the evidence of the current requested procedure
 * counts: that is where the document must list all that it refers to. What isn't a UID there is passed over.
 */
export function rejectionNote(json: DicomJson): RejectionNote | undefined {
  const title = itemsOf(json, '0040A043')[0] ?? {}
  const code = rejectionCode(textOf(title, '00080102') ?? '', textOf(title, '00080100') ?? '')
  if (code === undefined) return undefined
  let left = REFERENCES_MAX
  const studies = itemsOf(json, '0040A375').flatMap((study) => {
    const studyUid = textOf(study, '0020000D') ?? ''
    const references = itemsOf(study, '00081115')
      .flatMap((series) => itemsOf(series, '00081199'))
      .map((instance) => textOf(instance, '00081155') ?? '')
    const sopInstanceUids = [...new Set(references)].filter(isUid).slice(0, left)
    left -= sopInstanceUids.length
    return isUid(studyUid) && sopInstanceUids.length > 0 ? [{ studyUid, sopInstanceUids }] : []
  })
  return { code, studies }
}

function itemsOf(json: DicomJson, tag: Tag): DicomJson[] {
  const attribute = json[tag]
  if (attribute?.vr !== 'SQ') return []
  return (attribute.Value ?? []).filter((item): item is DicomJson => typeof item === 'object' && item !== null)
}

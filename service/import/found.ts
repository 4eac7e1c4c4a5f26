import { integerOf, textOf } from '../dicom/describe.ts'
import { PATIENT_TAGS, STUDY_TAGS } from '../dicom/levels.ts'
import type { DicomJson, Tag } from '../dicom/types.ts'
import { isUid } from '../dicom/uids.ts'
import type { FoundStudy } from './ports.ts'

const ATTRIBUTES_CHARS_MAX = 32 * 1024

/** What is taken of what a source says of a study; not, for one, where the source says that it is to be had. */
const TAKEN: ReadonlySet<Tag> = new Set([
  ...PATIENT_TAGS,
  ...STUDY_TAGS,
  '00080061',
  '00080062',
  '00201206',
  '00201208',
])

/** A study as a source answers a query for it; undefined where the answer names none. */
export function foundStudy(answer: DicomJson): FoundStudy | undefined {
  const studyUid = textOf(answer, '0020000D')?.trim()
  if (studyUid === undefined || !isUid(studyUid)) return undefined
  const attributes: DicomJson = Object.fromEntries(Object.entries(answer).filter(([tag]) => TAKEN.has(tag)))
  const isTooLong = JSON.stringify(attributes).length > ATTRIBUTES_CHARS_MAX
  return {
    studyUid,
    patientId: textOf(answer, '00100020')?.trim() ?? '',
    attributes: isTooLong ? {} : attributes,
    instances: integerOf(answer, '00201208'),
  }
}

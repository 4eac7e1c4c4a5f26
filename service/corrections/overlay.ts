import type { DicomJson, JsonAttribute, Tag } from '../dicom/types.ts'

/**
 * What corrections make of what stored files say: pure functions of the files and of the set of corrections. The order in
 * which corrections arrived, and which site they came from first, never matters.
 */

/** Who a patient is: Patient ID and Issuer of Patient ID, the latter empty where there is none. */
export interface PatientKey {
  patientId: string
  issuer: string
}

/** One correction's place among all: greater ones win. No clock has a say. */
export interface Place {
  /** One more than that of every correction that was known where this one was made. */
  order: number
  site: string
  seq: number
}

/** Attributes that are replaced; one without a value is emptied. */
export interface Correction extends Place {
  values: DicomJson
  /** When it was made, ISO 8601 UTC: told to people and files, never compared to decide anything. */
  at: string
}

/** The studies of one patient are another's: both are the same person, or the study was filed under the wrong one. */
export interface Redirection extends Correction {
  to: PatientKey
}

export interface Merge extends Redirection {
  from: PatientKey
}

const PATIENT_ID = '00100020'
const ISSUER = '00100021'

export function byPlace(a: Place, b: Place): number {
  return a.order - b.order || (a.site < b.site ? -1 : a.site > b.site ? 1 : a.seq - b.seq)
}

export const keyText = ({ patientId, issuer }: PatientKey): string => `${issuer}\\${patientId}`

/** Attributes with corrections laid over, the greatest of each last. */
export function overlaid(original: DicomJson, corrections: readonly Correction[]): DicomJson {
  const result: DicomJson = { ...original }
  for (const { values } of [...corrections].sort(byPlace)) Object.assign(result, values)
  return result
}

export interface Redirected {
  key: PatientKey | undefined
  /** The last redirection that was followed: its values are those of the patient. */
  by: Redirection | undefined
}

/**
 * Where a study's patient leads: first by the greatest move of the study, then from merge to merge. Of merges that lead in a
 * circle the smallest isn't followed, wherever one begins.
 */
export function redirected(
  original: PatientKey | undefined,
  moves: readonly Redirection[],
  merges: readonly Merge[],
): Redirected {
  let by = greatest(moves)
  let key = by?.to ?? original
  if (!key) return { key, by }
  const edges = followed(merges)
  for (let edge = edges.get(keyText(key)); edge; edge = edges.get(keyText(key))) {
    key = edge.to
    by = edge
  }
  return { key, by }
}

function greatest<One extends Place>(all: readonly One[]): One | undefined {
  return [...all].sort(byPlace).at(-1)
}

/** For each patient the merge that is followed; without circles. */
function followed(merges: readonly Merge[]): Map<string, Merge> {
  const edges = new Map<string, Merge>()
  for (const merge of [...merges].sort(byPlace)) edges.set(keyText(merge.from), merge)
  for (const start of [...edges.keys()].sort()) {
    const circle = circleFrom(start, edges)
    const smallest = [...circle].sort(byPlace)[0]
    if (smallest) edges.delete(keyText(smallest.from))
  }
  return edges
}

/** The merges of the circle into which one gets from here; none where there is an end. */
function circleFrom(start: string, edges: ReadonlyMap<string, Merge>): Merge[] {
  const path: Merge[] = []
  const seen = new Map<string, number>()
  for (let at = start; ; ) {
    const before = seen.get(at)
    if (before !== undefined) return path.slice(before)
    seen.set(at, path.length)
    const edge = edges.get(at)
    if (!edge) return []
    path.push(edge)
    at = keyText(edge.to)
  }
}

export interface StudyOverlay {
  /** Whom the stored files name; undefined where they name nobody. */
  original: PatientKey | undefined
  moves: readonly Redirection[]
  merges: readonly Merge[]
  /** Of the patient that the study ends up with. */
  patient: readonly Correction[]
  study: readonly Correction[]
}

/** What is laid over the stored attributes. */
export interface Laid {
  replaced: DicomJson
  /** The patient is another: of the stored one's attributes only those are left that tell of the day of the study. */
  redirected: boolean
  /** When the latest correction was made, by its site's clock; empty where there is none. */
  at: string
}

export const NOTHING_LAID: Laid = { replaced: {}, redirected: false, at: '' }

export const isNothing = ({ replaced, redirected }: Laid): boolean => !redirected && Object.keys(replaced).length === 0

/** The patient's attributes and the study's, all of them that any correction speaks of. */
export function laidOver({ original, moves, merges, patient, study }: StudyOverlay): Laid {
  const { key, by } = redirected(original, moves, merges)
  const identity = by && key ? { ...by.values, ...identityOf(key) } : {}
  const at = [...(by ? [by] : []), ...patient, ...study].reduce((last, one) => (one.at > last ? one.at : last), '')
  return { replaced: overlaid(overlaid(identity, patient), study), redirected: by !== undefined, at }
}

/** Attributes as they are shown. */
export function shown(stored: DicomJson, { replaced, redirected }: Laid): DicomJson {
  const kept = redirected ? Object.entries(stored).filter(([tag]) => !isOfPatient(tag)) : Object.entries(stored)
  return { ...Object.fromEntries(kept), ...replaced }
}

/** Attributes in the group of the patient's that belong to the study (Patient Study Module, PS3.3 C.7.2.2). */
const OF_STUDY: ReadonlySet<Tag> = new Set([
  '00101010', // PatientAge
  '00101020', // PatientSize
  '00101021', // PatientSizeCodeSequence
  '00101022', // PatientBodyMassIndex
  '00101023', // MeasuredAPDimension
  '00101024', // MeasuredLateralDimension
  '00101030', // PatientWeight
  '00102000', // MedicalAlerts
  '00102110', // Allergies
  '00102180', // Occupation
  '001021A0', // SmokingStatus
  '001021B0', // AdditionalPatientHistory
  '001021C0', // PregnancyStatus
  '001021D0', // LastMenstrualDate
  '00102203', // PatientSexNeutered
])

export const isOfPatient = (tag: Tag): boolean => tag.startsWith('0010') && !OF_STUDY.has(tag)

export function identityOf({ patientId, issuer }: PatientKey): DicomJson {
  const attribute = (value: string): JsonAttribute => (value === '' ? { vr: 'LO' } : { vr: 'LO', Value: [value] })
  return { [PATIENT_ID]: attribute(patientId), [ISSUER]: attribute(issuer) }
}

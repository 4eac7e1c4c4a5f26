import type { CommitmentRequest, Failure, JudgedReference, Reference, Transaction } from '../commitment/ports.ts'
import type { DicomJson, JsonValue } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { commitmentFailureReason } from './status-map.ts'

/** Attributes of the Storage Commitment Request and Response Modules (PS3.18 tables J.1-1 and J.2-1). */
const TAG = {
  referencedSopSequence: '00081199',
  failedSopSequence: '00081198',
  failureReason: '00081197',
  sopClassUid: '00081150',
  sopInstanceUid: '00081155',
  referencedStudySequence: '00081110',
  failedStudySequence: '0008119B',
  studyUid: '0020000D',
  referencedSeriesSequence: '00081115',
  seriesUid: '0020000E',
  instancesByClassSequence: '00081112',
  referencedInstanceSequence: '0008114A',
} as const

type Named = Pick<CommitmentRequest, 'form' | 'references'>

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function valuesOf(dataSet: unknown, tag: string): unknown[] {
  const attribute = isObject(dataSet) ? dataSet[tag] : undefined
  const values = isObject(attribute) ? attribute.Value : undefined
  return Array.isArray(values) ? values : []
}

/** Empty where there is none; the use case refuses what is no UID. */
function uidOf(dataSet: unknown, tag: string): string {
  const [uid] = valuesOf(dataSet, tag)
  return typeof uid === 'string' ? uid : ''
}

/**
 * A Storage Commitment Request Module in DICOM JSON, one data set alone or in an array. Throws ArchiveError
 * `invalid_request`.
 */
export function readRequestModule(payload: unknown): Named {
  const dataSets = Array.isArray(payload) ? payload : [payload]
  const [dataSet] = dataSets
  if (dataSets.length !== 1 || !isObject(dataSet)) {
    throw new ArchiveError('invalid_request', 'the payload is not one data set in DICOM JSON')
  }
  const instances = valuesOf(dataSet, TAG.referencedSopSequence)
  const studies = valuesOf(dataSet, TAG.referencedStudySequence)
  if (instances.length > 0 === studies.length > 0) {
    throw new ArchiveError(
      'invalid_request',
      'either Referenced SOP Sequence (0008,1199) or Referenced Study Sequence (0008,1110) names the instances',
    )
  }
  if (studies.length > 0) return { form: 'studies', references: studies.flatMap(inStudy) }
  const references = instances.map((item) => ({
    sopClassUid: uidOf(item, TAG.sopClassUid),
    sopInstanceUid: uidOf(item, TAG.sopInstanceUid),
  }))
  return { form: 'instances', references }
}

function inStudy(study: unknown): Reference[] {
  const studyUid = uidOf(study, TAG.studyUid)
  return valuesOf(study, TAG.referencedSeriesSequence).flatMap((series) => {
    const seriesUid = uidOf(series, TAG.seriesUid)
    return valuesOf(series, TAG.instancesByClassSequence).flatMap((group) => {
      const sopClassUid = uidOf(group, TAG.sopClassUid)
      return valuesOf(group, TAG.referencedInstanceSequence).map((item) => ({
        studyUid,
        seriesUid,
        sopClassUid,
        sopInstanceUid: uidOf(item, TAG.sopInstanceUid),
      }))
    })
  })
}

const ui = (uid: string) => ({ vr: 'UI', Value: [uid] })
const sq = (items: DicomJson[]) => ({ vr: 'SQ', Value: items as JsonValue[] })

function reasonOf({ verdict }: JudgedReference): DicomJson {
  if (verdict === 'committed') return {}
  return { [TAG.failureReason]: { vr: 'US', Value: [commitmentFailureReason(verdict as Failure)] } }
}

/** The Storage Commitment Response Module, in the form in which the request named its instances. */
export function responseModule(form: Transaction['form'], references: readonly JudgedReference[]): DicomJson {
  const [committed, failed] =
    form === 'studies'
      ? [TAG.referencedStudySequence, TAG.failedStudySequence]
      : [TAG.referencedSopSequence, TAG.failedSopSequence]
  const items = form === 'studies' ? byStudy : each
  const json: DicomJson = {}
  const good = references.filter(({ verdict }) => verdict === 'committed')
  const bad = references.filter(({ verdict }) => verdict !== 'committed')
  if (good.length > 0) json[committed] = sq(items(good))
  if (bad.length > 0) json[failed] = sq(items(bad))
  return json
}

function each(references: readonly JudgedReference[]): DicomJson[] {
  return references.map((reference) => ({
    [TAG.sopClassUid]: ui(reference.sopClassUid),
    [TAG.sopInstanceUid]: ui(reference.sopInstanceUid),
    ...reasonOf(reference),
  }))
}

function groups(
  references: readonly JudgedReference[],
  key: (reference: JudgedReference) => string,
): [string, JudgedReference[]][] {
  const found = new Map<string, JudgedReference[]>()
  for (const reference of references) {
    const group = found.get(key(reference))
    if (group) group.push(reference)
    else found.set(key(reference), [reference])
  }
  return [...found]
}

function byStudy(references: readonly JudgedReference[]): DicomJson[] {
  return groups(references, ({ studyUid = '' }) => studyUid).map(([studyUid, inStudy]) => ({
    [TAG.studyUid]: ui(studyUid),
    [TAG.referencedSeriesSequence]: sq(
      groups(inStudy, ({ seriesUid = '' }) => seriesUid).map(([seriesUid, inSeries]) => ({
        [TAG.seriesUid]: ui(seriesUid),
        [TAG.instancesByClassSequence]: sq(byClass(inSeries)),
      })),
    ),
  }))
}

function byClass(references: readonly JudgedReference[]): DicomJson[] {
  return groups(references, ({ sopClassUid }) => sopClassUid).map(([sopClassUid, ofClass]) => ({
    [TAG.sopClassUid]: ui(sopClassUid),
    [TAG.referencedInstanceSequence]: sq(
      ofClass.map((reference) => ({ [TAG.sopInstanceUid]: ui(reference.sopInstanceUid), ...reasonOf(reference) })),
    ),
  }))
}

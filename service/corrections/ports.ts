import type { InstanceRecord } from '../catalogue/ports.ts'
import type { DicomJson, Tag } from '../dicom/types.ts'
import type { Actor } from '../events/event.ts'
import type { Laid, PatientKey } from './overlay.ts'

export { DELETED } from './codes.ts'
export type { Laid, PatientKey } from './overlay.ts'

/** Who did something, when, and in which event of which site's log. */
export interface Made {
  by: string
  role: string
  address: string
  at: string
  site: string
  seq: number
}

export interface RejectionEntry extends Made {
  id: string
  studyUid: string
  code: string
  reason: string
  /** SOP Instance UID of the document that asked for it. */
  noteUid: string | null
  /** How many instances it names, and how many of them were restored since. */
  instances: number
  restored: number
}

export type CorrectionType = 'patient' | 'merge' | 'move' | 'study' | 'series'

export interface CorrectionEntry extends Made {
  id: string
  type: CorrectionType
  studyUid: string | null
  seriesUid: string | null
  patient: PatientKey | null
  to: PatientKey | null
  /** Null as long as the record isn't here that holds them. */
  attributes: DicomJson | null
  reason: string
  withdrawn: (Made & { reason: string }) | null
}

/** What is laid over the stored attributes of a study; undefined where nothing is. */
export interface CorrectedStudy {
  laid: Laid
  /** By Series Instance UID, for those that have corrections. */
  series: ReadonlyMap<string, Laid>
}

/** What a rejection has to know of an instance. */
export interface RejectedInstance {
  rejection: string
  studyUid: string
  code: string
}

/** The catalogue, as far as rejections and corrections read it. Newest first where something is listed. */
export interface ReadCorrections {
  rejections(studyUid: string): Promise<RejectionEntry[]>
  /** Rejections of an instance that nobody has taken back. */
  rejectionsOf(sopInstanceUid: string): Promise<RejectedInstance[]>
  /** Whether an instance is kept and not shown to anybody. */
  isHidden(sopInstanceUid: string): Promise<boolean>
  /** Of a study: also those of the patients it belongs to now or by its files. */
  correctionsOfStudy(studyUid: string): Promise<CorrectionEntry[]>
  /** Made to this patient, from it or to it. */
  correctionsOfPatient(patient: PatientKey): Promise<CorrectionEntry[]>
  correction(id: string): Promise<CorrectionEntry | undefined>
  corrected(studyUid: string): Promise<CorrectedStudy | undefined>
  /** One more than the place of every correction that is known here. */
  nextPlace(): Promise<number>
  /** A patient's attributes as stored files say them; undefined when nothing is known of the patient. */
  patient(key: PatientKey): Promise<DicomJson | undefined>
  /** Whether there is anything of a study, hidden or not; and of a series of it. */
  knowsStudy(studyUid: string, seriesUid?: string): Promise<boolean>
  /** Whom the study is shown as belonging to; undefined where nobody is named. */
  patientOf(studyUid: string): Promise<PatientKey | undefined>
  /** Digests of records that corrections name and that aren't here. */
  missingRecords(limit: number): Promise<string[]>
}

export interface Reject {
  studyUid: string
  seriesUid?: string | undefined
  sopInstanceUids?: readonly string[] | undefined
  code: string
  reason: string
}

export interface Attributes {
  [keyword: string]: string | null
}

/** Hides, restores and corrects, each by an event; resolves when everybody sees it. Nothing here frees or changes a byte. */
export interface Correct {
  /** Rejects what is shown of a study, series, or of a list of instances. Throws ArchiveError `not_found`. */
  reject(what: Reject, actor: Actor): Promise<{ rejection: string; instances: number }>
  /** Throws ArchiveError `not_found`. */
  restore(what: { studyUid: string; rejection: string; reason: string }, actor: Actor): Promise<void>
  correctStudy(
    what: { studyUid: string; seriesUid?: string | undefined; attributes: Attributes; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }>
  moveStudy(
    what: { studyUid: string; to: PatientKey; attributes?: Attributes | undefined; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }>
  mergePatients(
    what: { prior: PatientKey; surviving: PatientKey; attributes?: Attributes | undefined; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }>
  correctPatient(
    what: { patient: PatientKey; attributes: Attributes; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }>
  /** Throws ArchiveError `not_found`. */
  withdraw(what: { correction: string; reason: string }, actor: Actor): Promise<void>
}

/** Tags that were given, in the order of tags. */
export const tagsIn = (json: DicomJson): Tag[] => Object.keys(json).sort()

/** An instance with corrections laid over its header, or as it is stored where there are none. */
export interface CorrectedInstance {
  corrected: boolean
  sizeBytes: number
  bytes(): AsyncIterable<Buffer>
}

export interface ReadCorrected {
  /** Throws ArchiveError `not_acceptable` where the header can't be rewritten safely, and as reading does. */
  open(record: InstanceRecord): Promise<CorrectedInstance>
}

import type { ClassOverride } from '../../retention/classify.ts'
import type { RetentionEvent } from '../../retention/facts.ts'
import type { HoldEvent } from '../../retention/holds.ts'
import type { StepRecord } from '../retention/fold.ts'
import type { InstanceRecord } from './ports.ts'

/** What the catalogue knows of a study that a retention rule may look at; DICOM values as they came. */
export interface RetentionStudy {
  studyUid: string
  /** The name under which the catalogue knows the patient: holds and notes refer to it. */
  patient: string
  studyDate?: string | undefined
  birthDate?: string | undefined
  /** When its last copy came, served or not, ISO 8601. */
  lastReceived: string
  /** When its last served copy came: by which a study is known to have changed. */
  version: string
  studyDescription?: string | undefined
  modalities: string[]
  sopClassUids: string[]
  sources: string[]
}

export interface StoredDecision {
  studyUid: string
  retainUntil: string
  rule: string
  policy: string
  /** See `DecisionRecord.inputs`. */
  inputs: Readonly<Record<string, unknown>>
  at: string
}

/** A study with everything that is decided from. */
export interface LoadedStudy {
  study: RetentionStudy
  overrides: ClassOverride[]
  notes: RetentionEvent[]
  decision: StoredDecision | undefined
}

export interface LoadedPatient {
  patient: string
  studies: LoadedStudy[]
}

export interface Evaluated {
  studyUid: string
  version: string
  policyDigest: string
  classes: readonly string[]
}

export interface Expiring {
  studyUid: string
  patient: string
  retainUntil: string
  rule: string
  policy: string
}

export interface ReportRow extends Omit<Expiring, 'retainUntil' | 'rule' | 'policy'> {
  studyDate: string
  classes: string[]
  instances: number
  bytes: number
  /** Undefined where nothing is decided yet. */
  retainUntil?: string | undefined
  rule?: string | undefined
  policy?: string | undefined
}

export type TargetKind = 'study' | 'patient'

export interface StoredDisposition {
  id: string
  studyUid: string
  records: StepRecord[]
}

export interface DoomedInstance {
  sopInstanceUid: string
  sha256: string
  sizeBytes: number
}

export interface Tombstone {
  sopInstanceUid: string
  sha256: string
  studyUid: string
  disposition: string
}

export interface Page {
  after?: string | undefined
  limit: number
}

/** What retention needs of the catalogue. Whatever is bounded by a study or a page comes as a list. */
export interface CatalogueRetention {
  /** All studies of these patients; those that nobody knows are left out. */
  load(patients: readonly string[]): Promise<LoadedPatient[]>
  /** Behind `after`, in the order in which the catalogue came to know them. */
  patients(options: { after: number; limit: number }): Promise<{ id: number; patient: string }[]>
  /** Of a study; undefined where it is not known. */
  patientOf(studyUid: string): Promise<string | undefined>
  /** The patient's name in the catalogue, by Patient ID and issuer; undefined when no study of theirs is known. */
  patient(patientId: string, issuer: string): Promise<string | undefined>
  overrides(studyUid: string): Promise<ClassOverride[]>
  /** By digest: every policy that was ever in force. */
  policies(): Promise<ReadonlyMap<string, unknown>>

  decision(studyUid: string): Promise<StoredDecision | undefined>
  /** Studies that were not evaluated, or have changed since, or by another policy; behind the study `after`. */
  stale(policyDigest: string, options: { after: number; limit: number }): Promise<{ id: number; patient: string }[]>
  markEvaluated(studies: readonly Evaluated[]): Promise<void>
  /** By date, from one day to another, both included; `after` is the `cursor` of the last one before. */
  expiring(from: string, to: string, page: Page): Promise<Expiring[]>
  /** Every study, in the order in which the catalogue came to know them. */
  report(): AsyncIterable<ReportRow>

  /** Events of all holds, active or not, that name the study or its patient. */
  holdEventsOn(studyUid: string, patient: string): Promise<HoldEvent[]>
  holdEvents(holdId: string): Promise<HoldEvent[]>
  holdStudies(holdId: string): Promise<number>
  holds(state: 'active' | 'released' | 'all', page: Page): Promise<string[]>
  isHeld(studyUids: readonly string[]): Promise<boolean>

  disposition(id: string): Promise<StoredDisposition | undefined>
  dispositions(
    which: { state?: string | undefined; studyUid?: string | undefined },
    page: Page,
  ): Promise<StoredDisposition[]>
  doomed(disposition: string): AsyncIterable<DoomedInstance>
  tombstones(studyUid: string, limit: number): Promise<Tombstone[]>
  tombstone(sopInstanceUid: string): Promise<Tombstone | undefined>
  /** Every copy of a study, served or not. */
  copies(studyUid: string): Promise<InstanceRecord[]>
  /** Forgets all of what a committed disposition names, as far as nothing else needs it. */
  forgetDoomed(disposition: string): Promise<void>

  /** The furthest that a site's compliance clock is known to have shown, in milliseconds since 1970. */
  clock(site: string): Promise<{ clockId: string; complianceMs: number } | undefined>
}

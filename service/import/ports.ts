import type { DicomJson, InstanceIdentifiers } from '../dicom/types.ts'
import type { Receipt } from '../ingest/ports.ts'

/** A study as the source lists it. */
export interface FoundStudy {
  studyUid: string
  /** Empty where the source doesn't say. */
  patientId: string
  /** What the source says at study level, in DICOM JSON. */
  attributes: DicomJson
  /** Undefined where the source doesn't say. */
  instances?: number | undefined
}

/** A file of a source that has no other list of what belongs to a study. */
export interface FoundFile {
  /** Below the source's root. */
  path: string
  studyUid: string
  sopInstanceUid: string
  sizeBytes: number
}

/**
 * `unreadable`: the source could not give it. `not_dicom`: no DICOM file. `refused`: Firn does not take it. `conflict`: other
 * bytes are here under its UID; both are kept. `missing`: the source lists it and it isn't here. `differs`: read twice, or
 * read back from here, it had another digest. `unlisted`: the source gave more than it lists. `failed`: the study could not
 * be fetched. `listing`: the source's list may be incomplete.
 */
export type FindingKind =
  | 'unreadable'
  | 'not_dicom'
  | 'refused'
  | 'conflict'
  | 'missing'
  | 'differs'
  | 'unlisted'
  | 'failed'
  | 'listing'

export interface Finding {
  /** Empty where it isn't known. */
  studyUid: string
  kind: FindingKind
  /** SOP Instance UID or path. */
  object: string
  detail: string
}

/** One step of a listing. What it holds is durable before the next one is asked for. */
export interface ListedPage {
  studies: FoundStudy[]
  files?: FoundFile[]
  findings?: Finding[]
  /** From where a listing that was broken off goes on. */
  cursor: string
}

/** One instance as the source gives it, or why it could not; then the others come all the same. */
export type SourceInstance = {
  /** For people: path or SOP Instance UID. */
  name: string
} & (
  | {
      /** A Part 10 file, to be read to its end or left before the next instance is asked for. */
      body: AsyncIterable<Buffer>
    }
  /** The source has sent it to Firn by itself, and this became of it. */
  | { receipt: Receipt }
  | { unreadable: string }
)

/** Holds a source's bytes back as the pace demands. */
export type Slow = (body: AsyncIterable<Buffer>) => AsyncIterable<Buffer>

/**
 * An old archive. Everything streams; errors are ArchiveError, `unavailable` where the source should be asked again later.
 */
export interface ImportSource {
  readonly type: 'folder' | 'dicomweb' | 'dimse'
  /** Where it is, for records of where an instance came from. */
  readonly address: string
  /** All studies, page by page, behind `cursor` if given. A study may be listed more than once. */
  list(cursor: string | undefined, signal: AbortSignal): AsyncIterable<ListedPage>
  /** SOP Instance UIDs of all instances that the source says belong to the study. */
  contents(studyUid: string, signal: AbortSignal): Promise<ReadonlySet<string>>
  fetch(studyUid: string, signal: AbortSignal): AsyncIterable<SourceInstance>
  /** SHA-256 of one instance that is read once more, `name` as `fetch` gave it; undefined where it doesn't come. */
  again(
    instance: InstanceIdentifiers & { name: string },
    how: { slowed: Slow; signal: AbortSignal },
  ): Promise<string | undefined>
  /** Studies with this UID or this Patient ID, asked now; absent where only the listing can tell. */
  find?(keys: { studyUid?: string; patientId?: string }, signal: AbortSignal): Promise<FoundStudy[]>
}

/** What became of a study. */
export interface StudyResult {
  /** What the source says it holds, and how many of those are here. */
  expected: number
  here: number
  stored: number
  duplicates: number
  conflicts: number
  refused: number
  missing: number
  /** Instances that were read twice, and how many of those had another digest. */
  verified: number
  differing: number
  bytes: number
}

export const NO_RESULT: Readonly<StudyResult> = {
  expected: 0,
  here: 0,
  stored: 0,
  duplicates: 0,
  conflicts: 0,
  refused: 0,
  missing: 0,
  verified: 0,
  differing: 0,
  bytes: 0,
}

export type StudyState = 'waiting' | 'done' | 'failed'

export interface ImportStudy extends Omit<FoundStudy, 'instances'> {
  /** Ascending in the order of listing. */
  id: number
  state: StudyState
  attempts: number
  /** Null: not known yet. */
  expected: number | null
  result: StudyResult
  reason: string
}

export interface ImportTotals extends StudyResult {
  studies: number
  done: number
  failed: number
  /** Listed, as far as the source says so before it is asked for a study. */
  listedInstances: number
  listedBytes: number
  findings: number
}

export interface ImportRecord {
  name: string
  /** `listed`: a dry run has ended. */
  state: 'running' | 'stopped' | 'done' | 'listed'
  listOnly: boolean
  /** The share of instances that are read twice: 0 to 1. */
  verify: number
  cursor: string | null
  /** The source was listed to its end. */
  listed: boolean
  totals: ImportTotals
  startedAt: string
  endedAt: string | null
}

/** What imports keep in the catalogue, so that a node that was killed goes on where it was. */
export interface ImportRecords {
  get(name: string): Promise<ImportRecord | undefined>
  /**
   * Begins or goes on. `relist`: the source is listed anew; studies that are done stay so unless the source has more of
   * them. `again`: every study is imported once more.
   */
  begin(options: BeginImport): Promise<void>
  /** A page of the listing, all at once. A study that is done and of which the source now has more waits again. */
  listed(name: string, page: ListedPage): Promise<void>
  listingDone(name: string): Promise<void>
  /** Replaces what was found of the study before. */
  settle(name: string, outcome: StudyOutcome): Promise<void>
  end(name: string, state: ImportRecord['state']): Promise<void>
  study(name: string, studyUid: string): Promise<ImportStudy | undefined>
  ofPatient(name: string, patientId: string, limit: number): Promise<ImportStudy[]>
  /** By number, behind `after`. */
  studies(name: string, options: { after: number; limit: number; state?: StudyState }): Promise<ImportStudy[]>
  /** By number, behind `after`. */
  findings(name: string, options: { after: number; limit: number }): Promise<(Finding & { id: number })[]>
  files(name: string, studyUid: string): AsyncIterable<FoundFile>
}

export interface BeginImport {
  name: string
  listOnly: boolean
  verify: number
  relist: boolean
  again: boolean
}

export interface StudyOutcome {
  studyUid: string
  state: StudyState
  attempts: number
  result: StudyResult
  reason: string
  findings: readonly Finding[]
}

import type { DicomJson, InstanceIdentifiers, Tag } from '../dicom/types.ts'
import type { Source } from '../ingest/ports.ts'

export type QueryLevel = 'patient' | 'study' | 'series' | 'instance'

/** One matching key, in DICOM's own matching syntax (PS3.4 C.2.2.2), value already decoded to Unicode. */
export interface MatchKey {
  /** Path of tags; one entry for a plain attribute, two for an item of a sequence (`['00400275','00401001']`). */
  path: readonly Tag[]
  /**
   * Never empty (universal matching is "no key"). Several UIDs are separated by `\`. Wildcards `*` and `?`.
   * Ranges `A-B`, `A-`, `-B` for DA, TM, DT.
   */
  value: string
}

export interface Query {
  level: QueryLevel
  match: readonly MatchKey[]
  /** Attributes to return beyond the level's required ones. `all`: everything the archive knows at that level. */
  include: 'all' | readonly Tag[]
  /** PS3.18 8.3.4.2 fuzzy matching of person names. */
  fuzzy: boolean
  limit?: number
  offset?: number
}

/** Where an instance's bytes are in the landing. */
export interface LandingLocation {
  segment: number
  /** Offset of the first byte of the Part 10 file in the segment. */
  offset: number
}

/** One stored instance, as retrieval needs it. */
export interface InstanceRecord extends InstanceIdentifiers {
  sha256: string
  sizeBytes: number
  /** Where the data set starts in the Part 10 file: after preamble and file meta information. */
  dataSetOffset: number
  transferSyntaxUid: string
  /** As the data set says it; null when it doesn't. */
  instanceNumber: number | null
  numberOfFrames: number | null
  receivedAt: string
  source: Source
  location: LandingLocation
}

/** Which instances: everything below the most specific identifier that is given. UIDs and IDs match exactly. */
export interface InstanceScope {
  patientId?: string
  studyUids?: readonly string[]
  seriesUids?: readonly string[]
  sopInstanceUids?: readonly string[]
}

/** Reading side of the catalogue. */
export interface CatalogueReader {
  /**
   * Matches one level in a stable order, as DICOM JSON with the level's required return attributes and those of the
   * levels above it, plus `include`. Throws ArchiveError `invalid_request` naming the key that can't be matched.
   * Fetches page by page, so a large answer costs bounded memory; stop by leaving the loop.
   */
  find(query: Query): AsyncIterable<DicomJson>

  /** Served instances in scope, in order (study, series number, instance number, UID), page by page. */
  instances(scope: InstanceScope): AsyncIterable<InstanceRecord>
}

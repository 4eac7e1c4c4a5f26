import type { InstanceAttributes } from '../dicom/describe.ts'
import type { DicomJson, InstanceIdentifiers, Tag } from '../dicom/types.ts'
import type { Event } from '../events/event.ts'
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
  /** Leave out the attributes of the levels above, but for those asked for by `match` and `include`. */
  ownLevelOnly?: boolean
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

/** Where an instance's bytes are once they are sealed. */
export interface PackLocation {
  /** The catalogue's number of the pack. */
  pack: number
  /** Offset of the first byte of the Part 10 file in the pack. */
  offset: number
  /** The landing has it too, until its segment is retired. */
  landed?: LandingLocation
}

export type Location = LandingLocation | PackLocation

export const isPacked = (location: Location): location is PackLocation => 'pack' in location

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
  location: Location
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
  /** Whether an attribute can be matched at a level; another one in `find` is refused. */
  supports(level: QueryLevel, path: readonly Tag[]): boolean

  /**
   * Matches one level in a stable order, as DICOM JSON with the level's required return attributes and those of the
   * levels above it, plus `include`. Throws ArchiveError `invalid_request` naming the key that can't be matched.
   * Fetches page by page, so a large answer costs bounded memory; stop by leaving the loop.
   */
  find(query: Query): AsyncIterable<DicomJson>

  /** Changes whenever an instance joins the study; undefined when there is no such study. */
  studyVersion(studyUid: string): Promise<string | undefined>

  /** Served instances in scope, series by series, in each by instance number. Fetched page by page. */
  instances(scope: InstanceScope): AsyncIterable<InstanceRecord>
}

/** An instance that the landing holds durably and the catalogue doesn't know yet. */
export interface NewInstance extends InstanceRecord {
  attributes: InstanceAttributes
  /** The other site may lack it. */
  owed?: boolean
  /** The other site serves it: of two copies that are served so, the one with the smaller digest is, at both sites. */
  servedThere?: boolean
}

/** `destroyed`: these bytes were destroyed for good; they are not recorded. */
export type RecordOutcome = 'stored' | 'duplicate' | 'conflict' | 'destroyed'

/** Writing side of the catalogue. Throws ArchiveError `catalogue_failed`. */
export interface CatalogueWriter {
  /**
   * Which digests the catalogue has under a SOP Instance UID: the served copy's and its conflicting copies'. Throws
   * ArchiveError `destroyed` for an instance that was destroyed for good.
   */
  digests(sopInstanceUid: string): Promise<readonly string[]>
  /**
   * Makes an instance visible; one commit serves many callers. Where it isn't `urgent` (default: it is) it may wait some
   * milliseconds for others, until somebody reads. Every read that begins after this call sees the instance, unless the
   * record fails.
   */
  record(instance: NewInstance, options?: { urgent?: boolean }): Promise<RecordOutcome>
  /** The copy's bytes are to be found at another place from now on. */
  relocate(sopInstanceUid: string, sha256: string, at: LandingLocation): Promise<void>
  /** Resolves when the catalogue can be written. */
  probe(): Promise<void>
  /** All instances of this segment are recorded and it gets no more: a start need not replay it. */
  segmentComplete(segment: number): Promise<void>
  /** Retired ones, whose files may be gone, are not among them. */
  completeSegments(): Promise<ReadonlySet<number>>
  /** Every segment that an instance refers to, ascending, with the highest offset in it. */
  usedSegments(): AsyncIterable<{ segment: number; lastOffset: number }>
}

/** One entry of the change feed. It stands on its own: it survives what it speaks of. */
export interface Change {
  /** 1, 2, 3 ... without gaps, in the order of commits. */
  seq: number
  /** Of `study_corrected` no instance is named, and a series only where it is one that was corrected. */
  kind: 'instance_stored' | 'instance_conflict' | 'instance_hidden' | 'instance_restored' | 'study_corrected'
  at: string
  studyUid: string
  seriesUid: string
  sopInstanceUid: string
  sha256: string
}

/** A copy that came under a SOP Instance UID which was taken. It is kept, and not served. */
export interface Conflict extends InstanceRecord {
  /** The digest of the copy that is served. */
  servedSha256: string
}

export interface CatalogueTotals {
  patients: number
  studies: number
  series: number
  instances: number
  conflicts: number
  bytes: number
}

/** A sealed pack of which at least one store holds every byte, read back and compared. */
export interface Pack {
  /** 1, 2, 3 ... */
  id: number
  studyUid: string
  /** In every store that holds it. */
  key: string
  sha256: string
  sizeBytes: number
  instanceCount: number
  /** Of the instances alone. */
  payloadBytes: number
  sealedAt: string
  volume: string
  copies: { store: string; verifiedAt: string }[]
}

export interface NewPack extends Omit<Pack, 'id' | 'instanceCount' | 'payloadBytes' | 'volume'> {
  /** Default `default`. */
  volume?: string
  instances: readonly { sopInstanceUid: string; sha256: string; sizeBytes: number; offset: number }[]
  /** Stores that were found to hold other bytes under this key: they have no copy, whatever was known before. */
  notIn?: readonly string[]
}

/** What a store holds, as far as the catalogue knows. */
export interface StoreHolding {
  store: string
  packs: number
  bytes: number
}

/** What sealing, and reading from packs, need of the catalogue. Throws ArchiveError `catalogue_failed` where it writes. */
export interface CataloguePacks {
  /** Studies that have copies in no pack and got their last one before this time (ISO 8601). Found one by one by an index. */
  unsealedStudies(lastReceivedBefore: string): AsyncIterable<string>
  /** All copies of a study that are in no pack, served and conflicting. */
  unsealedCopies(studyUid: string): Promise<InstanceRecord[]>
  /**
   * Records a pack, and that its instances are in it from now on: all of that at once. A pack that is known already gets the
   * copies that it didn't have. Resolves with its number.
   */
  addPack(pack: NewPack): Promise<number>
  pack(id: number): Promise<Pack | undefined>
  packByKey(key: string): Promise<Pack | undefined>
  /** By number, behind `after`; of one study where it is given. */
  packs(options: { after?: number; limit: number; studyUid?: string }): Promise<Pack[]>
  holdings(): Promise<StoreHolding[]>
  /** Packs that this store holds, by number, behind `after`. */
  packsIn(store: string, options: { after?: number; limit: number }): Promise<Pack[]>
  /** In the order of the keys' bytes, behind `afterKey`. */
  packsByKey(afterKey: string, limit: number): Promise<Pack[]>
  /** Packs of which a copy was read back last before this time, the longest ago first. */
  packsToCheck(verifiedBefore: string, limit: number): Promise<{ pack: Pack; store: string }[]>
  /** Packs that fewer stores hold than that, by number, behind `after`. */
  packsWithFewer(copies: number, options: { after: number; limit: number }): Promise<Pack[]>
  /** Nobody reads this copy from now on. Synced, because its bytes are freed behind it. */
  dropCopy(pack: number, store: string): Promise<void>
  /** Stores that are to be emptied: they get nothing new. */
  drainingStores(): Promise<ReadonlySet<string>>
  setDraining(store: string, draining: boolean): Promise<void>
  /** The pack that holds each of these bytes, by digest; those that none holds are left out. */
  packsOf(digests: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** Complete segments of which the catalogue knows no copy that is in no pack, and that changed last before this time. */
  retirableSegments(packedBefore: string): Promise<number[]>
  /** Nobody is sent to this segment from now on. */
  retireSegment(segment: number): Promise<void>
  /** Its file is gone. */
  segmentRemoved(segment: number): Promise<void>
  /** Retired segments whose files may still be there: a crash came between. */
  retiredSegments(): Promise<number[]>
}

/** State of which the event logs are the truth, and the catalogue an index. Throws ArchiveError `catalogue_failed`. */
export interface ProjectEvents {
  /** Whether events of this kind mean anything to the catalogue. */
  isProjected(kind: string): boolean
  /** The number of the last event of this site's log that is in the catalogue; 0 for none. */
  projectedUpTo(site: string): Promise<number>
  /** Events of one log, in order, none left out that is projected; all of them and the number they reach, or nothing. */
  project(site: string, events: readonly Event[], upTo: number): Promise<void>
}

/** One copy by UID and digest; see replication/ports.ts. */
export interface CopyId {
  sopInstanceUid: string
  sha256: string
}

/** What replication needs of the catalogue. */
export interface CatalogueReplication {
  /** Copies that the other site may lack, in the order in which they came to be owed. */
  owed(after: number, limit: number): Promise<{ id: number; copy: CopyId }[]>
  owedCount(): Promise<number>
  isOwed(sha256: string): Promise<boolean>
  owe(copies: readonly CopyId[]): Promise<void>
  paid(copies: readonly CopyId[]): Promise<void>
  /** A served or conflicting copy. */
  copy(id: CopyId): Promise<(InstanceRecord & { served: boolean }) | undefined>
  /** All copies whose digests begin with these hexadecimal digits, in no order. Fetched page by page. */
  copiesFrom(prefix: string): AsyncIterable<CopyId & { served: boolean }>
}

/** What Firn's own API reads. */
export interface CatalogueJournal {
  /** Changes when numbers of changes begin anew or may have been given out twice: who follows the feed starts again. */
  readonly epoch: string
  /** Changes with `seq` > since, at most `limit`. */
  changes(since: number, limit: number): Promise<Change[]>
  /** Newest first; `before` continues a listing. */
  conflicts(limit: number, before?: number): Promise<{ id: number; conflict: Conflict }[]>
  /** Served and conflicting copies alike. */
  byDigest(sha256: string): Promise<InstanceRecord | undefined>
  totals(): Promise<CatalogueTotals>
}

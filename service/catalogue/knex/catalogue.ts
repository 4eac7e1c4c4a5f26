import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Knex } from 'knex'
import type { AuditFilter, AuditPage, AuditPlace, AuditQueries } from '../../audit/ports.ts'
import type { DicomJson } from '../../dicom/types.ts'
import type { Event } from '../../events/event.ts'
import type { CatalogueLocks, CopyLock, LockedCopy } from '../lock-ports.ts'
import type {
  CatalogueJournal,
  CataloguePacks,
  CatalogueReader,
  CatalogueTotals,
  CatalogueWriter,
  Change,
  Conflict,
  InstanceRecord,
  InstanceScope,
  LandingLocation,
  NewInstance,
  NewPack,
  Pack,
  ProjectEvents,
  Query,
  QueryLevel,
  RecordOutcome,
  StoreHolding,
} from '../ports.ts'
import { auditEvents } from './audit.ts'
import { KnexCommitments } from './commitments.ts'
import { type DatabaseOptions, type Dialect, dialectOf, migrate, openReader } from './connect.ts'
import { find } from './find.ts'
import { KnexImports } from './imports.ts'
import { conflictingCopies, instances, servedCopies } from './instances.ts'
import { keyFor } from './keys.ts'
import * as locks from './locks.ts'
import { CatalogueCorrections } from './overlay/catalogue.ts'
import * as packs from './packs.ts'
import { isProjected, projectedUpTo } from './projections/index.ts'
import { KnexReplication } from './replication.ts'
import { KnexRetention } from './retention/index.ts'
import { type CopyRow, digestPrefix, toRecord } from './rows.ts'
import { KnexTiers } from './tiers.ts'
import { Writer } from './writer.ts'

/** The catalogue over SQLite or PostgreSQL: an index of what storage holds, never the truth itself. */
export class KnexCatalogue
  implements
    CatalogueReader,
    CatalogueWriter,
    CatalogueJournal,
    CataloguePacks,
    CatalogueLocks,
    ProjectEvents,
    AuditQueries
{
  readonly dialect: Dialect
  readonly retention: KnexRetention
  readonly tiers: KnexTiers
  readonly imports: KnexImports
  readonly commitments: KnexCommitments
  readonly replication: KnexReplication
  readonly #read: Knex
  readonly #writer: Writer
  /** What is rejected and corrected. */
  readonly corrections: CatalogueCorrections
  #epoch = ''

  private constructor(options: DatabaseOptions) {
    this.dialect = dialectOf(options)
    this.#read = openReader(options)
    this.#writer = new Writer(options)
    this.retention = new KnexRetention(this.#read, this.#writer)
    this.tiers = new KnexTiers(this.#read, this.#writer)
    this.imports = new KnexImports(this.#read, (write) => this.#writer.writeImport(write))
    this.corrections = new CatalogueCorrections(this.#read, this.#writer)
    this.replication = new KnexReplication(this.#read, this.#writer)
    this.commitments = new KnexCommitments({
      read: this.#read,
      write: (write) => this.#writer.commitment(write),
      caughtUp: () => this.#writer.caughtUp(),
    })
  }

  /** `url`: PostgreSQL; without it SQLite in `dataDir`. */
  static async open({ url, dataDir }: { url?: string | undefined; dataDir: string }): Promise<KnexCatalogue> {
    const options = { url, file: join(dataDir, 'catalogue.sqlite') }
    await migrate(options)
    const catalogue = new KnexCatalogue(options)
    catalogue.#epoch = (await catalogue.#meta('epoch')) ?? ''
    if (catalogue.#epoch === '') await catalogue.newEpoch()
    return catalogue
  }

  async close(): Promise<void> {
    await this.#writer.close()
    await this.#read.destroy()
  }

  /** The archive that this catalogue indexes, so that a wrong database or data folder is noticed. */
  archiveId(): Promise<string | undefined> {
    return this.#meta('archive_id')
  }

  async setArchiveId(value: string): Promise<void> {
    await this.#writer.setMeta('archive_id', value)
  }

  /** False while it may lack what storage holds: it is new, or was cleared, and not filled to the end since. */
  async isComplete(): Promise<boolean> {
    return (await this.#meta('incomplete')) !== 'yes'
  }

  async setComplete(complete: boolean): Promise<void> {
    await this.#writer.setMeta('incomplete', complete ? 'no' : 'yes')
  }

  /** Forgets everything that a replay of storage brings back; incomplete from here on. */
  async clear(): Promise<void> {
    await this.setComplete(false)
    await this.#writer.clear()
    await this.newEpoch()
  }

  get epoch(): string {
    return this.#epoch
  }

  /** Numbers and versions that were given out before mean nothing from here on. */
  async newEpoch(): Promise<void> {
    const epoch = randomBytes(6).toString('hex')
    await this.#writer.setMeta('epoch', epoch)
    this.#epoch = epoch
  }

  async #meta(key: string): Promise<string | undefined> {
    return (await this.#read('meta').where({ key }).first('value'))?.value
  }

  // --- reading; what was acknowledged to a sender before is always seen

  supports(level: QueryLevel, path: readonly string[]): boolean {
    return keyFor(level, path) !== undefined
  }

  async *find(query: Query): AsyncGenerator<DicomJson> {
    await this.#writer.caughtUp()
    yield* find(this.#read, query)
  }

  async *instances(scope: InstanceScope): AsyncGenerator<InstanceRecord> {
    await this.#writer.caughtUp()
    yield* instances(this.#read, scope)
  }

  async studyVersion(studyUid: string): Promise<string | undefined> {
    await this.#writer.caughtUp()
    const row = await this.#read('studies').where({ uid: studyUid }).first('id', 'instance_count', 'revision')
    // One of which all is hidden is there for nobody.
    if (!row || row.instance_count === 0) return undefined
    return `${this.#epoch}-${row.id}-${row.instance_count}-${row.revision}`
  }

  // --- writing

  digests(sopInstanceUid: string): Promise<readonly string[]> {
    return this.#writer.digests(sopInstanceUid)
  }

  record(instance: NewInstance, { urgent = true } = {}): Promise<RecordOutcome> {
    return this.#writer.record(instance, urgent)
  }

  segmentComplete(segment: number): Promise<void> {
    return this.#writer.segmentComplete(segment)
  }

  relocate(sopInstanceUid: string, sha256: string, at: LandingLocation): Promise<void> {
    return this.#writer.relocate(sopInstanceUid, sha256, at)
  }

  probe(): Promise<void> {
    return this.#writer.probe()
  }

  async completeSegments(): Promise<ReadonlySet<number>> {
    return new Set((await this.#read('segments').where({ state: 'complete' }).select('id')).map(({ id }) => id))
  }

  async *usedSegments(): AsyncGenerator<{ segment: number; lastOffset: number }> {
    for (let last = 0; ; ) {
      const next = await this.#nextSegment(last)
      if (next === undefined) return
      yield next
      last = next.segment
    }
  }

  /** From one segment to the next by the index, however many instances are in each. */
  async #nextSegment(after: number): Promise<{ segment: number; lastOffset: number } | undefined> {
    const found: { segment: number; lastOffset: number }[] = []
    for (const table of ['instances', 'conflicts']) {
      const row = await this.#read(table).where('segment', '>', after).min({ segment: 'segment' }).first()
      if (row?.segment == null) continue
      const last = await this.#read(table).where('segment', row.segment).max({ offset: 'segment_offset' }).first()
      found.push({ segment: row.segment, lastOffset: last?.offset })
    }
    found.sort((a, b) => a.segment - b.segment || b.lastOffset - a.lastOffset)
    return found[0]
  }

  // --- what events say

  isProjected(kind: string): boolean {
    return isProjected(kind)
  }

  audit(filter: AuditFilter, page: { limit: number; before?: AuditPlace | undefined }): Promise<AuditPage> {
    return auditEvents(this.#read, filter, page)
  }

  projectedUpTo(site: string): Promise<number> {
    return projectedUpTo(this.#read, site)
  }

  /** `again`: the log is another one behind `upTo` than it was; what follows is projected anew. */
  project(site: string, events: readonly Event[], upTo: number, again = false): Promise<void> {
    return this.#writer.project({ site, events, upTo, again })
  }

  // --- packs

  async *unsealedStudies(lastReceivedBefore: string): AsyncGenerator<string> {
    await this.#writer.caughtUp()
    yield* packs.unsealedStudies(this.#read, lastReceivedBefore)
  }

  async unsealedCopies(studyUid: string): Promise<InstanceRecord[]> {
    await this.#writer.caughtUp()
    return packs.unsealedCopies(this.#read, studyUid)
  }

  addPack(pack: NewPack): Promise<number> {
    return this.#writer.addPack(pack)
  }

  pack(id: number): Promise<Pack | undefined> {
    return packs.pack(this.#read, { id })
  }

  packByKey(key: string): Promise<Pack | undefined> {
    return packs.pack(this.#read, { key })
  }

  packs(options: { after?: number; limit: number; studyUid?: string }): Promise<Pack[]> {
    return packs.packs(this.#read, options)
  }

  holdings(): Promise<StoreHolding[]> {
    return this.tiers.holdings()
  }

  packsIn(store: string, options: { after?: number; limit: number }): Promise<Pack[]> {
    return packs.packsIn(this.#read, store, options)
  }

  packsByKey(afterKey: string, limit: number): Promise<Pack[]> {
    return packs.packsByKey(this.#read, afterKey, limit)
  }

  packsToCheck(verifiedBefore: string, limit: number): Promise<{ pack: Pack; store: string }[]> {
    return packs.packsToCheck(this.#read, verifiedBefore, limit)
  }

  packsWithFewer(copies: number, options: { after: number; limit: number }): Promise<Pack[]> {
    return packs.packsWithFewer(this.#read, copies, options)
  }

  dropCopy(pack: number, store: string): Promise<void> {
    return this.#writer.dropCopy(pack, store)
  }

  drainingStores(): Promise<ReadonlySet<string>> {
    return packs.drainingStores(this.#read)
  }

  setDraining(store: string, draining: boolean): Promise<void> {
    return this.#writer.setMeta(packs.drainingKey(store), draining ? 'yes' : 'no')
  }

  packsOf(digests: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return packs.packsOf(this.#read, digests)
  }

  locksDue(store: string, by: string, limit: number): Promise<LockedCopy[]> {
    return locks.locksDue(this.#read, store, by, limit)
  }

  lockOf(pack: number, store: string): Promise<CopyLock | undefined> {
    return locks.lockOf(this.#read, pack, store)
  }

  noteLock(note: locks.LockNote): Promise<void> {
    return this.#writer.noteLock(note)
  }

  studyLocksDue(studyUid: string): Promise<void> {
    return this.#writer.studyLocksDue(studyUid)
  }

  async lastReceived(studyUid: string): Promise<string | undefined> {
    await this.#writer.caughtUp()
    return locks.lastReceived(this.#read, studyUid)
  }

  async retirableSegments(packedBefore: string): Promise<number[]> {
    await this.#writer.caughtUp()
    return packs.retirableSegments(this.#read, packedBefore)
  }

  retireSegment(segment: number): Promise<void> {
    return this.#writer.retireSegment(segment)
  }

  segmentRemoved(segment: number): Promise<void> {
    return this.#writer.segmentRemoved(segment)
  }

  async retiredSegments(): Promise<number[]> {
    return (await this.#read('segments').where({ state: 'retired' }).orderBy('id').select('id')).map(({ id }) => id)
  }

  /** Numbers of segments that were given out, whatever became of them, reach up to this one. */
  async lastSegment(): Promise<number> {
    const row = await this.#read('segments').max({ last: 'id' }).first()
    return Number(row?.last ?? 0)
  }

  // --- the API's listings

  async changes(since: number, limit: number): Promise<Change[]> {
    await this.#writer.caughtUp()
    const rows = await this.#read('changes').where('seq', '>', since).orderBy('seq').limit(limit)
    return rows.map((row) => ({
      seq: row.seq,
      kind: row.kind,
      at: row.at,
      studyUid: row.study_uid,
      seriesUid: row.series_uid,
      sopInstanceUid: row.instance_uid,
      sha256: row.sha256,
    }))
  }

  async conflicts(limit: number, before?: number): Promise<{ id: number; conflict: Conflict }[]> {
    await this.#writer.caughtUp()
    const page = conflictingCopies(this.#read).orderBy('conflicts.id', 'desc').limit(limit)
    if (before !== undefined) page.where('conflicts.id', '<', before)
    const rows: (CopyRow & { served_sha256: string })[] = await page
    return rows.map((row) => ({ id: row.id, conflict: { ...toRecord(row), servedSha256: row.served_sha256 } }))
  }

  async byDigest(sha256: string): Promise<InstanceRecord | undefined> {
    await this.#writer.caughtUp()
    const where = { digest_prefix: digestPrefix(sha256), sha256 }
    const row: CopyRow | undefined =
      (await servedCopies(this.#read).where(qualified('instances', where)).first()) ??
      (await conflictingCopies(this.#read).where(qualified('conflicts', where)).first())
    return row && toRecord(row)
  }

  async totals(): Promise<CatalogueTotals> {
    await this.#writer.caughtUp()
    const count = async (table: string): Promise<number> => {
      const [row] = await this.#read(table).count({ n: '*' })
      return Number(row?.n ?? 0)
    }
    const [sums] = await this.#read('studies').sum({
      series: 'series_count',
      instances: 'instance_count',
      bytes: 'bytes',
    })
    const shown = () => this.#read('studies').where('instance_count', '>', 0)
    const [studies] = await shown().count({ n: '*' })
    const [patients] = await shown().countDistinct({ n: 'patient' })
    return {
      patients: Number(patients?.n ?? 0),
      studies: Number(studies?.n ?? 0),
      series: Number(sums?.series ?? 0),
      instances: Number(sums?.instances ?? 0),
      conflicts: await count('conflicts'),
      bytes: Number(sums?.bytes ?? 0),
    }
  }
}

function qualified(table: string, where: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(where).map(([name, value]) => [`${table}.${name}`, value]))
}

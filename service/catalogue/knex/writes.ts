import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import type { CopyId, NewPack, RecordOutcome } from '../ports.ts'
import type { Evaluated } from '../retention-ports.ts'
import { commit } from './commit.ts'
import { type CommitmentWrite, writeCommitment } from './commitment-writes.ts'
import { type DatabaseOptions, openReader, openWriter } from './connect.ts'
import { type ImportWrite, writeImport } from './import-writes.ts'
import { KeptIds } from './kept-ids.ts'
import { type LockNote, noteLock, studyLocksDue } from './locks.ts'
import { type RejectionPolicy, setPolicy } from './overlay/visibility.ts'
import { addPack, dropCopy, durably, retireSegment, segmentRemoved } from './pack-writes.ts'
import { fillRecord, type RecordContent } from './projections/corrections.ts'
import { type Projected, project, projectedTables } from './projections/index.ts'
import { owe, paid } from './replication.ts'
import { forgetDoomed } from './retention/forget.ts'
import { markEvaluated } from './retention/studies.ts'
import type { InstanceRows } from './rows.ts'
import { marksFor, StatementRunner } from './statements.ts'
import { changeTiers, type TierChange } from './tier-writes.ts'
import { destroyedAmong } from './tombstones.ts'

/** Tables that a rebuild fills again from storage, those that refer to others first. */
const REBUILT = [
  'owed',
  'changes',
  'conflicts',
  'instances',
  'series',
  'studies',
  'patients',
  'sources',
  'segments',
  'leftovers',
  'pack_copies',
  'packs',
]

/** Everything that is written to the database. */
export class Rows {
  readonly #write: Knex
  readonly #read: Knex
  readonly #writing: StatementRunner
  readonly #reading: StatementRunner
  readonly #ids = new KeptIds()

  constructor(options: DatabaseOptions) {
    this.#write = openWriter(options)
    this.#read = openReader(options, 1)
    this.#writing = new StatementRunner(this.#write)
    this.#reading = new StatementRunner(this.#read)
  }

  record(instances: readonly InstanceRows[]): Promise<RecordOutcome[]> {
    return commit(this.#writing, this.#ids, instances)
  }

  /** Of served and conflicting copies, as [uid, sha256]; see tombstones.ts for what was destroyed. */
  async digests(uids: readonly string[]): Promise<[string, string][]> {
    const marks = marksFor(uids.length)
    const sql = `SELECT uid, sha256 FROM instances WHERE uid IN (${marks})
      UNION ALL SELECT uid, sha256 FROM conflicts WHERE uid IN (${marks})`
    const rows = await this.#reading.use(({ all }) => all<{ uid: string; sha256: string }>(sql, [...uids, ...uids]))
    return [
      ...rows.map(({ uid, sha256 }): [string, string] => [uid, sha256]),
      ...(await destroyedAmong(this.#read, uids)),
    ]
  }

  /**
   * Points a copy, served or conflicting, to another place with the same bytes. Synced: a replay knows the digest already
   * and would leave it at the damaged place.
   */
  async relocate(copy: { uid: string; sha256: string; segment: number; segment_offset: number }): Promise<void> {
    const { uid, sha256, segment, segment_offset } = copy
    const place = { segment, segment_offset, pack: null, pack_offset: null }
    await durably(this.#write, async (trx) => {
      for (const table of ['instances', 'conflicts']) await trx(table).where({ uid, sha256 }).update(place)
    })
  }

  async segmentComplete(segment: number): Promise<void> {
    await this.#write('segments').insert({ id: segment }).onConflict('id').ignore()
  }

  addPack(pack: NewPack): Promise<number> {
    return addPack(this.#write, pack)
  }

  dropCopy(copy: { pack: number; store: string }): Promise<void> {
    return dropCopy(this.#write, copy)
  }

  noteLock(note: LockNote): Promise<void> {
    return noteLock(this.#write, note)
  }

  studyLocksDue(studyUid: string): Promise<void> {
    return studyLocksDue(this.#write, studyUid)
  }

  retireSegment(segment: number): Promise<void> {
    return retireSegment(this.#write, segment)
  }

  segmentRemoved(segment: number): Promise<void> {
    return segmentRemoved(this.#write, segment)
  }

  tiers(change: TierChange): Promise<void> {
    return changeTiers(this.#write, change)
  }

  project(projected: Projected): Promise<void> {
    return project(this.#write, projected)
  }

  markEvaluated(studies: readonly Evaluated[]): Promise<void> {
    return markEvaluated(this.#write, studies)
  }

  async forgetDoomed(disposition: string): Promise<void> {
    this.#ids.forget()
    await forgetDoomed(this.#write, disposition)
  }

  writeImport(write: ImportWrite): Promise<void> {
    return writeImport(this.#write, write)
  }

  fillRecord(record: { record: string; content: RecordContent }): Promise<void> {
    return this.#write.transaction((trx) => fillRecord(trx, record))
  }

  setRejectionPolicy(policy: RejectionPolicy): Promise<void> {
    return setPolicy(this.#write, policy)
  }

  commitment(write: CommitmentWrite): Promise<number> {
    return writeCommitment(this.#write, write)
  }

  owe(copies: readonly CopyId[]): Promise<void> {
    return owe(this.#write, copies)
  }

  paid(copies: readonly CopyId[]): Promise<void> {
    return paid(this.#write, copies)
  }

  async setMeta({ key, value }: { key: string; value: string }): Promise<void> {
    await this.#write('meta').insert({ key, value }).onConflict('key').merge()
  }

  /** Rejects when the database can't be written at all. */
  async probe(): Promise<void> {
    await this.setMeta({ key: 'probe', value: randomUUID() })
  }

  async clear(): Promise<void> {
    this.#ids.forget()
    await this.#write.transaction(async (trx) => {
      for (const table of [...projectedTables, ...REBUILT]) await trx(table).del()
      await trx('counters').where({ name: 'changes' }).update({ value: 0 })
    })
  }

  async close(): Promise<void> {
    await this.#reading.close()
    await this.#read.destroy()
    await this.#writing.close()
    await this.#write.destroy()
  }
}

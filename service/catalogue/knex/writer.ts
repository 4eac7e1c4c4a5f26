import { ArchiveError } from '../../errors.ts'
import type { CopyId, LandingLocation, NewInstance, NewPack, RecordOutcome } from '../ports.ts'
import type { Evaluated } from '../retention-ports.ts'
import { Batches, type Waiting } from './batches.ts'
import type { CommitmentWrite } from './commitment-writes.ts'
import type { DatabaseOptions } from './connect.ts'
import type { ImportWrite } from './import-writes.ts'
import type { LockNote } from './locks.ts'
import type { RejectionPolicy } from './overlay/visibility.ts'
import type { RecordContent } from './projections/corrections.ts'
import type { Projected } from './projections/index.ts'
import { instanceRows } from './rows.ts'
import { Thread } from './thread.ts'
import type { TierChange } from './tier-writes.ts'
import { DESTROYED } from './tombstones.ts'
import type { Rows } from './writes.ts'

export interface WriterRequest {
  id: number
  kind: keyof Rows
  input: unknown
}

export type WriterReply = { id: number; result: unknown } | { id: number; error: string }

const RECORDS_PER_COMMIT = 250
/** How long a record that nobody asks for may wait for others to share its transaction. */
const PATIENCE_MS = 25
const UIDS_PER_QUERY = 64
const KNOWN_SERIES_MAX = 20_000
/** SQLite's word, the system's, and PostgreSQL's (class 53100) for a full disk. */
const FULL = /SQLITE_FULL|ENOSPC|53100/

/** The catalogue's writing side, as seen from the main thread: one thread does it all. See CatalogueWriter. */
export class Writer {
  readonly #thread: Thread
  readonly #records: Batches<NewInstance, RecordOutcome>
  readonly #digests: Batches<string, readonly string[]>
  /** Series that were recorded: their upper levels need not be worked out again. */
  readonly #knownSeries = new Set<string>()
  readonly #underway = new Set<Promise<unknown>>()

  constructor(options: DatabaseOptions) {
    this.#thread = new Thread(new URL('./writer-thread', import.meta.url), options)
    this.#records = new Batches(RECORDS_PER_COMMIT, (batch) => this.#settle(batch), PATIENCE_MS)
    this.#digests = new Batches(UIDS_PER_QUERY, (batch) => this.#lookUp(batch))
  }

  record(instance: NewInstance, urgent: boolean): Promise<RecordOutcome> {
    return this.#records.add(instance, urgent)
  }

  /** Resolves when everything that was given to `record` before is in the database, or was refused by it. */
  caughtUp(): Promise<void> {
    return this.#records.settled()
  }

  digests(sopInstanceUid: string): Promise<readonly string[]> {
    return this.#digests.add(sopInstanceUid)
  }

  async relocate(uid: string, sha256: string, { segment, offset }: LandingLocation): Promise<void> {
    await this.#write('relocate', { uid, sha256, segment, segment_offset: offset })
  }

  async segmentComplete(segment: number): Promise<void> {
    await this.#write('segmentComplete', segment)
  }

  async addPack(pack: NewPack): Promise<number> {
    // Plain data: it crosses threads.
    const instances = pack.instances.map(({ sopInstanceUid, sha256, sizeBytes, offset }) => ({
      sopInstanceUid,
      sha256,
      sizeBytes,
      offset,
    }))
    return (await this.#write('addPack', { ...pack, instances })) as number
  }

  async dropCopy(pack: number, store: string): Promise<void> {
    await this.#write('dropCopy', { pack, store })
  }

  async noteLock(note: LockNote): Promise<void> {
    await this.#write('noteLock', note)
  }

  async studyLocksDue(studyUid: string): Promise<void> {
    await this.#write('studyLocksDue', studyUid)
  }

  async retireSegment(segment: number): Promise<void> {
    await this.#write('retireSegment', segment)
  }

  async segmentRemoved(segment: number): Promise<void> {
    await this.#write('segmentRemoved', segment)
  }

  async tiers(change: TierChange): Promise<void> {
    await this.#write('tiers', change)
  }

  async project(projected: Projected): Promise<void> {
    await this.#write('project', projected)
  }

  async markEvaluated(studies: readonly Evaluated[]): Promise<void> {
    await this.#write('markEvaluated', studies)
  }

  async forgetDoomed(disposition: string): Promise<void> {
    this.#knownSeries.clear()
    await this.#write('forgetDoomed', disposition)
    this.#knownSeries.clear()
  }

  async writeImport(write: ImportWrite): Promise<void> {
    await this.#write('writeImport', write)
  }

  async fillRecord(record: string, content: RecordContent): Promise<void> {
    await this.#write('fillRecord', { record, content })
  }

  async setRejectionPolicy(policy: RejectionPolicy): Promise<void> {
    await this.#write('setRejectionPolicy', policy)
  }

  async commitment(write: CommitmentWrite): Promise<number> {
    return (await this.#write('commitment', write)) as number
  }

  async owe(copies: readonly CopyId[]): Promise<void> {
    if (copies.length > 0) await this.#write('owe', copies.map(plainId))
  }

  async paid(copies: readonly CopyId[]): Promise<void> {
    if (copies.length > 0) await this.#write('paid', copies.map(plainId))
  }

  async setMeta(key: string, value: string): Promise<void> {
    await this.#write('setMeta', { key, value })
  }

  async probe(): Promise<void> {
    await this.#write('probe')
  }

  async clear(): Promise<void> {
    this.#knownSeries.clear()
    await this.#write('clear')
  }

  async close(): Promise<void> {
    await this.#records.settled()
    await Promise.allSettled(this.#underway)
    await this.#thread.ask('close').catch(() => undefined)
    await this.#thread.terminate()
  }

  async #write(kind: keyof Rows, input?: unknown): Promise<unknown> {
    const answer = this.#thread.ask(kind, input)
    this.#underway.add(answer)
    try {
      return await answer
    } catch (error) {
      const { message } = error as Error
      // An instance that is landed already will be recorded when there is room; sending it again does no harm.
      const code = FULL.test(message) ? 'out_of_space' : 'catalogue_failed'
      throw new ArchiveError(code, `the catalogue can't be written: ${message}`)
    } finally {
      this.#underway.delete(answer)
    }
  }

  /** One bad instance must not spoil the others of its batch: they are tried again one by one. */
  async #settle(batch: readonly Waiting<NewInstance, RecordOutcome>[]): Promise<void> {
    const keys = batch.map(({ item }) => `${item.studyUid} ${item.seriesUid}`)
    const complete = this.#knownSeries.size === 0
    try {
      const rows = batch.map(({ item }, index) => instanceRows(item, !this.#knownSeries.has(keys[index] as string)))
      const outcomes = (await this.#write('record', rows)) as RecordOutcome[]
      for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index] as RecordOutcome)
      if (this.#knownSeries.size > KNOWN_SERIES_MAX) this.#knownSeries.clear()
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome === 'stored') this.#knownSeries.add(keys[index] as string)
      }
    } catch (error) {
      this.#knownSeries.clear()
      if (batch.length === 1 && complete) batch[0]?.reject(error as ArchiveError)
      else for (const waiting of batch) await this.#settle([waiting])
    }
  }

  async #lookUp(batch: readonly Waiting<string, readonly string[]>[]): Promise<void> {
    try {
      const uids = batch.map(({ item }) => item)
      const pairs = (await this.#thread.ask('digests', uids)) as [string, string][]
      const found = new Map<string, string[]>()
      for (const [uid, sha256] of pairs) found.set(uid, [...(found.get(uid) ?? []), sha256])
      for (const { item, resolve, reject } of batch) {
        const digests = found.get(item) ?? []
        const destroyed = digests.find((digest) => digest.startsWith(DESTROYED))
        if (destroyed === undefined) resolve(digests)
        else reject(wasDestroyed(item, destroyed.slice(DESTROYED.length)))
      }
    } catch (error) {
      const message = `the catalogue can't be read: ${(error as Error).message}`
      for (const { reject } of batch) reject(new ArchiveError('unavailable', message))
    }
  }
}

function wasDestroyed(sopInstanceUid: string, disposition: string): ArchiveError {
  return new ArchiveError(
    'destroyed',
    `instance ${sopInstanceUid} was destroyed for good by disposition ${disposition}, and is not taken in again; ` +
      'a records officer or an administrator sees why with `firn disposition show`',
  )
}

const plainId = ({ sopInstanceUid, sha256 }: CopyId): CopyId => ({ sopInstanceUid, sha256 })

import type { Knex } from 'knex'
import { ArchiveError } from '../../errors.ts'
import type { Change, NewInstance, RecordOutcome } from '../ports.ts'
import { KeptIds } from './kept-ids.ts'
import { conflictRow, instanceRow, patientRow, seriesRow, studyRow } from './rows.ts'

interface Waiting {
  instance: NewInstance
  resolve(outcome: RecordOutcome): void
  reject(error: ArchiveError): void
}

const BATCH_MAX = 250
/** SQLite takes 32,766 parameters a statement; the widest row has some 20. */
const ROWS_PER_INSERT = 200

/** Gathers instances while the previous commit is under way: one transaction serves many. */
export class Recorder {
  readonly #knex: Knex
  readonly #ids = new KeptIds()
  #queue: Waiting[] = []
  #running: Promise<void> | undefined

  constructor(knex: Knex) {
    this.#knex = knex
  }

  record(instance: NewInstance): Promise<RecordOutcome> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ instance, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    // Lets everything that became durable in the same turn of the event loop share the first commit.
    await new Promise(setImmediate)
    while (this.#queue.length > 0) await this.#settle(this.#queue.splice(0, BATCH_MAX))
    this.#running = undefined
  }

  /** One bad instance must not spoil the others of its batch: they are tried again one by one. */
  async #settle(batch: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#commit(batch.map(({ instance }) => instance))
      for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index] as RecordOutcome)
    } catch (error) {
      this.#ids.forget()
      if (batch.length > 1) {
        for (const waiting of batch) await this.#settle([waiting])
        return
      }
      const message = `the catalogue can't be written: ${(error as Error).message}`
      batch[0]?.reject(new ArchiveError('catalogue_failed', message, { cause: error }))
    }
  }

  async #commit(instances: readonly NewInstance[]): Promise<RecordOutcome[]> {
    const outcomes = await this.#knex.transaction((trx) => new Commit(trx, this.#ids).run(instances))
    this.#ids.committed()
    return outcomes
  }
}

interface Gain {
  instances: number
  bytes: number
}

/** One transaction's work. */
class Commit {
  readonly #trx: Knex.Transaction
  readonly #ids: KeptIds
  readonly #studyGains = new Map<number, Gain & { series: number; received: string }>()
  readonly #seriesGains = new Map<number, Gain>()
  readonly #studiesWithNewSeries = new Set<number>()

  constructor(trx: Knex.Transaction, ids: KeptIds) {
    this.#trx = trx
    this.#ids = ids
  }

  async run(instances: readonly NewInstance[]): Promise<RecordOutcome[]> {
    const served = await this.#served(instances)
    const rows: object[] = []
    const changes: Omit<Change, 'seq'>[] = []
    const outcomes: RecordOutcome[] = []
    for (const instance of instances) {
      const before = served.get(instance.sopInstanceUid)
      if (before === undefined) {
        rows.push(await this.#instanceRow(instance))
        served.set(instance.sopInstanceUid, instance.sha256)
        changes.push(changeOf('instance_stored', instance))
        outcomes.push('stored')
      } else if (before === instance.sha256 || !(await this.#addConflict(instance, before))) {
        outcomes.push('duplicate')
      } else {
        changes.push(changeOf('instance_conflict', instance))
        outcomes.push('conflict')
      }
    }
    await this.#insert('instances', rows)
    await this.#addGains()
    await this.#insertChanges(changes)
    return outcomes
  }

  async #served(instances: readonly NewInstance[]): Promise<Map<string, string>> {
    const uids = instances.map(({ sopInstanceUid }) => sopInstanceUid)
    const rows = await this.#trx('instances')
      .whereIn('uid', uids)
      .select<{ uid: string; sha256: string }[]>('uid', 'sha256')
    return new Map(rows.map(({ uid, sha256 }) => [uid, sha256]))
  }

  async #instanceRow(instance: NewInstance): Promise<object> {
    const source = await this.#source(instance)
    const study = await this.#study(instance)
    const series = await this.#series(instance, study)
    const ofSeries = this.#seriesGains.get(series) ?? { instances: 0, bytes: 0 }
    this.#seriesGains.set(series, {
      instances: ofSeries.instances + 1,
      bytes: ofSeries.bytes + instance.sizeBytes,
    })
    const ofStudy = this.#studyGain(study)
    ofStudy.instances += 1
    ofStudy.bytes += instance.sizeBytes
    if (instance.receivedAt > ofStudy.received) ofStudy.received = instance.receivedAt
    return instanceRow(instance, { study, series, source })
  }

  #studyGain(study: number) {
    const gain = this.#studyGains.get(study) ?? { instances: 0, bytes: 0, series: 0, received: '' }
    this.#studyGains.set(study, gain)
    return gain
  }

  /** False when these bytes are already among the conflicting copies. */
  async #addConflict(instance: NewInstance, servedSha256: string): Promise<boolean> {
    const key = { uid: instance.sopInstanceUid, sha256: instance.sha256 }
    if (await this.#trx('conflicts').where(key).first('id')) return false
    const source = await this.#source(instance)
    await this.#trx('conflicts').insert(conflictRow(instance, source, servedSha256))
    return true
  }

  #source({ source: { protocol, name, address } }: NewInstance): Promise<number> {
    return this.#ids.of('source', [protocol, name, address].join('\n'), () =>
      this.#idOf('sources', { protocol, name, address }, { protocol, name, address }),
    )
  }

  #study(instance: NewInstance): Promise<number> {
    return this.#ids.of('study', instance.studyUid, async () => {
      const known = await this.#trx('studies').where({ uid: instance.studyUid }).first('id')
      if (known) return known.id
      const json = instance.attributes.study()
      const patient = patientRow(instance.studyUid, json)
      const patientId = await this.#idOf('patients', { identity: patient.identity }, patient)
      return this.#idOf('studies', { uid: instance.studyUid }, studyRow(instance, json, patientId))
    })
  }

  #series(instance: NewInstance, study: number): Promise<number> {
    return this.#ids.of('series', `${study} ${instance.seriesUid}`, async () => {
      const key = { study, uid: instance.seriesUid }
      const known = await this.#trx('series').where(key).first('id')
      if (known) return known.id
      this.#studyGain(study).series += 1
      this.#studiesWithNewSeries.add(study)
      return this.#idOf('series', key, seriesRow(instance, instance.attributes.series(), study))
    })
  }

  async #idOf(table: string, key: object, row: object): Promise<number> {
    const known = await this.#trx(table).where(key).first('id')
    if (known) return known.id
    const [inserted] = await this.#trx(table).insert(row).returning('id')
    return inserted.id
  }

  async #addGains(): Promise<void> {
    const trx = this.#trx
    for (const [id, { instances, bytes }] of this.#seriesGains) {
      await trx('series')
        .where({ id })
        .update(increments(trx, { instance_count: instances, bytes }))
    }
    for (const [id, { instances, bytes, series, received }] of this.#studyGains) {
      const changes = increments(trx, { instance_count: instances, bytes, series_count: series })
      const modalities = this.#studiesWithNewSeries.has(id) ? { modalities: await this.#modalities(id) } : {}
      await trx('studies')
        .where({ id })
        .update({ ...changes, ...modalities, ...(received === '' ? {} : { last_received: received }) })
    }
  }

  async #modalities(study: number): Promise<string> {
    const rows = await this.#trx('series').where({ study }).distinct('modality').orderBy('modality')
    const names = rows.map(({ modality }: { modality: string }) => modality).filter((name) => name !== '')
    return names.length === 0 ? '' : `\\${names.join('\\')}\\`
  }

  /** The counter's row lock puts commits of several nodes in line, so that numbers have no gaps and no late-comers. */
  async #insertChanges(changes: readonly Omit<Change, 'seq'>[]): Promise<void> {
    if (changes.length === 0) return
    const [counter] = await this.#trx('counters')
      .where({ name: 'changes' })
      .update(increments(this.#trx, { value: changes.length }))
      .returning('value')
    const first = counter.value - changes.length + 1
    await this.#insert(
      'changes',
      changes.map((change, index) => ({
        seq: first + index,
        kind: change.kind,
        at: change.at,
        study_uid: change.studyUid,
        series_uid: change.seriesUid,
        instance_uid: change.sopInstanceUid,
        sha256: change.sha256,
      })),
    )
  }

  async #insert(table: string, rows: readonly object[]): Promise<void> {
    for (let at = 0; at < rows.length; at += ROWS_PER_INSERT) {
      await this.#trx(table).insert(rows.slice(at, at + ROWS_PER_INSERT))
    }
  }
}

function increments(trx: Knex.Transaction, by: Record<string, number>): Record<string, Knex.Raw> {
  return Object.fromEntries(Object.entries(by).map(([column, n]) => [column, trx.raw('?? + ?', [column, n])]))
}

function changeOf(kind: Change['kind'], instance: NewInstance): Omit<Change, 'seq'> {
  const { studyUid, seriesUid, sopInstanceUid, sha256, receivedAt } = instance
  return { kind, at: receivedAt, studyUid, seriesUid, sopInstanceUid, sha256 }
}

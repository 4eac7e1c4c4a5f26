import type { Knex } from 'knex'
import type { Change, CopyId, RecordOutcome } from '../ports.ts'
import { addChanges } from './feed.ts'
import type { KeptIds } from './kept-ids.ts'
import { layOverNewSeries, layOverNewStudy } from './overlay/lay.ts'
import { hasRejections, recount, rejectedAmong } from './overlay/visibility.ts'
import { owe, unserve } from './replication.ts'
import type { InstanceRows } from './rows.ts'
import { insertInto, marksFor, type StatementRunner, type Statements } from './statements.ts'
import { destroyedCopies } from './tombstones.ts'

/** Few enough that a statement for each number of rows can be kept prepared. */
const ROWS_PER_STATEMENT = 32

type Upper = NonNullable<InstanceRows['upper']>
type Row = Readonly<Record<string, string | number | boolean | null>>

interface Gain {
  instances: number
  bytes: number
}

/** Writes instances in one transaction; all of them or none. */
export async function commit(
  runner: StatementRunner,
  ids: KeptIds,
  instances: readonly InstanceRows[],
): Promise<RecordOutcome[]> {
  try {
    const outcomes = await runner.transaction((hot, trx) => new Commit(hot, trx, ids).run(instances))
    ids.committed()
    return outcomes
  } catch (error) {
    ids.forget()
    throw error
  }
}

class Commit {
  readonly #hot: Statements
  /** The same transaction, for what is done now and then. */
  readonly #trx: Knex.Transaction
  readonly #ids: KeptIds
  readonly #studyGains = new Map<number, Gain & { series: number; received: string }>()
  readonly #seriesGains = new Map<number, Gain>()
  readonly #studiesWithNewSeries = new Set<number>()
  /** Instances that were rejected before they came. */
  #rejected: ReadonlySet<string> = new Set()

  constructor(hot: Statements, trx: Knex.Transaction, ids: KeptIds) {
    this.#hot = hot
    this.#trx = trx
    this.#ids = ids
  }

  async run(instances: readonly InstanceRows[]): Promise<RecordOutcome[]> {
    const served = await this.#served(instances)
    const destroyed = await destroyedCopies(
      this.#trx,
      instances.map(({ copy }) => copy),
    )
    const uids = instances.map(({ copy }) => copy.uid)
    const some = await hasRejections(this.#trx)
    if (some) this.#rejected = await rejectedAmong(this.#trx, uids)
    const rows: Row[] = []
    const owing: CopyId[] = []
    const changes: Omit<Change, 'seq'>[] = []
    const outcomes: RecordOutcome[] = []
    for (const instance of instances) {
      const { uid, sha256 } = instance.copy
      if (instance.owed) owing.push({ sopInstanceUid: uid, sha256 })
      const before = served.get(uid)
      if (destroyed.has(`${uid} ${sha256}`)) {
        outcomes.push('destroyed')
      } else if (before === undefined) {
        rows.push(await this.#instanceRow(instance))
        served.set(uid, sha256)
        changes.push(changeOf('instance_stored', instance))
        if (this.#isRejected(instance)) changes.push(changeOf('instance_hidden', instance))
        outcomes.push('stored')
      } else if (instance.servedThere && sha256 < before) {
        await this.#insert('instances', rows.splice(0))
        await unserve(this.#trx, uid, sha256)
        rows.push(await this.#instanceRow(instance))
        served.set(uid, sha256)
        changes.push(changeOf('instance_conflict', instance))
        outcomes.push('conflict')
      } else if (before === sha256 || !(await this.#addConflict(instance, before))) {
        outcomes.push('duplicate')
      } else {
        changes.push(changeOf('instance_conflict', instance))
        outcomes.push('conflict')
      }
    }
    await this.#insert('instances', rows)
    await owe(this.#trx, owing)
    await this.#addGains()
    if (some) for (const study of await this.#rejectedStudies(instances)) await recount(this.#trx, study)
    await addChanges(this.#trx, changes)
    return outcomes
  }

  async #served(instances: readonly InstanceRows[]): Promise<Map<string, string>> {
    const served = new Map<string, string>()
    for (const some of inGroups(instances)) {
      const rows = await this.#hot.all<{ uid: string; sha256: string }>(
        `SELECT uid, sha256 FROM instances WHERE uid IN (${marksFor(some.length)})`,
        some.map(({ copy }) => copy.uid),
      )
      for (const { uid, sha256 } of rows) served.set(uid, sha256)
    }
    return served
  }

  async #instanceRow(instance: InstanceRows): Promise<Row> {
    const { size_bytes, received } = instance.copy
    const source = await this.#source(instance)
    const study = await this.#study(instance)
    const series = await this.#series(instance, study)
    const ofSeries = this.#seriesGains.get(series) ?? { instances: 0, bytes: 0 }
    this.#seriesGains.set(series, { instances: ofSeries.instances + 1, bytes: ofSeries.bytes + size_bytes })
    const ofStudy = this.#studyGain(study)
    ofStudy.instances += 1
    ofStudy.bytes += size_bytes
    if (received > ofStudy.received) ofStudy.received = received
    return { study, series, source, ...instance.copy, ...instance.instance, hidden: this.#isRejected(instance) }
  }

  #isRejected({ studyUid, copy }: InstanceRows): boolean {
    return this.#rejected.has(`${studyUid} ${copy.uid}`)
  }

  /** Their gains are not what is to be counted. */
  #rejectedStudies(instances: readonly InstanceRows[]): Promise<number[]> {
    const uids = [...new Set(instances.map(({ studyUid }) => studyUid))]
    const rejected = this.#trx('rejections').whereIn('study_uid', uids).select('study_uid')
    return this.#trx('studies').whereIn('uid', rejected).pluck('id')
  }

  #studyGain(study: number) {
    const gain = this.#studyGains.get(study) ?? { instances: 0, bytes: 0, series: 0, received: '' }
    this.#studyGains.set(study, gain)
    return gain
  }

  /** False when these bytes are already among the conflicting copies. */
  async #addConflict({ copy, ...instance }: InstanceRows, served_sha256: string): Promise<boolean> {
    const key = { uid: copy.uid, sha256: copy.sha256 }
    if ((await this.#idIn('conflicts', key)) !== undefined) return false
    const source = await this.#source(instance)
    const { studyUid: study_uid, seriesUid: series_uid } = instance
    await this.#insert('conflicts', [{ study_uid, series_uid, ...copy, source, served_sha256 }])
    return true
  }

  #source({ source }: Pick<InstanceRows, 'source'>): Promise<number> {
    const { protocol, name, address } = source
    return this.#ids.of('source', [protocol, name, address].join('\n'), () => this.#idOf('sources', source, source))
  }

  #study(instance: InstanceRows): Promise<number> {
    return this.#ids.of('study', instance.studyUid, async () => {
      const known = await this.#idIn('studies', { uid: instance.studyUid })
      if (known !== undefined) return known
      const { patient, study } = upperOf(instance)
      const patientId = await this.#idOf('patients', { identity: patient.identity }, patient)
      const id = await this.#idOf('studies', { uid: instance.studyUid }, { ...study, patient: patientId })
      const { received: at } = instance.copy
      await layOverNewStudy(this.#trx, { id, uid: instance.studyUid, at, patientId, patient })
      return id
    })
  }

  #series(instance: InstanceRows, study: number): Promise<number> {
    return this.#ids.of('series', `${study} ${instance.seriesUid}`, async () => {
      const key = { study, uid: instance.seriesUid }
      const known = await this.#idIn('series', key)
      if (known !== undefined) return known
      this.#studyGain(study).series += 1
      this.#studiesWithNewSeries.add(study)
      const id = await this.#idOf('series', key, { ...upperOf(instance).series, study })
      await layOverNewSeries(this.#trx, { id, uid: instance.seriesUid, at: instance.copy.received })
      return id
    })
  }

  async #idOf(table: string, key: Row, row: Row): Promise<number> {
    const known = await this.#idIn(table, key)
    if (known !== undefined) return known
    const sql = `${insertInto(table, Object.keys(row))} RETURNING id`
    const [inserted] = await this.#hot.all<{ id: number }>(sql, Object.values(row))
    return (inserted as { id: number }).id
  }

  async #idIn(table: string, key: Row): Promise<number | undefined> {
    const where = Object.keys(key).map((column) => `"${column}" = ?`)
    const sql = `SELECT id FROM ${table} WHERE ${where.join(' AND ')} LIMIT 1`
    const [found] = await this.#hot.all<{ id: number }>(sql, Object.values(key))
    return found?.id
  }

  async #addGains(): Promise<void> {
    for (const [id, { instances, bytes }] of this.#seriesGains) {
      await this.#hot.all('UPDATE series SET instance_count = instance_count + ?, bytes = bytes + ? WHERE id = ?', [
        instances,
        bytes,
        id,
      ])
    }
    for (const [id, { instances, bytes, series, received }] of this.#studyGains) {
      await this.#hot.all(
        `UPDATE studies SET instance_count = instance_count + ?, bytes = bytes + ?, series_count = series_count + ?,
           last_received = CASE WHEN ? = '' THEN last_received ELSE ? END WHERE id = ?`,
        [instances, bytes, series, received, received, id],
      )
      if (this.#studiesWithNewSeries.has(id)) {
        await this.#hot.all('UPDATE studies SET modalities = ? WHERE id = ?', [await this.#modalities(id), id])
      }
    }
  }

  async #modalities(study: number): Promise<string> {
    const rows = await this.#hot.all<{ modality: string }>(
      `SELECT DISTINCT modality FROM series WHERE study = ? AND modality <> '' ORDER BY modality`,
      [study],
    )
    return rows.length === 0 ? '' : `\\${rows.map(({ modality }) => modality).join('\\')}\\`
  }

  /** All rows have the same columns. */
  async #insert(table: string, rows: readonly Row[]): Promise<void> {
    for (const some of inGroups(rows)) {
      const columns = Object.keys(some[0] as Row)
      const values = some.flatMap((row) => columns.map((column) => row[column] as Row[string]))
      await this.#hot.all(insertInto(table, columns, some.length), values)
    }
  }
}

function* inGroups<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let at = 0; at < items.length; at += ROWS_PER_STATEMENT) yield items.slice(at, at + ROWS_PER_STATEMENT)
}

/** Left out by the sender where it took study and series for known; it sends them when told so. */
function upperOf({ upper, studyUid }: InstanceRows): Upper {
  if (!upper) throw new Error(`study ${studyUid} or its series is not in the catalogue`)
  return upper
}

function changeOf(kind: Change['kind'], { studyUid, seriesUid, copy }: InstanceRows): Omit<Change, 'seq'> {
  return { kind, at: copy.received, studyUid, seriesUid, sopInstanceUid: copy.uid, sha256: copy.sha256 }
}

import type { Knex } from 'knex'
import type { Change, RecordOutcome } from '../ports.ts'
import { addChanges } from './feed.ts'
import type { KeptIds } from './kept-ids.ts'
import { layOverNewSeries, layOverNewStudy } from './overlay/lay.ts'
import { hasRejections, recount, rejectedAmong } from './overlay/visibility.ts'
import type { InstanceRows } from './rows.ts'

/** SQLite takes 32,766 parameters a statement; the widest row has some 20. */
const ROWS_PER_INSERT = 200

type Upper = NonNullable<InstanceRows['upper']>

interface Gain {
  instances: number
  bytes: number
}

/** Writes instances in one transaction; all of them or none. */
export async function commit(knex: Knex, ids: KeptIds, instances: readonly InstanceRows[]): Promise<RecordOutcome[]> {
  try {
    const outcomes = await knex.transaction((trx) => new Commit(trx, ids).run(instances))
    ids.committed()
    return outcomes
  } catch (error) {
    ids.forget()
    throw error
  }
}

class Commit {
  readonly #trx: Knex.Transaction
  readonly #ids: KeptIds
  readonly #studyGains = new Map<number, Gain & { series: number; received: string }>()
  readonly #seriesGains = new Map<number, Gain>()
  readonly #studiesWithNewSeries = new Set<number>()
  /** Instances that were rejected before they came. */
  #rejected: ReadonlySet<string> = new Set()

  constructor(trx: Knex.Transaction, ids: KeptIds) {
    this.#trx = trx
    this.#ids = ids
  }

  async run(instances: readonly InstanceRows[]): Promise<RecordOutcome[]> {
    const served = await this.#served(instances)
    const uids = instances.map(({ copy }) => copy.uid)
    const some = await hasRejections(this.#trx)
    if (some) this.#rejected = await rejectedAmong(this.#trx, uids)
    const rows: object[] = []
    const changes: Omit<Change, 'seq'>[] = []
    const outcomes: RecordOutcome[] = []
    for (const instance of instances) {
      const { uid, sha256 } = instance.copy
      const before = served.get(uid)
      if (before === undefined) {
        rows.push(await this.#instanceRow(instance))
        served.set(uid, sha256)
        changes.push(changeOf('instance_stored', instance))
        if (this.#isRejected(instance)) changes.push(changeOf('instance_hidden', instance))
        outcomes.push('stored')
      } else if (before === sha256 || !(await this.#addConflict(instance, before))) {
        outcomes.push('duplicate')
      } else {
        changes.push(changeOf('instance_conflict', instance))
        outcomes.push('conflict')
      }
    }
    await this.#insert('instances', rows)
    await this.#addGains()
    if (some) for (const study of await this.#rejectedStudies(instances)) await recount(this.#trx, study)
    await addChanges(this.#trx, changes)
    return outcomes
  }

  async #served(instances: readonly InstanceRows[]): Promise<Map<string, string>> {
    const uids = instances.map(({ copy }) => copy.uid)
    const rows = await this.#trx('instances')
      .whereIn('uid', uids)
      .select<{ uid: string; sha256: string }[]>('uid', 'sha256')
    return new Map(rows.map(({ uid, sha256 }) => [uid, sha256]))
  }

  async #instanceRow(instance: InstanceRows): Promise<object> {
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
    if (await this.#trx('conflicts').where(key).first('id')) return false
    const source = await this.#source(instance)
    const { studyUid: study_uid, seriesUid: series_uid } = instance
    await this.#trx('conflicts').insert({ study_uid, series_uid, ...copy, source, served_sha256 })
    return true
  }

  #source({ source }: Pick<InstanceRows, 'source'>): Promise<number> {
    const { protocol, name, address } = source
    return this.#ids.of('source', [protocol, name, address].join('\n'), () => this.#idOf('sources', source, source))
  }

  #study(instance: InstanceRows): Promise<number> {
    return this.#ids.of('study', instance.studyUid, async () => {
      const known = await this.#trx('studies').where({ uid: instance.studyUid }).first('id')
      if (known) return known.id
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
      const known = await this.#trx('series').where(key).first('id')
      if (known) return known.id
      this.#studyGain(study).series += 1
      this.#studiesWithNewSeries.add(study)
      const id = await this.#idOf('series', key, { ...upperOf(instance).series, study })
      await layOverNewSeries(this.#trx, { id, uid: instance.seriesUid, at: instance.copy.received })
      return id
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

  async #insert(table: string, rows: readonly object[]): Promise<void> {
    for (let at = 0; at < rows.length; at += ROWS_PER_INSERT) {
      await this.#trx(table).insert(rows.slice(at, at + ROWS_PER_INSERT))
    }
  }
}

/** Left out by the sender where it took study and series for known; it sends them when told so. */
function upperOf({ upper, studyUid }: InstanceRows): Upper {
  if (!upper) throw new Error(`study ${studyUid} or its series is not in the catalogue`)
  return upper
}

function increments(trx: Knex.Transaction, by: Record<string, number>): Record<string, Knex.Raw> {
  return Object.fromEntries(Object.entries(by).map(([column, n]) => [column, trx.raw('?? + ?', [column, n])]))
}

function changeOf(kind: Change['kind'], { studyUid, seriesUid, copy }: InstanceRows): Omit<Change, 'seq'> {
  return { kind, at: copy.received, studyUid, seriesUid, sopInstanceUid: copy.uid, sha256: copy.sha256 }
}

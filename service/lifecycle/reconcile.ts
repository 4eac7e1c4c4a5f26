import type { ObjectStat } from '../../storage-adapters/contract/adapter.ts'
import { isStorageError } from '../../storage-adapters/contract/errors.ts'
import { IDENTITY_KEY } from '../../storage-adapters/contract/identity.ts'
import type { CataloguePacks, Pack } from '../catalogue/ports.ts'
import { SYSTEM } from '../events/event.ts'
import type { RecordEvents } from '../events/ports.ts'
import { parsePackKey } from '../packing/keys.ts'
import type { Stores } from '../stores/ports.ts'
import type { Copies } from './copies.ts'
import { type Matched, merge } from './merge.ts'
import type { ReportFile } from './report-file.ts'
import type { Tiers } from './tiers/tiers.ts'

const PAGE = 500
/** Findings that are written together. */
const FINDINGS_AT_ONCE = 200
/** What is younger may be a pack that is being sealed or moved: it is stored before the catalogue learns of it. */
const YOUNG_MS = 15 * 60_000
const FORMAT_TEXT = /^storage-format(-[0-9a-f]{16})?\.md$/

/**
 * `pack_unknown`, `copy_unknown`, `foreign`: objects without an entry. `copy_missing`, `wrong_size`, `store_unknown`: entries
 * without their object. `too_few`: a pack that fewer stores hold than wanted. `young`: an object that may be being recorded
 * just now; nothing is wrong with it. `store_unreadable`: nothing can be said of the store.
 */
export type ReconcileKind =
  | 'pack_unknown'
  | 'copy_unknown'
  | 'foreign'
  | 'copy_missing'
  | 'wrong_size'
  | 'store_unknown'
  | 'too_few'
  | 'young'
  | 'store_unreadable'

export interface ReconcileFinding {
  kind: ReconcileKind
  store: string
  key: string
  sizeBytes: number | null
  /** What it is, and what to do about it. */
  why: string
  /** What was done about it; empty where nothing was. */
  done: string
}

export interface ReconcileReport {
  state: 'running' | 'done' | 'stopped'
  apply: boolean
  /** Objects and entries that were looked at. */
  objects: number
  packs: number
  copies: number
  findings: Record<ReconcileKind, number>
  /** Findings that something was done about. */
  applied: number
  trouble: string | null
  startedAt: string
  endedAt: string | null
}

export interface ReconcilerOptions {
  catalogue: Pick<CataloguePacks, 'packsByKey' | 'packByKey' | 'drainingStores'>
  stores: Stores
  copies: Pick<Copies, 'check' | 'disown'>
  events: RecordEvents
  tiers: Pick<Tiers, 'copiesOf'>
  /** Makes further copies of packs that have too few. */
  repair(): Promise<void>
  findings: ReportFile
  warn(message: string, details: object): void
}

/**
 * Lists every store against the catalogue and explains each difference. Applied, it records copies that were read back whole
 * and that the catalogue didn't know, and has further copies made of packs whose copy is gone. It frees nothing.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions
  #report: ReconcileReport | undefined
  #running: Promise<void> | undefined
  #stopped = false
  #needsRepair = false
  #unwritten: ReconcileFinding[] = []

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** Of the run that is under way, or the last one. */
  get report(): ReconcileReport | undefined {
    return this.#report
  }

  get findings(): Pick<ReportFile, 'page' | 'exists'> {
    return this.#options.findings
  }

  /** One that is under way goes on as it is. */
  async start(apply: boolean): Promise<ReconcileReport> {
    if (!this.#running) {
      const report = newReport(apply)
      this.#report = report
      this.#needsRepair = false
      this.#running = this.#run(report).finally(() => {
        this.#running = undefined
      })
    }
    return this.#report as ReconcileReport
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async settled(): Promise<void> {
    await this.#running
  }

  async #run(report: ReconcileReport): Promise<void> {
    const { findings, events, repair, warn } = this.#options
    try {
      this.#unwritten = []
      await findings.begin()
      await this.#compare(report)
      await this.#write()
      if (this.#needsRepair && !this.#stopped) await repair()
      const { apply, objects, packs, copies, applied } = report
      if (!this.#stopped) {
        const data = { apply, objects, packs, copies, applied, findings: { ...report.findings } }
        await events.append({ kind: 'store.reconciled', actor: SYSTEM, subject: {}, data })
      }
      report.state = this.#stopped ? 'stopped' : 'done'
    } catch (error) {
      report.trouble = (error as Error).message
      report.state = 'stopped'
      warn('reconciling was broken off', { reason: report.trouble })
    }
    report.endedAt = new Date().toISOString()
  }

  async #compare(report: ReconcileReport): Promise<void> {
    const { stores, catalogue } = this.#options
    const unreadable = new Map<string, Error>()
    const matched = merge({
      packs: (afterKey) => catalogue.packsByKey(afterKey, PAGE),
      listings: stores.all.map(({ id, adapter }) => ({ store: id, objects: adapter.list() })),
      failed: (store, error) => unreadable.set(store, error),
    })
    for await (const one of matched) {
      if (this.#stopped) return
      report.objects += one.objects.size
      if (one.pack) report.packs += 1
      for (const [store, object] of one.objects) await this.#object(report, one, store, object)
      if (one.pack) await this.#entries(report, one.pack, one.objects, unreadable)
    }
    for (const [store, error] of unreadable) {
      const why = `the store could not be listed to its end, so nothing is said of what it lacks: ${error.message}`
      await this.#find(report, { kind: 'store_unreadable', store, key: '', sizeBytes: null, why, done: '' })
    }
  }

  /** An object that the catalogue doesn't speak of. */
  async #object(report: ReconcileReport, { key, pack }: Matched, store: string, object: ObjectStat): Promise<void> {
    if (key === IDENTITY_KEY || FORMAT_TEXT.test(key)) return
    if (pack?.copies.some((copy) => copy.store === store)) return
    const finding = { store, key, sizeBytes: object.sizeBytes, done: '' }
    const name = parsePackKey(key)
    if (!name) {
      const why = 'no pack of this archive: somebody else put it here, and Firn leaves it alone'
      return this.#find(report, { ...finding, kind: 'foreign', why })
    }
    // What was recorded since the catalogue's page was read.
    const now = await this.#options.catalogue.packByKey(key)
    if (now?.copies.some((copy) => copy.store === store)) return
    if (object.modifiedAt && object.modifiedAt.getTime() > Date.parse(report.startedAt) - YOUNG_MS) {
      const why = 'stored within the last quarter of an hour: it may be being recorded just now; look again later'
      return this.#find(report, { ...finding, kind: 'young', why })
    }
    if (!now) {
      const why = `a pack of study ${name.studyUid} that the catalogue does not know: another catalogue recorded it, or its study was destroyed; \`firn rebuild\` takes in what is intact`
      return this.#find(report, { ...finding, kind: 'pack_unknown', why })
    }
    return this.#unknownCopy(report, now, finding)
  }

  async #unknownCopy(
    report: ReconcileReport,
    pack: Pack,
    finding: Omit<ReconcileFinding, 'kind' | 'why'>,
  ): Promise<void> {
    const { catalogue, copies } = this.#options
    const { store } = finding
    const said = 'a copy that the catalogue does not count'
    if ((await catalogue.drainingStores()).has(store)) {
      const why = `${said}, in a store that is being emptied: the drain frees it`
      return this.#find(report, { ...finding, kind: 'copy_unknown', why })
    }
    if (!report.apply) {
      const why = `${said}: put here from elsewhere, left by a crash, or set aside as damaged; --apply reads it and counts it if it is whole`
      return this.#find(report, { ...finding, kind: 'copy_unknown', why })
    }
    // Reading it back records it where it is whole.
    const state = await copies.check(pack, store)
    const done = state === 'intact' ? 'read back whole, and counted' : ''
    const why = state === 'intact' ? said : `${said}, because it is ${state}; it stays as it is`
    await this.#find(report, { ...finding, kind: 'copy_unknown', why, done })
  }

  /** Copies that the catalogue speaks of. */
  async #entries(
    report: ReconcileReport,
    pack: Pack,
    objects: ReadonlyMap<string, ObjectStat>,
    unreadable: ReadonlyMap<string, Error>,
  ): Promise<void> {
    const { stores, tiers, catalogue } = this.#options
    const copiesWanted = tiers.copiesOf(pack)
    for (const { store } of pack.copies) {
      report.copies += 1
      const object = objects.get(store)
      if (object?.sizeBytes === pack.sizeBytes || unreadable.has(store)) continue
      if (!stores.get(store)) {
        const why =
          'the catalogue counts a copy in a store that is not configured; configure it, or let a scrub make others'
        await this.#find(report, { kind: 'store_unknown', store, key: pack.key, sizeBytes: null, why, done: '' })
      } else await this.#badCopy(report, pack, store)
    }
    if (pack.copies.length >= copiesWanted) return
    const now = await catalogue.packByKey(pack.key)
    if (!now || now.copies.length >= copiesWanted) return
    const done = report.apply ? 'further copies are being made' : ''
    if (report.apply) this.#needsRepair = true
    const why = `${now.copies.length} stores hold it, ${copiesWanted} are wanted (sealing.copies)`
    await this.#find(report, { kind: 'too_few', store: '', key: pack.key, sizeBytes: pack.sizeBytes, why, done })
  }

  /** The listing may be older than the copy, or late: the store is asked for the object itself. */
  async #badCopy(report: ReconcileReport, listed: Pack, store: string): Promise<void> {
    const { catalogue, stores } = this.#options
    const pack = await catalogue.packByKey(listed.key)
    if (!pack?.copies.some((copy) => copy.store === store)) return
    const stat = await stores
      .get(store)
      ?.adapter.stat(pack.key)
      .catch((error: Error) => error)
    if (stat instanceof Error && !isStorageError(stat, 'not_found')) {
      return this.#find(report, {
        kind: 'store_unreadable',
        store,
        key: pack.key,
        sizeBytes: null,
        why: `the store could not be asked for it: ${stat.message}`,
        done: '',
      })
    }
    const found = stat instanceof Error ? undefined : stat
    if (found?.sizeBytes === pack.sizeBytes) return
    const kind = found ? 'wrong_size' : 'copy_missing'
    const what = found ? `it has ${found.sizeBytes} bytes instead of ${pack.sizeBytes}` : 'it is not there'
    await this.#find(report, {
      kind,
      store,
      key: pack.key,
      sizeBytes: found?.sizeBytes ?? null,
      ...(await this.#giveUp(report, pack, store, what)),
    })
  }

  /** A copy that is no copy is counted no longer, if another one is whole: then a further one is made of that. */
  async #giveUp(
    report: ReconcileReport,
    pack: Pack,
    store: string,
    what: string,
  ): Promise<{ why: string; done: string }> {
    const { copies } = this.#options
    if (!report.apply) {
      return {
        why: `the catalogue counts a copy here, and ${what}; --apply has another one made where there is one to make it of`,
        done: '',
      }
    }
    for (const other of pack.copies) {
      if (other.store === store || (await copies.check(pack, other.store)) !== 'intact') continue
      await copies.disown(pack, store)
      this.#needsRepair = true
      return {
        why: `the catalogue counted a copy here, and ${what}`,
        done: `no longer counted; made anew from ${other.store}`,
      }
    }
    return { why: `the catalogue counts a copy here, and ${what}; no other store has it whole`, done: '' }
  }

  async #find(report: ReconcileReport, finding: ReconcileFinding): Promise<void> {
    report.findings[finding.kind] += 1
    if (finding.done !== '') report.applied += 1
    this.#unwritten.push(finding)
    if (this.#unwritten.length >= FINDINGS_AT_ONCE) await this.#write()
  }

  async #write(): Promise<void> {
    await this.#options.findings.append(...this.#unwritten.splice(0))
  }
}

function newReport(apply: boolean): ReconcileReport {
  return {
    state: 'running',
    apply,
    objects: 0,
    packs: 0,
    copies: 0,
    findings: {
      pack_unknown: 0,
      copy_unknown: 0,
      foreign: 0,
      copy_missing: 0,
      wrong_size: 0,
      store_unknown: 0,
      too_few: 0,
      young: 0,
      store_unreadable: 0,
    },
    applied: 0,
    trouble: null,
    startedAt: new Date().toISOString(),
    endedAt: null,
  }
}

import type { CataloguePacks, Pack } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import { SYSTEM } from '../events/event.ts'
import type { RecordEvents } from '../events/ports.ts'
import { parsePackKey } from '../packing/keys.ts'
import type { Stores } from '../stores/ports.ts'
import type { Copies } from './copies.ts'
import { DrainList } from './drain-list.ts'
import type { Tiers } from './tiers/tiers.ts'

const PAGE = 100
const REASONS_MAX = 20

export interface DrainerOptions {
  catalogue: Pick<CataloguePacks, 'packsIn' | 'pack' | 'setDraining' | 'drainingStores' | 'holdings' | 'packByKey'>
  stores: Stores
  copies: Copies
  events: RecordEvents
  tiers: Tiers
  /** Folder for the lists of what was moved. */
  reports: string
  warn(message: string, details: object): void
}

export interface DrainReport {
  store: string
  state: 'running' | 'done' | 'stopped'
  /** Of the store when it began. */
  packs: number
  bytes: number
  moved: number
  movedBytes: number
  /** Packs that stay, and why; the first ones only. */
  stayed: number
  reasons: string[]
  /** Objects in the store that the catalogue doesn't know. They stay. */
  unknown: number
  /** SHA-256 of the list of what was moved, once it is at its end. */
  listSha256: string | null
  startedAt: string
  endedAt: string | null
}

/**
 * Empties a store while everything goes on: each pack gets as many copies elsewhere as wanted, read back, before the one
 * here is freed. Readers follow at once. Broken off at any point it goes on where it was: what the catalogue says is in
 * the store is what is left to do.
 */
export class Drainer {
  readonly #options: DrainerOptions
  readonly #reports = new Map<string, DrainReport>()
  readonly #running = new Map<string, Promise<void>>()
  #stopped = false

  constructor(options: DrainerOptions) {
    this.#options = options
  }

  report(store: string): DrainReport | undefined {
    return this.#reports.get(store)
  }

  /** What was moved by the drain that is under way, or the last one: a line for each pack. */
  list(store: string): DrainList {
    return new DrainList(this.#options.reports, store)
  }

  /** What it would do: how much, and whether there is somewhere to go. Throws ArchiveError `not_found`, `invalid_request`. */
  async plan(store: string): Promise<{ packs: number; bytes: number; bytesFreeElsewhere: number | null }> {
    const { stores, catalogue, tiers } = this.#options
    const copiesWanted = tiers.copies(tiers.ofStore(store) ?? tiers.first)
    if (!stores.get(store)) throw new ArchiveError('not_found', `no store is called ${store}`)
    const draining = await catalogue.drainingStores()
    const others = stores.all.filter(({ id }) => id !== store && !draining.has(id))
    if (others.length < copiesWanted) {
      throw new ArchiveError(
        'invalid_request',
        `${copiesWanted} copies are wanted, and beside ${store} there are ${others.length} stores to move packs to: add one first`,
      )
    }
    const held = (await catalogue.holdings()).find((each) => each.store === store)
    let bytesFree: number | null = 0
    for (const other of others) {
      const capacity = await other.capacity()
      bytesFree = bytesFree === null || !capacity ? null : bytesFree + capacity.bytesFree
    }
    return { packs: held?.packs ?? 0, bytes: held?.bytes ?? 0, bytesFreeElsewhere: bytesFree }
  }

  /** Begins, or goes on; `report` tells how far it is. Throws as `plan`. */
  async start(store: string): Promise<DrainReport> {
    const { packs, bytes } = await this.plan(store)
    const goesOn = (await this.#options.catalogue.drainingStores()).has(store)
    await this.#options.catalogue.setDraining(store, true)
    if (!this.#running.has(store)) {
      const before = await this.list(store).begin(goesOn)
      const startedAt = new Date().toISOString()
      const report: DrainReport = {
        store,
        state: 'running',
        packs: packs + before.moved,
        bytes: bytes + before.movedBytes,
        ...before,
        stayed: 0,
        reasons: [],
        unknown: 0,
        listSha256: null,
        startedAt,
        endedAt: null,
      }
      this.#reports.set(store, report)
      const work = this.#drain(report).finally(() => this.#running.delete(store))
      this.#running.set(store, work)
    }
    return this.#reports.get(store) as DrainReport
  }

  /** The store gets packs again; what was moved stays where it is. */
  async cancel(store: string): Promise<void> {
    await this.#options.catalogue.setDraining(store, false)
  }

  /** What was under way when the node ended. */
  async resume(): Promise<void> {
    for (const store of await this.#options.catalogue.drainingStores()) {
      await this.start(store).catch((error: Error) => {
        this.#options.warn('a store could not be drained on', { store, reason: error.message })
      })
    }
  }

  /** Finishes the packs that it is at. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running.values())
  }

  async settled(store: string): Promise<void> {
    await this.#running.get(store)
  }

  async #drain(report: DrainReport): Promise<void> {
    const { catalogue, events, warn } = this.#options
    const { store } = report
    try {
      for (let after = 0; ; ) {
        const page = await catalogue.packsIn(store, { after, limit: PAGE })
        for (const pack of page) {
          if (this.#stopped || !(await catalogue.drainingStores()).has(store)) return this.#end(report, 'stopped')
          await this.#move(pack, report)
          after = pack.id
        }
        if (page.length < PAGE) break
      }
      if (!this.#stopped) await this.#sweep(report)
      Object.assign(report, await this.list(store).totals())
      report.listSha256 = await this.list(store).digest()
      if (report.stayed === 0) {
        const { moved, movedBytes } = report
        await events.append({
          kind: 'store.drained',
          actor: SYSTEM,
          subject: { store },
          data: { packs: moved, bytes: movedBytes, report: report.listSha256 },
        })
      }
      this.#end(report, 'done')
    } catch (error) {
      warn('draining was broken off', { store, reason: (error as Error).message })
      report.reasons.push((error as Error).message)
      this.#end(report, 'stopped')
    }
  }

  #end(report: DrainReport, state: 'done' | 'stopped'): void {
    report.state = state
    report.endedAt = new Date().toISOString()
  }

  async #move(found: Pack, report: DrainReport): Promise<void> {
    const { copies, catalogue, tiers, warn } = this.#options
    const { store } = report
    const tier = tiers.ofStore(store) ?? tiers.first
    const copiesWanted = tiers.copies(tier)
    try {
      const draining = await catalogue.drainingStores()
      let pack = found
      const elsewhere = () => pack.copies.filter((copy) => !draining.has(copy.store) && copy.store !== store).length
      while (elsewhere() < copiesWanted) {
        await copies.add(pack, draining, { tier, elsewhere: true })
        pack = (await catalogue.pack(found.id)) as Pack
      }
      const to = pack.copies.map((copy) => copy.store).filter((other) => other !== store)
      await this.list(store).moved(pack, to)
      await copies.free(pack, store, copiesWanted, `store ${store} is drained`)
      report.moved += 1
      report.movedBytes += pack.sizeBytes
    } catch (error) {
      const reason = `${found.key}: ${(error as Error).message}`
      warn('a pack stays in a store that is drained', { store, reason })
      report.stayed += 1
      // Where it isn't counted here any more, only bytes were left behind, and the list has it as moved already.
      const now = await catalogue.pack(found.id)
      if (now?.copies.some((copy) => copy.store === store)) await this.list(store).stayed(found, reason)
      if (report.reasons.length < REASONS_MAX) report.reasons.push(reason)
    }
  }

  /** Objects that a crash left between the catalogue's farewell and the removal, and those that it never knew. */
  async #sweep(report: DrainReport): Promise<void> {
    const { stores, catalogue, copies, tiers } = this.#options
    const adapter = stores.get(report.store)?.adapter
    if (!adapter) return
    for await (const { key } of adapter.list({ prefix: 'packs/' })) {
      const pack = parsePackKey(key) && (await catalogue.packByKey(key))
      if (!pack) report.unknown += 1
      else if (!pack.copies.some(({ store }) => store === report.store)) {
        await copies.free(
          pack,
          report.store,
          tiers.copiesOf(pack),
          `left behind when store ${report.store} was drained`,
        )
        await this.list(report.store).swept(
          pack,
          pack.copies.map((copy) => copy.store),
        )
      }
    }
  }
}

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CataloguePacks, Pack } from '../../catalogue/ports.ts'
import type { CatalogueTiers, LookedAt } from '../../catalogue/tier-ports.ts'
import type { MovesConfig } from '../../config/tiers.ts'
import { isArchiveError } from '../../errors.ts'
import { SYSTEM } from '../../events/event.ts'
import type { RecordEvents } from '../../events/ports.ts'
import type { Tier } from '../../stores/ports.ts'
import type { Copies } from '../copies.ts'
import { decide, plusDays } from './rules.ts'
import { rankOf, type Tiers } from './tiers.ts'
import { dayOf } from './watch.ts'

const PAGE = 100
const REASONS_MAX = 20
/** So many packs of one statement are marked to be looked at again. */
const MARKED_AT_ONCE = 10_000
/** A plan counts so many, and says when there are more. */
const PLANNED_MAX = 100_000
const NAMED_MAX = 100
/** When a tier takes nothing, all packs that wait for it need not be told one by one. */
const FULL_PAUSE_MS = 5 * 60_000
const LEFTOVERS_AT_ONCE = 1000
const RULES = 'moves.rules'

export interface MoverOptions {
  catalogue: CatalogueTiers
  packs: Pick<CataloguePacks, 'pack' | 'drainingStores'>
  tiers: Tiers
  copies: Pick<Copies, 'add' | 'free'>
  events: RecordEvents
  config: Pick<MovesConfig, 'rules' | 'bytesPerSecond' | 'everySeconds'>
  warn(message: string, details: object): void
  /** Milliseconds since 1970. */
  now?: () => number
}

export interface MoveReport {
  state: 'running' | 'done' | 'stopped'
  /** Packs whose day had come. */
  looked: number
  moved: number
  movedBytes: number
  /** Packs that could not be moved, and why; the first ones only. They are tried again. */
  stayed: number
  reasons: string[]
  startedAt: string
  endedAt: string | null
}

export interface MovePlan {
  packs: number
  bytes: number
  /** More packs wait to be looked at than a plan counts. */
  more: boolean
  routes: { from: Tier; to: Tier; packs: number; bytes: number }[]
  /** The first ones. */
  moves: { studyUid: string; key: string; sizeBytes: number; from: Tier; to: Tier }[]
}

/**
 * Moves packs to the tier that rules and pins want them in: copies there, each read back, then the ones elsewhere freed
 * under a permit. Broken off anywhere it goes on: a pack's next day is set only when all its copies are where they belong.
 */
export class Mover {
  readonly #options: Required<MoverOptions>
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #report: MoveReport | undefined
  #fullUntil = 0
  readonly #stopping = new AbortController()

  constructor(options: MoverOptions) {
    this.#options = { now: Date.now, ...options }
  }

  /** Of the run that is under way, or the last one that had something to do. */
  get report(): MoveReport | undefined {
    return this.#report
  }

  start(): void {
    void this.run()
    this.#timer = setInterval(() => void this.run(), this.#options.config.everySeconds * 1000).unref()
  }

  /** Finishes the pack that it is at. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    clearInterval(this.#timer)
    await this.#running
  }

  /** Moves all whose time has come. Never rejects: the report tells. */
  run(): Promise<void> {
    this.#running ??= this.#pass().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** As `run`, at once, also where a tier was full a moment ago. */
  begin(): MoveReport {
    this.#fullUntil = 0
    void this.run()
    return this.#report as MoveReport
  }

  /** What a run would do now; nothing is moved. */
  async plan(): Promise<MovePlan> {
    await this.#noticeRules()
    const plan: MovePlan = { packs: 0, bytes: 0, more: false, routes: [], moves: [] }
    let looked = 0
    for await (const facts of this.#due()) {
      looked += 1
      if (looked > PLANNED_MAX) return { ...plan, more: true }
      const { from, to, misplaced } = this.#where(facts)
      if (misplaced.length === 0) continue
      const { studyUid, key, sizeBytes } = facts.pack
      plan.packs += 1
      plan.bytes += sizeBytes
      if (plan.moves.length < NAMED_MAX) plan.moves.push({ studyUid, key, sizeBytes, from, to })
      const route = plan.routes.find((one) => one.from === from && one.to === to)
      if (route) {
        route.packs += 1
        route.bytes += sizeBytes
      } else plan.routes.push({ from, to, packs: 1, bytes: sizeBytes })
    }
    return plan
  }

  get #today(): string {
    return dayOf(this.#options.now())
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted
  }

  async #pass(): Promise<void> {
    const { warn, now } = this.#options
    const report: MoveReport = {
      state: 'running',
      looked: 0,
      moved: 0,
      movedBytes: 0,
      stayed: 0,
      reasons: [],
      startedAt: new Date(now()).toISOString(),
      endedAt: null,
    }
    const before = this.#report
    this.#report = report
    try {
      await this.#sweep()
      await this.#noticeRules()
      if (now() >= this.#fullUntil) await this.#moveDue(report)
    } catch (error) {
      warn('moving packs was broken off; it is taken up again', { reason: (error as Error).message })
      report.reasons.push((error as Error).message)
      report.state = 'stopped'
    }
    if (report.state === 'running') report.state = this.#stopped ? 'stopped' : 'done'
    report.endedAt = new Date(now()).toISOString()
    // A run that found nothing to look at says less than the one before.
    if (report.looked === 0 && report.state === 'done' && before && report.reasons.length === 0) this.#report = before
  }

  /** Removes what a crash, or a store that did not answer, has left of copies that were freed. */
  async #sweep(): Promise<void> {
    const { catalogue, packs, tiers, copies, warn } = this.#options
    for (const leftover of await catalogue.leftovers(LEFTOVERS_AT_ONCE)) {
      if (this.#stopped) return
      const store = tiers.stores.get(leftover.store)
      if (!store || store.trouble !== undefined) continue
      const pack = await packs.pack(leftover.pack)
      if (!pack || pack.copies.some((copy) => copy.store === store.id)) await catalogue.forgetLeftover(leftover)
      else {
        await copies.free(pack, store.id, tiers.copiesOf(pack), 'left behind').catch((error: Error) => {
          warn('what was left behind could not be removed', { store: store.id, key: pack.key, reason: error.message })
        })
      }
    }
  }

  /** Packs whose day has come, page by page by an index. */
  async *#due(): AsyncGenerator<LookedAt> {
    for (let after: { day: string; id: number } | undefined; ; ) {
      const page = await this.#options.catalogue.packsToLook(this.#today, { limit: PAGE, ...(after ? { after } : {}) })
      yield* page
      const last = page.at(-1)
      if (!last || page.length < PAGE) return
      after = { day: last.day, id: last.pack.id }
    }
  }

  async #moveDue(report: MoveReport): Promise<void> {
    const { catalogue, config } = this.#options
    let looks: { pack: number; day: string }[] = []
    const note = async (): Promise<void> => {
      if (looks.length > 0) await catalogue.setNextLooks(looks)
      looks = []
    }
    for await (const facts of this.#due()) {
      if (this.#stopped) break
      report.looked += 1
      const started = performance.now()
      const { misplaced } = this.#where(facts)
      const day = misplaced.length === 0 ? this.#where(facts).nextLook : await this.#attempt(facts, report)
      if (day === 'full') break
      looks.push({ pack: facts.pack.id, day })
      if (misplaced.length > 0 || looks.length >= PAGE) await note()
      if (misplaced.length === 0) continue
      const wantedMs = (facts.pack.sizeBytes / config.bytesPerSecond) * 1000 - (performance.now() - started)
      const { signal } = this.#stopping
      if (wantedMs > 0) await sleep(wantedMs, undefined, { signal }).catch(() => undefined)
    }
    await note()
  }

  /** Where the pack is, where it belongs, and which of its copies are elsewhere: also those that a crash has left. */
  #where(facts: LookedAt) {
    const { tiers, config } = this.#options
    const { pack } = facts
    const from = tiers.of(pack)
    const { tier: to, nextLook } = decide(facts, config.rules, this.#today, { now: from, present: tiers.present })
    const outside = pack.copies.filter(({ store }) => {
      const tier = tiers.ofStore(store)
      return tier !== undefined && tier !== to
    })
    const isElsewhere = from !== to || outside.some(({ store }) => this.#isFaster(store, to))
    return { from, to, nextLook, misplaced: isElsewhere ? outside : [] }
  }

  #isFaster(store: string, than: Tier): boolean {
    const tier = this.#options.tiers.ofStore(store)
    return tier !== undefined && rankOf(tier) < rankOf(than)
  }

  /** When it is to be looked at again; `full` when its tier takes nothing more. */
  async #attempt(facts: LookedAt, report: MoveReport): Promise<string> {
    const { warn, now } = this.#options
    try {
      await this.#move(facts)
      report.moved += 1
      report.movedBytes += facts.pack.sizeBytes
      return this.#where(facts).nextLook
    } catch (error) {
      const reason = `${facts.pack.key}: ${(error as Error).message}`
      warn('a pack could not be moved to its tier', { reason })
      report.stayed += 1
      if (report.reasons.length < REASONS_MAX) report.reasons.push(reason)
      if (!isArchiveError(error, 'out_of_space') && !isArchiveError(error, 'unavailable')) {
        return plusDays(this.#today, 1)
      }
      this.#fullUntil = now() + FULL_PAUSE_MS
      return 'full'
    }
  }

  async #move(facts: LookedAt): Promise<void> {
    const { packs, tiers, copies, events } = this.#options
    const { from, to } = this.#where(facts)
    const wanted = tiers.copies(to)
    let { pack } = facts
    const draining = await packs.drainingStores()
    const there = (): number =>
      pack.copies.filter(({ store }) => tiers.ofStore(store) === to && !draining.has(store)).length
    while (there() < wanted) {
      await copies.add(pack, draining, { tier: to })
      pack = (await packs.pack(pack.id)) as Pack
    }
    for (const { store } of pack.copies) {
      const tier = tiers.ofStore(store)
      if (tier !== undefined && tier !== to) await copies.free(pack, store, wanted, `moved to tier ${to}`)
    }
    if (from === to) return
    const { studyUid: study, sha256, sizeBytes } = pack
    await events.append({
      kind: 'pack.moved',
      actor: SYSTEM,
      subject: { study, pack: sha256 },
      data: { from, to, sizeBytes },
    })
  }

  /** Other rules, or a tier that has got its first store: every pack may have to go somewhere else. */
  async #noticeRules(): Promise<void> {
    const { catalogue, tiers, config } = this.#options
    const text = JSON.stringify([config.rules, tiers.present])
    const digest = createHash('sha256').update(text).digest('hex')
    if ((await catalogue.note(RULES)) === digest) return
    const last = await catalogue.lastPack()
    for (let from = 1; from <= last && !this.#stopped; from += MARKED_AT_ONCE) {
      await catalogue.lookAgain({ from, to: from + MARKED_AT_ONCE - 1 })
    }
    if (!this.#stopped) await catalogue.setNote(RULES, digest)
  }
}

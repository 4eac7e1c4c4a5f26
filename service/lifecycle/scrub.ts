import { setTimeout as sleep } from 'node:timers/promises'
import type { CataloguePacks, Pack } from '../catalogue/ports.ts'
import type { Copies } from './copies.ts'
import type { Tiers } from './tiers/tiers.ts'
import type { Worm } from './worm/worm.ts'

const PAGE = 50
const REASONS_MAX = 20
const TICK_MS = 60 * 60_000

export interface ScrubberOptions {
  catalogue: Pick<CataloguePacks, 'packsToCheck' | 'packsWithFewer' | 'pack'>
  copies: Pick<Copies, 'check' | 'add' | 'disown' | 'free'>
  tiers: Pick<Tiers, 'copiesMax' | 'copiesOf'>
  /** Brings all instances of a pack back from the other site; false where that can't. */
  rescue?(pack: Pack): Promise<boolean>
  /** Where stores lock. */
  worm?: Pick<Worm, 'check' | 'recover'>
  /** Each copy is read again within so long. */
  periodMs: number
  /** What background reading takes of the stores at the most. */
  bytesPerSecond: number
  warn(message: string, details: object): void
}

export interface ScrubReport {
  state: 'running' | 'done' | 'stopped'
  intact: number
  bytes: number
  /** Damaged or missing copies that another copy made good. */
  repaired: number
  /** Copies made of packs that fewer stores held than wanted: a repair had nowhere to go, or the number was raised. */
  added: number
  /** Damaged copies without an intact other one. They stay, and what is intact in them is served. */
  lost: number
  /** Locks that were missing, shorter or weaker than before, and were set again; deletions that were taken back. */
  relocked: number
  /** Copies in stores that could not be asked. They are looked at next time. */
  unreadable: number
  /** What was found, the first ones only. */
  findings: string[]
  startedAt: string
  endedAt: string | null
}

/**
 * Reads every copy of every pack again within a period, compares it with its digest, and makes good what is damaged or
 * missing from another copy. Nothing is papered over: each finding is an event, and what can't be made good is named until it is.
 */
export class Scrubber {
  readonly #options: ScrubberOptions
  #timer: NodeJS.Timeout | undefined
  #report: ScrubReport | undefined
  #running: Promise<void> | undefined
  readonly #stopping = new AbortController()

  constructor(options: ScrubberOptions) {
    this.#options = options
  }

  /** Of the run that is under way, or the last one. */
  get report(): ScrubReport | undefined {
    return this.#report
  }

  /** Undefined when nothing was found that could not be made good. */
  get trouble(): string | undefined {
    const lost = this.#report?.lost ?? 0
    return lost > 0 ? `${lost} packs are damaged and no store has them whole: ${this.#report?.findings[0]}` : undefined
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted
  }

  start(): void {
    this.#timer = setInterval(() => void this.due(), TICK_MS).unref()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearInterval(this.#timer)
    await this.#running
  }

  /** Reads what was not read for the period, at the pace that is set. */
  due(): Promise<void> {
    return this.#run(Date.now() - this.#options.periodMs, this.#options.bytesPerSecond)
  }

  /** Reads everything, as fast as the stores give it; one that is under way goes on as it is. */
  now(): ScrubReport {
    void this.#run(Date.now(), Number.POSITIVE_INFINITY)
    return this.#report as ScrubReport
  }

  #run(verifiedBeforeMs: number, bytesPerSecond: number): Promise<void> {
    if (this.#running) return this.#running
    this.#report = {
      state: 'running',
      intact: 0,
      bytes: 0,
      repaired: 0,
      added: 0,
      lost: 0,
      relocked: 0,
      unreadable: 0,
      findings: [],
      startedAt: new Date().toISOString(),
      endedAt: null,
    }
    this.#running = this.#pass(this.#report, new Date(verifiedBeforeMs).toISOString(), bytesPerSecond).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #pass(report: ScrubReport, verifiedBefore: string, bytesPerSecond: number): Promise<void> {
    const { catalogue, warn } = this.#options
    /** What stays on the list after it was looked at. */
    const seen = new Set<string>()
    try {
      for (let more = true; more && !this.#stopped; ) {
        more = false
        for (const { pack, store } of await catalogue.packsToCheck(verifiedBefore, PAGE + seen.size)) {
          const name = `${store} ${pack.key}`
          if (seen.has(name)) continue
          if (this.#stopped) break
          more = true
          seen.add(name)
          const started = performance.now()
          if (await this.#attempt(pack, report, () => this.#copy(pack, store, report))) seen.delete(name)
          const spentMs = performance.now() - started
          const wantedMs = (pack.sizeBytes / bytesPerSecond) * 1000
          if (wantedMs > spentMs) await this.#pause(wantedMs - spentMs)
        }
      }
      await this.#addMissing(report)
    } catch (error) {
      warn('checking packs was broken off; it is taken up again', { reason: (error as Error).message })
      report.findings.push((error as Error).message)
      report.state = 'stopped'
    }
    if (report.state === 'running') report.state = this.#stopped ? 'stopped' : 'done'
    report.endedAt = new Date().toISOString()
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }

  /** What goes wrong with one pack must not keep the others from being looked at. */
  async #attempt(pack: Pack, report: ScrubReport, act: () => Promise<boolean>): Promise<boolean> {
    try {
      return await act()
    } catch (error) {
      const reason = (error as Error).message
      this.#options.warn('a pack could not be made good', { key: pack.key, reason })
      if (report.findings.length < REASONS_MAX) report.findings.push(`${pack.key}: ${reason}`)
      return false
    }
  }

  async #addMissing(report: ScrubReport): Promise<void> {
    const { catalogue, tiers } = this.#options
    for (let after = 0; !this.#stopped; ) {
      const page = await catalogue.packsWithFewer(tiers.copiesMax, { after, limit: PAGE })
      for (const pack of page) {
        if (this.#stopped) return
        after = pack.id
        await this.#attempt(pack, report, () => this.#complete(pack, report))
      }
      if (page.length < PAGE) return
    }
  }

  async #complete(found: Pack, report: ScrubReport): Promise<boolean> {
    const { catalogue, copies, tiers } = this.#options
    for (let pack = found; pack.copies.length > 0 && pack.copies.length < tiers.copiesOf(pack); ) {
      await copies.add(pack, new Set())
      report.added += 1
      pack = (await catalogue.pack(found.id)) as Pack
    }
    return true
  }

  /** True when the copy is whole, or gone from the list for another reason. */
  async #copy(pack: Pack, store: string, report: ScrubReport): Promise<boolean> {
    const { copies, worm } = this.#options
    let state = await copies.check(pack, store)
    if (state === 'damaged' && (await worm?.recover(pack, store))) {
      report.relocked += 1
      this.#find(report, `${pack.key} in store ${store} had been deleted by somebody else, and was brought back`)
      state = await copies.check(pack, store)
    }
    if (state === 'intact') {
      report.intact += 1
      report.bytes += pack.sizeBytes
      const drift = await worm?.check(pack, store)
      if (drift !== undefined) {
        report.relocked += 1
        this.#find(report, `${pack.key} in store ${store}: ${drift}`)
      }
      return true
    }
    if (state === 'unreadable') {
      report.unreadable += 1
      return false
    }
    const repaired = await this.#repair(pack, store)
    report[repaired ? 'repaired' : 'lost'] += 1
    this.#find(report, `${pack.key} in store ${store} is damaged; ${repaired ? 'made good' : 'no store has it whole'}`)
    return repaired
  }

  #find({ findings }: ScrubReport, what: string): void {
    if (findings.length < REASONS_MAX) findings.push(what)
  }

  /** What no store has whole comes from the other site, into the landing, and is sealed anew. */
  async #rescue(pack: Pack): Promise<boolean> {
    const { copies, rescue } = this.#options
    if (!(await rescue?.(pack))) return false
    for (const { store } of pack.copies) await copies.disown(pack, store)
    return true
  }

  /** From another copy, to another store, or where there is none, in the place of the damaged one. */
  async #repair(pack: Pack, store: string): Promise<boolean> {
    const { copies, catalogue, warn } = this.#options
    const others = pack.copies.filter((copy) => copy.store !== store)
    let intact = false
    for (const other of others) intact ||= (await copies.check(pack, other.store)) === 'intact'
    if (!intact) return this.#rescue(pack)
    // Nobody may make a copy of the damaged one, nor be given it.
    await copies.disown(pack, store)
    const whole = (await catalogue.pack(pack.id)) as Pack
    try {
      await copies.add(whole, new Set([store]))
    } catch {
      // The damaged bytes make room for good ones.
      await copies.free(whole, store, 1, 'damaged, and no other store has room').catch((error: Error) => {
        warn('a damaged copy could not be removed', { store, key: pack.key, reason: error.message })
      })
      await copies.add(whole, new Set())
    }
    return true
  }
}

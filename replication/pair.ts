import { type Comparison, compare } from './compare.ts'
import { Health } from './health.ts'
import { judge, PROTOCOL, type Verdict } from './judge.ts'
import { lacking } from './lacking.ts'
import { Mirror } from './mirror.ts'
import {
  type Clock,
  type EventChain,
  type Head,
  type Hello,
  type LocalCopies,
  type PeerChain,
  PeerError,
  type PeerLink,
} from './ports.ts'
import { Resync, type ResyncProgress } from './resync.ts'

/** What a site remembers of the other one; durable when `save` resolves. */
export interface PairMemory {
  readonly site: string | undefined
  readonly name: string | undefined
  readonly removed: readonly string[]
  pairWith(site: string, name: string): Promise<void>
}

export type PairNotice = { notice: 'paired' | 'lost' | 'back' | 'in-sync' | 'fenced'; detail: string }

export interface PairOptions {
  mine: { site: string; name: string; version: string; generation: string; session: string; chain: EventChain }
  memory: PairMemory
  link: PeerLink
  local: LocalCopies
  /** Opens what we have of the other site's log. */
  openPeerChain(site: string): Promise<PeerChain>
  clock: Clock
  isStrict(sourceName: string): boolean
  isBusy(): boolean
  resyncBytesPerSecond: number
  /** For the event log; failures are the callee's. */
  notify(notice: PairNotice): void
  /** This site went back behind what the other one remembers: it must stop serving and rejoin. */
  onFenced(theirs: Head): void
  warn(message: string, details: object): void
}

export interface PairStatus {
  /** `in-sync` only after a comparison that found both sites equal, and nothing that spoke against it since. */
  state: 'in-sync' | 'resyncing' | 'comparing' | 'away' | 'refused' | 'fenced'
  why: string
  peer: { site: string | undefined; name: string | undefined; head: Head | undefined }
  /** How far the other site has our log durably. */
  confirmedHead: Head | undefined
  owed: number
  resync: ResyncProgress
  lastComparison: (Comparison & { equal: boolean }) | undefined
}

const HEARTBEAT_MS = 1000
const AWAY_MS_MAX = 5000
const EVENTS_WAIT_MS = 10_000
const COMPARE_AGAIN_MS = 24 * 3_600_000
const UNEQUAL_PAUSE_MS = 2000
const REFUSED_PAUSE_MS = 60_000

/**
 * One site's half of a pair of equal sites: greets the other, sends it what arrives, pays what is owed, follows its event
 * log, and compares. There is no leader; each half does the same (consistency.md).
 */
export class Pair {
  readonly health: Health
  readonly mirror: Mirror
  readonly #options: PairOptions
  readonly #resync: Resync
  readonly #stopping = new AbortController()
  #chain: PeerChain | undefined
  #theirSession: string | undefined
  #theirGeneration: string | undefined
  #refusal: string | undefined
  #fenced = false
  #confirmed: Head | undefined
  #activity: 'resyncing' | 'comparing' | undefined
  /** Counts everything that speaks against being equal; `#equalAt` is its value when a comparison last found them so. */
  #doubts = 1
  #equalAt = 0
  #lastComparison: PairStatus['lastComparison']
  /** Something was taken here for which the other site wasn't there, and no comparison has been equal since. */
  #parted = false
  #wake: (() => void) | undefined
  #tasks: Promise<unknown> = Promise.resolve()

  constructor(options: PairOptions) {
    this.#options = options
    const { link, local, clock, isBusy, isStrict, resyncBytesPerSecond, warn } = options
    this.health = new Health(clock, (up, why) => this.#onHealth(up, why))
    this.#resync = new Resync({ link, local, clock, isBusy, bytesPerSecond: resyncBytesPerSecond, warn })
    this.mirror = new Mirror({ link, health: this.health, isOpen: () => this.#isOpen(), isStrict, warn })
  }

  /** Greets the other site until `stop`. */
  start(): void {
    this.#tasks = Promise.all([this.#greetAgainAndAgain(), this.#keepEqual(), this.#followEvents()])
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    await this.#tasks
  }

  get inSync(): boolean {
    return this.#isOpen() && this.health.up && this.#equalAt === this.#doubts
  }

  /** Why the other site isn't there; undefined when it is. */
  get trouble(): string | undefined {
    if (this.#fenced) return 'this site went back to an earlier state and has to rejoin'
    return this.#refusal ?? (this.health.up ? undefined : `away: ${this.health.why}`)
  }

  /** Of the other site's storage, as it said last. */
  get theirGeneration(): string | undefined {
    return this.#theirGeneration
  }

  /** The other site may hold less than this one, or more: until the next comparison nobody says that they are equal. */
  doubt({ parted = false } = {}): void {
    if (parted) this.#parted = true
    this.#doubts += 1
    this.#wake?.()
  }

  /** The other site was removed from the pair; a new one may come. */
  forgetPeer(): void {
    this.#chain = undefined
    this.#theirSession = undefined
    this.#theirGeneration = undefined
    this.#refusal = undefined
    this.#confirmed = undefined
    this.#lastComparison = undefined
    this.doubt()
  }

  /** Whether the other site has our log durably up to this event. */
  hasConfirmed(seq: number): boolean {
    return this.#confirmed !== undefined && this.#confirmed.seq >= seq
  }

  async status(): Promise<PairStatus> {
    const { memory, local } = this.#options
    return {
      state: this.#state(),
      why: this.#refusal ?? this.health.why,
      peer: { site: memory.site, name: memory.name, head: this.#chain?.head },
      confirmedHead: this.#confirmed,
      owed: await local.owedCount(),
      resync: this.#resync.progress,
      lastComparison: this.#lastComparison,
    }
  }

  #state(): PairStatus['state'] {
    if (this.#fenced) return 'fenced'
    if (this.#refusal !== undefined) return 'refused'
    if (!this.health.up) return 'away'
    return this.inSync ? 'in-sync' : (this.#activity ?? 'comparing')
  }

  #isOpen(): boolean {
    return !this.#fenced && this.#refusal === undefined && this.#options.memory.site !== undefined
  }

  // --- what the other site asks

  /** Answers a greeting. What it says is judged too, so that both sides know at once. */
  async greeted(theirs: Hello): Promise<Hello> {
    const { site } = this.#options.memory
    // Anybody may call, a site that was removed too. Who answers at our peer's address is found out by our own greeting.
    if (site === undefined || site === theirs.site) await this.#judge(theirs)
    return this.#hello()
  }

  /** Throws PeerError `refused` unless the site that asks is the one this site is paired with, and neither is fenced. */
  assertAdmits(site: string): void {
    const { memory } = this.#options
    if (this.#fenced) throw new PeerError('refused', 'this site is fenced until it has rejoined')
    if (this.#refusal !== undefined) throw new PeerError('refused', this.#refusal)
    if (memory.site !== site) throw new PeerError('refused', `this site is paired with ${memory.site ?? 'nobody'}`)
  }

  /** What a site that went back to an earlier state asks is its own past: it gets that though nothing else. */
  assertIs(site: string): void {
    if (this.#options.memory.site !== site) throw new PeerError('refused', 'this is not the site that is paired here')
  }

  /** The other site says that it has our log durably up to here. */
  confirm(head: Head): void {
    if (!this.#confirmed || head.seq > this.#confirmed.seq) this.#confirmed = head
  }

  // --- greeting

  async #hello(): Promise<Hello> {
    const { mine, memory } = this.#options
    const { site, name, version, generation, session, chain } = mine
    const peer = memory.site === undefined ? undefined : await this.#peerChain(memory.site)
    const sees = peer && memory.site !== undefined ? { site: memory.site, head: peer.head } : null
    return {
      protocol: PROTOCOL,
      version,
      name,
      site,
      generation,
      session,
      head: chain.head,
      parted: this.#parted || !this.health.up,
      sees,
    }
  }

  async #peerChain(site: string): Promise<PeerChain> {
    this.#chain ??= await this.#options.openPeerChain(site)
    return this.#chain
  }

  async #greetAgainAndAgain(): Promise<void> {
    const { clock, link } = this.#options
    const { signal } = this.#stopping
    for (let away = 0; !signal.aborted && !this.#fenced; ) {
      try {
        const theirs = await link.hello(await this.#hello())
        if (signal.aborted) return
        away = 0
        if (await this.#judge(theirs)) this.health.greeted()
        else this.health.failed(this.#refusal ?? 'fenced', { atOnce: true })
      } catch (error) {
        away += 1
        this.health.failed((error as Error).message, { atOnce: away > 2 })
      }
      const ms = this.health.up ? HEARTBEAT_MS : Math.min(AWAY_MS_MAX, HEARTBEAT_MS * 1.5 ** Math.min(away, 5))
      await clock.sleep(ms, signal)
    }
  }

  /** True when all is well. */
  async #judge(theirs: Hello): Promise<boolean> {
    const { mine, memory } = this.#options
    const chain = memory.site === undefined ? undefined : await this.#peerChain(memory.site)
    const verdict = await judge(mine, { site: memory.site, chain, removed: memory.removed }, theirs)
    return this.#act(verdict, theirs)
  }

  async #act(verdict: Verdict, theirs: Hello): Promise<boolean> {
    const { memory, notify, onFenced, warn } = this.#options
    if (verdict.verdict === 'we-are-old') {
      if (!this.#fenced) {
        this.#fenced = true
        notify({ notice: 'fenced', detail: `the other site has this site's log up to ${verdict.theirs.seq}` })
        onFenced(verdict.theirs)
      }
      return false
    }
    if (verdict.verdict === 'they-are-old' || verdict.verdict === 'refused') {
      const why =
        verdict.verdict === 'refused'
          ? verdict.why
          : `it went back to an earlier state, and has to rejoin: ${verdict.why}`
      if (this.#refusal !== why) warn('the other site is not worked with', { why })
      this.#refusal = why
      this.doubt()
      return false
    }
    if (verdict.verdict === 'new') {
      await memory.pairWith(theirs.site, theirs.name)
      notify({ notice: 'paired', detail: `${theirs.name} (${theirs.site})` })
    }
    this.#refusal = undefined
    this.#theirGeneration = theirs.generation
    if (theirs.sees) this.confirm(theirs.sees.head)
    // It may be that only this site believes that all is well.
    if (theirs.parted && this.inSync) this.doubt()
    if (theirs.session !== this.#theirSession) {
      this.#theirSession = theirs.session
      this.doubt()
    }
    return true
  }

  #onHealth(up: boolean, why: string): void {
    this.doubt()
    this.#options.notify(up ? { notice: 'back', detail: '' } : { notice: 'lost', detail: why })
  }

  // --- the other site's events

  async #followEvents(): Promise<void> {
    const { clock, link, memory, warn } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      if (!this.health.up || !this.#isOpen() || memory.site === undefined) {
        await clock.sleep(HEARTBEAT_MS, signal)
        continue
      }
      try {
        const chain = await this.#peerChain(memory.site)
        const lines = await link.events(chain.head.seq, EVENTS_WAIT_MS)
        if (lines.length === 0) continue
        const { outcome } = await chain.import(lines)
        if (outcome === 'appended' || outcome === 'replay') continue
        // The next greeting finds out what it is; until then nothing more is asked.
        warn("the other site's events don't continue what is here", { outcome })
        await clock.sleep(UNEQUAL_PAUSE_MS, signal)
      } catch (error) {
        if (!(error instanceof PeerError))
          warn("the other site's events can't be kept", { reason: (error as Error).message })
        await clock.sleep(HEARTBEAT_MS, signal)
      }
    }
  }

  // --- becoming equal, and proving it

  async #keepEqual(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#stopping
    let comparedAt = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      const isDue = clock.now() - comparedAt > COMPARE_AGAIN_MS
      if (!this.health.up || !this.#isOpen() || (this.inSync && !isDue)) {
        await this.#sleep(HEARTBEAT_MS * 60)
        continue
      }
      try {
        const equal = await this.#pass()
        comparedAt = clock.now()
        if (!equal) await clock.sleep(this.#resync.progress.refused > 0 ? REFUSED_PAUSE_MS : UNEQUAL_PAUSE_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof PeerError && error.code === 'away') this.health.failed(error.message)
        else this.#options.warn('the sites could not be compared', { reason: (error as Error).message })
        await clock.sleep(UNEQUAL_PAUSE_MS, signal)
      } finally {
        this.#activity = undefined
      }
    }
  }

  /** Pays, compares, and says whether both sites are equal. */
  async #pass(): Promise<boolean> {
    const { local, notify } = this.#options
    const { signal } = this.#stopping
    const doubts = this.#doubts
    this.#activity = 'resyncing'
    await this.#resync.run(signal)
    if (signal.aborted) return false
    this.#activity = 'comparing'
    const comparison = await this.compare()
    const equal = comparison.onlyHere + comparison.onlyThere === 0 && (await local.owedCount()) === 0
    this.#lastComparison = { ...comparison, equal }
    if (equal && this.#doubts === doubts && !this.inSync) {
      this.#equalAt = doubts
      this.#parted = false
      notify({ notice: 'in-sync', detail: String(comparison.compared) })
    }
    return equal
  }

  /** Compares now. What only one site has, it owes the other from here on. */
  compare(): Promise<Comparison> {
    const { link, local, clock } = this.#options
    return compare({
      mine: (range) => local.digests(range),
      theirs: (range) => link.digests(range),
      lackedThere: (entries) => link.lacking(entries),
      lackedHere: (entries) => lacking(local, entries),
      onlyHere: (copies) => local.owe(copies),
      onlyThere: (copies) => link.owe(copies),
      clock,
      signal: this.#stopping.signal,
    })
  }

  /** Until so long has passed, or something happened. */
  async #sleep(ms: number): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    await this.#options.clock.sleep(ms, AbortSignal.any([woken.signal, this.#stopping.signal]))
    this.#wake = undefined
  }
}

import { backupOf, type Disk, emptyDisk } from './disk.ts'
import { FILES } from './files.ts'
import { CALM, type Name, Network, other, type Weather } from './network.ts'
import { Broken, Oracle } from './oracle.ts'
import type { Safeguards } from './safeguards.ts'
import { Scheduler } from './scheduler.ts'
import { Site, STRICT } from './site.ts'

const NAMES = ['A', 'B'] as const
const DAY_MS = 86_400_000

/** Two sites, those who send to them, those who run them, and everything that can happen to them. */
export class World {
  readonly scheduler: Scheduler
  readonly oracle: Oracle
  readonly network: Network
  readonly disks: Record<Name, Disk> = { A: emptyDisk('a-1'), B: emptyDisk('b-1') }
  /** The first thing that went wrong. */
  broken: Error | undefined
  readonly #safeguards: Safeguards
  readonly #sites: Record<Name, Site | undefined> = { A: undefined, B: undefined }
  readonly #clocks: Record<Name, number> = { A: 0, B: 0 }
  #backups: { name: Name; disk: Disk }[] = []
  readonly #removed = new Set<string>()
  /** One storage may be lost at a time: not the next one before both were whole again. */
  #mayLose = false
  #starts = 0
  #sayings = 0
  /** Counts what was started for a site, so that an earlier plan for it falls away. */
  readonly #plans: Record<Name, number> = { A: 0, B: 0 }
  #calm = false

  constructor(seed: number, safeguards: Safeguards, keepTrace: boolean) {
    this.#safeguards = safeguards
    this.scheduler = new Scheduler(seed, keepTrace)
    this.network = new Network(this.scheduler, (name) => this.running(name))
    this.oracle = new Oracle({
      now: () => this.scheduler.now,
      disks: this.disks,
      running: (name) => this.running(name),
    })
  }

  running(name: Name): Site | undefined {
    const site = this.#sites[name]
    return site?.alive && site.ready ? site : undefined
  }

  async run(): Promise<void> {
    const { scheduler } = this
    const { random } = scheduler
    for (const name of NAMES) this.#startIn(name, random.below(3000))
    this.#again(() => this.#sendSomething(), 2500)
    this.#again(() => this.#saySomething(), 15_000)
    this.#again(() => this.#somethingHappens(), 12_000)
    await this.#until(30_000 + random.below(150_000), () => false)
    this.#calm = true
    this.network.weather = CALM
    for (const name of NAMES) this.disks[name].full = false
    scheduler.note('calm')
    const end = scheduler.now + 20 * 60_000
    const isAtRest = (): boolean => this.oracle.isWhole && this.#logsAreEqual()
    await this.#until(end, isAtRest)
    if (!this.broken && !isAtRest()) {
      const states = await this.#states()
      this.#guard(() => this.oracle.lookAtTheEnd())
      this.#guard(() => {
        throw new Broken(`not at rest 20 minutes after everything was mended: ${states}`)
      })
    }
    this.#guard(() => this.oracle.lookAtTheEnd())
    this.#guard(() => this.#assertFewCalls())
    for (const name of NAMES) this.#sites[name]?.crash()
  }

  /** Runs second by second, and looks each time. */
  async #until(end: number, isOver: () => boolean): Promise<void> {
    while (this.scheduler.now < end && !this.broken && !isOver()) {
      await this.scheduler.runUntil(Math.min(end, this.scheduler.now + 1000))
      this.#guard(() => this.oracle.look())
      if (this.oracle.isWhole) this.#mayLose = true
      this.#operate()
    }
  }

  #guard(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.broken ??= error as Error
      if (this.broken === error) this.scheduler.note(`BROKEN ${(error as Error).message}`)
    }
  }

  /** At random intervals of so long on average, until calm. */
  #again(what: () => void, everyMs: number): void {
    const { random } = this.scheduler
    this.scheduler.after(random.next() * 2 * everyMs, () => {
      if (this.#calm) return
      what()
      this.#again(what, everyMs)
    })
  }

  // --- sites

  #startIn(name: Name, ms: number): void {
    const plan = ++this.#plans[name]
    this.scheduler.after(ms, () => {
      if (plan === this.#plans[name]) this.#start(name)
    })
  }

  #start(name: Name): void {
    const { scheduler, network } = this
    this.#sites[name]?.crash()
    const start = ++this.#starts
    const site: Site = new Site({
      ...{ name, disk: this.disks[name], scheduler, network, start, safeguards: this.#safeguards },
      clockAheadMs: () => this.#clocks[name],
      onFenced: () => this.#startIn(name, 1000),
      onAdmitted: (from) => {
        this.#guard(() => {
          if (this.#removed.has(from)) throw new Broken(`${name} works with ${from}, which was removed`)
        })
      },
    })
    this.#sites[name] = site
    site.start().catch((error) =>
      this.#guard(() => {
        throw error
      }),
    )
  }

  #crash(name: Name): void {
    this.scheduler.note(`${name} crashes`)
    this.#plans[name] += 1
    this.#sites[name]?.crash()
    this.#sites[name] = undefined
  }

  // --- those who send

  #sendSomething(): void {
    const { random } = this.scheduler
    const file = random.pick(FILES)
    const source = random.next() < 0.2 ? STRICT : 'MODALITY'
    const names: Name[] = random.next() < 0.1 ? ['A', 'B'] : [random.pick(NAMES)]
    for (const name of names) {
      const site = this.running(name)
      if (!site) continue
      site.receive(file.bytes, source).then(
        (receipt) => {
          if (this.#sites[name] !== site) return
          this.scheduler.note(`${name} ${receipt.outcome} ${receipt.durability} ${file.sha256.slice(0, 8)}`)
          this.#guard(() => this.oracle.acknowledge(name, receipt, source === STRICT))
        },
        (error) => this.scheduler.note(`${name} refused ${file.sha256.slice(0, 8)}: ${error.message}`),
      )
    }
  }

  #saySomething(): void {
    const name = this.scheduler.random.pick(NAMES)
    const site = this.running(name)
    const text = `hold ${++this.#sayings}`
    site?.say(text).then(() => this.oracle.said(name, text))
  }

  // --- those who run them

  /** Removes storage of the other site that will not come back. */
  #operate(): void {
    for (const name of NAMES) {
      const site = this.running(name)
      const paired = site?.memory.site
      const is = this.disks[other(name)].site
      if (!site || paired === undefined || paired === is || site.pair.health.up) continue
      if (!this.#calm && this.scheduler.random.next() < 0.8) continue
      this.#remove(site)
    }
  }

  #remove(keeper: Site): void {
    void keeper.removePeer().then((storage) => storage !== undefined && this.#removed.add(storage))
  }

  // --- what can happen

  #somethingHappens(): void {
    const { random } = this.scheduler
    const name = random.pick(NAMES)
    const chance = random.next()
    if (chance < 0.35) this.#weatherChanges()
    else if (chance < 0.6) this.#crashAndStart(name)
    else if (chance < 0.7) this.#diskFills(name)
    else if (chance < 0.78) this.#clockJumps(name)
    else if (chance < 0.88) this.#backups.push({ name, disk: backupOf(this.disks[name]) })
    else if (this.#mayLose) this.#storageIsLost(name)
  }

  #weatherChanges(): void {
    const { random } = this.scheduler
    const cuts: Name[][] = [[], [], ['A'], ['B'], ['A', 'B']]
    const weather: Weather = {
      loss: random.pick([0, 0, 0.02, 0.2]),
      duplication: random.pick([0, 0, 0.1]),
      damage: random.pick([0, 0, 0.1]),
      delayMs: random.pick([5, 50, 500, 3000]),
      cut: new Set(random.pick(cuts)),
    }
    this.network.weather = random.next() < 0.4 ? CALM : weather
    const { cut, ...rest } = this.network.weather
    this.scheduler.note(`weather ${JSON.stringify(rest)} cut ${[...cut].join()}`)
  }

  #crashAndStart(name: Name): void {
    this.#crash(name)
    this.#startIn(name, this.#pause())
  }

  #pause(): number {
    const { random } = this.scheduler
    return random.next() < 0.5 ? random.below(500) : random.below(30_000)
  }

  #diskFills(name: Name): void {
    const disk = this.disks[name]
    disk.full = !disk.full
    this.scheduler.note(`${name} disk ${disk.full ? 'full' : 'has room'}`)
  }

  #clockJumps(name: Name): void {
    const { random } = this.scheduler
    this.#clocks[name] = (random.next() - 0.5) * random.pick([1, 10_000, 3650 * DAY_MS])
    this.scheduler.note(`${name} clock ${this.#clocks[name].toFixed(0)}`)
  }

  #storageIsLost(name: Name): void {
    const { random } = this.scheduler
    this.#mayLose = false
    this.#crash(name)
    const backups = this.#backups.filter((backup) => backup.name === name)
    const old = this.disks[name]
    if (backups.length > 0 && random.next() < 0.7) this.#replace(name, backupOf(random.pick(backups).disk))
    else if (random.next() < 0.5) this.#replace(name, emptyDisk(`${name.toLowerCase()}-${this.#starts + 2}`))
    else this.#removedOneComesBack(name, old)
    this.#backups = []
  }

  #replace(name: Name, disk: Disk): void {
    this.oracle.storageLost(name, disk)
    this.disks[name] = disk
    this.#backups = []
    this.scheduler.note(`${name} has other storage: ${disk.site}, ${disk.landing.length} in the landing`)
    this.#startIn(name, this.#pause())
  }

  /** It is taken for lost and removed; somebody starts it all the same, and only then gives it an empty folder. */
  #removedOneComesBack(name: Name, old: Disk): void {
    const { random } = this.scheduler
    const { site } = old
    this.scheduler.note(`${name} is taken for lost`)
    this.#plans[name] += 1
    const wait = 20_000 + random.below(10_000)
    const there = other(name)
    this.scheduler.after(wait, () => {
      const keeper = this.running(there)
      if (keeper && keeper.memory.site === site && !keeper.pair.health.up) {
        this.#remove(keeper)
        this.#startIn(name, 1000)
      }
      this.scheduler.after(20_000, () => {
        this.#crash(name)
        this.#replace(name, emptyDisk(`${name.toLowerCase()}-${this.#starts + 2}`))
      })
    })
  }

  // --- at the end

  #logsAreEqual(): boolean {
    return NAMES.every((name) => {
      const { site, log } = this.disks[name]
      return this.disks[other(name)].peerLogs.get(site)?.at(-1)?.hash === log.at(-1)?.hash
    })
  }

  async #states(): Promise<string> {
    return NAMES.map((name) => {
      const site = this.running(name)
      return `${name} ${site ? (site.pair.inSync ? 'in sync' : (site.pair.trouble ?? 'not in sync')) : 'down'}`
    }).join(', ')
  }

  #assertFewCalls(): void {
    const { now } = this.scheduler
    const { A, B } = this.network.calls
    if (Math.max(A, B) > (now / 1000) * 15 + 500) throw new Broken(`${A} and ${B} calls in ${now.toFixed(0)} ms`)
  }
}

import type { CataloguePacks } from '../../catalogue/ports.ts'
import type { Alarm, CatalogueTiers, StoreDay } from '../../catalogue/tier-ports.ts'
import type { VolumeConfig } from '../../config/tiers.ts'
import { ArchiveError } from '../../errors.ts'
import { type Subject, SYSTEM } from '../../events/event.ts'
import type { RecordEvents } from '../../events/ports.ts'
import { type Finding, findingsOf } from './alarms.ts'
import { type Readings, readStores } from './readings.ts'
import type { Tiers } from './tiers.ts'

const EVERY_MS = 10_000
/** While new instances are refused, each refusal asks again, but not more often than that. */
const EAGER_MS = 1000
const RECORD_EVERY_MS = 60 * 60_000
const DAYS_KEPT = 400
const DAY_MS = 86_400_000

export interface WatchOptions {
  tiers: Tiers
  catalogue: CatalogueTiers
  packs: Pick<CataloguePacks, 'drainingStores'>
  events: RecordEvents
  volumes: readonly VolumeConfig[]
  warn(message: string, details: object): void
  /** Milliseconds since 1970. */
  now?: () => number
}

/**
 * Looks at the stores now and then: how full they are, which can't be used. Raises and clears alarms, as events; refuses
 * new instances when there is no room for them; keeps what was held on each day; and tries stores in trouble again when
 * their time has come. It costs as much as there are stores.
 */
export class CapacityWatch {
  readonly #options: Required<WatchOptions>
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  #recordedAt = Number.NEGATIVE_INFINITY
  #readings: Readings | undefined
  #raised: Map<string, Alarm> | undefined

  constructor(options: WatchOptions) {
    this.#options = { now: Date.now, ...options }
  }

  start(): void {
    void this.look()
    this.#timer = setInterval(() => void this.look(), EVERY_MS).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  /** Of the last look; undefined before the first. */
  get readings(): Readings | undefined {
    return this.#readings
  }

  get alarms(): Alarm[] {
    return [...(this.#raised?.values() ?? [])]
  }

  /** Why nothing new is taken in; undefined when it is. */
  get refusal(): string | undefined {
    return this.#readings?.pools[0]?.refusal
  }

  /** Throws ArchiveError `out_of_space` when there is no room for new instances in the tier that they would be sealed into. */
  admit(): void {
    const { refusal } = this
    if (refusal === undefined) return
    if (this.#options.now() - this.#lookedAt > EAGER_MS) void this.look(EAGER_MS)
    throw new ArchiveError('out_of_space', refusal)
  }

  /** Never rejects: what goes wrong is looked at again next time. */
  look(ageMsMax = EVERY_MS): Promise<void> {
    this.#running ??= this.#look(ageMsMax)
      .catch((error: Error) => {
        this.#options.warn('the stores could not be looked at', { reason: error.message })
      })
      .finally(() => {
        this.#running = undefined
      })
    return this.#running
  }

  async #look(ageMsMax: number): Promise<void> {
    const { tiers, catalogue, packs, volumes, now } = this.#options
    this.#lookedAt = now()
    await Promise.all(tiers.stores.all.map(async (store) => store.trouble !== undefined && (await store.tryAgain())))
    const readings = await readStores(tiers, await catalogue.holdings(), await packs.drainingStores(), ageMsMax)
    this.#readings = readings
    const raised = await this.#known()
    const held = await catalogue.volumes()
    const isRaised = (subject: string, alarm: string): boolean => raised.has(`${subject} ${alarm}`)
    await this.#tell(findingsOf({ readings, tiers, volumes, held, isRaised }), raised)
    await this.#record(readings)
  }

  async #known(): Promise<Map<string, Alarm>> {
    if (!this.#raised) {
      const alarms = await this.#options.catalogue.alarms()
      this.#raised = new Map(alarms.map((alarm) => [`${alarm.subject} ${alarm.alarm}`, alarm]))
    }
    return this.#raised
  }

  /** The event first: an alarm that nobody can read of was not raised. */
  async #tell(findings: readonly Finding[], raised: Map<string, Alarm>): Promise<void> {
    const { catalogue, events, warn, now } = this.#options
    const found = new Set(findings.map(({ subject, alarm }) => `${subject} ${alarm}`))
    for (const finding of findings) {
      const name = `${finding.subject} ${finding.alarm}`
      if (raised.has(name)) continue
      const alarm = { ...finding, since: new Date(now()).toISOString() }
      warn(finding.detail, { alarm: finding.alarm, subject: finding.subject })
      await events.append(eventOf(finding, true))
      await catalogue.raise(alarm)
      raised.set(name, alarm)
    }
    for (const [name, alarm] of raised) {
      if (found.has(name)) continue
      await events.append(eventOf(alarm, false))
      await catalogue.clear(alarm)
      raised.delete(name)
    }
  }

  async #record({ stores, missing }: Readings): Promise<void> {
    const { catalogue, now } = this.#options
    const at = now()
    const day = dayOf(at)
    if (at - this.#recordedAt < RECORD_EVERY_MS && dayOf(this.#recordedAt) === day) return
    const days: StoreDay[] = [
      ...stores.map(({ store, bytes, room }) => ({
        day,
        store: store.id,
        bytes,
        bytesTotal: room?.bytesTotal ?? null,
        bytesFree: room?.bytesFree ?? null,
      })),
      ...missing.map(({ store, bytes }) => ({ day, store, bytes, bytesTotal: null, bytesFree: null })),
    ]
    await catalogue.recordDay(days, dayOf(at - DAYS_KEPT * DAY_MS))
    this.#recordedAt = at
  }
}

export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

function eventOf({ subject, alarm, detail }: Finding, raised: boolean) {
  const [thing = '', ...id] = subject.split(' ')
  const about: Subject = { [thing]: id.join(' ') }
  return { kind: 'store.alarm', actor: SYSTEM, subject: about, data: { alarm, detail, raised } } as const
}

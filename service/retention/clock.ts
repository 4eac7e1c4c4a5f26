import { randomUUID } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { type ClockState, type Observation, observe, setForward, startClock } from '../../retention/clock.ts'
import type { SiteClock } from '../../retention/standing.ts'
import { syncFolder } from '../sync-folder.ts'

const stateSchema = z.object({
  clockId: z.string().min(1),
  complianceMs: z.number(),
  runId: z.string(),
  monotonicMs: z.number(),
  peer: z.object({ clockId: z.string(), agreed: z.boolean() }).optional(),
  systemBehind: z.boolean(),
})

export interface TimeSource {
  systemMs(): number
  monotonicMs(): number
}

export const SYSTEM_TIME: TimeSource = { systemMs: () => Date.now(), monotonicMs: () => performance.now() }

export interface ClockOptions {
  path: string
  site: string
  /** What the event log remembers of this clock, where its file is gone. */
  remembered: { clockId: string; complianceMs: number } | undefined
  time?: TimeSource
  warn(message: string, details: object): void
}

const EVERY_MS = 60_000
/** What is on disk may be that much behind; then it is that which counts. */
const NEAR_MS = 1000

/**
 * The site's compliance clock on disk. It is on disk before anything is decided by it, so that a restart never shows an
 * earlier time; where its file is lost it goes on from what the event log remembers, not from the system clock.
 */
export class ComplianceClock {
  readonly #options: ClockOptions
  readonly #time: TimeSource
  readonly #runId = randomUUID()
  #state: ClockState
  /** As it is on disk. */
  #written: ClockState | undefined
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  private constructor(options: ClockOptions, state: ClockState | undefined) {
    this.#options = options
    this.#time = options.time ?? SYSTEM_TIME
    const seen = this.#seen()
    const { remembered } = options
    const begun = state ?? startClock(remembered?.clockId ?? randomUUID(), begin(seen, remembered?.complianceMs))
    // What the log has seen is certain, whatever an old copy of the file says.
    const complianceMs = Math.max(begun.complianceMs, remembered?.complianceMs ?? 0)
    this.#state = observe({ ...begun, complianceMs }, seen)
  }

  static async open(options: ClockOptions): Promise<ComplianceClock> {
    const clock = new ComplianceClock(options, await read(options))
    await clock.#write()
    return clock
  }

  /** Writes it down every minute, so that a restart costs no more than that. */
  start(): void {
    this.#timer = setInterval(() => {
      this.observe().catch((error: Error) =>
        this.#options.warn('the compliance clock is not on disk', { reason: error.message }),
      )
    }, EVERY_MS).unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#state = observe(this.#state, this.#seen())
    await this.#write().catch(() => undefined)
  }

  get clockId(): string {
    return this.#state.clockId
  }

  /** For what expires nothing: how old a check is. */
  nowMs(): number {
    return Math.floor(observe(this.#state, this.#seen()).complianceMs)
  }

  /** What it shows, written down before anybody acts on it. `peer`: what another site's clock shows now. */
  async observe(peer?: Observation['peer']): Promise<SiteClock> {
    this.#state = observe(this.#state, this.#seen(peer))
    const { complianceMs, systemBehind } = this.#state
    const written = this.#written
    const isNear = written && !peer && complianceMs - written.complianceMs < NEAR_MS
    if (!isNear || systemBehind !== written.systemBehind) await this.#write()
    return this.#shown()
  }

  /** Takes out a lag, after two persons have agreed to it; never beyond the system clock. */
  async setForward(toMs: number): Promise<SiteClock> {
    const seen = this.#seen()
    this.#state = setForward(observe(this.#state, seen), toMs, seen)
    await this.#write()
    return this.#shown()
  }

  #shown(): SiteClock {
    const { complianceMs, systemBehind } = this.#written ?? this.#state
    return { site: this.#options.site, complianceMs: Math.floor(complianceMs), systemBehind }
  }

  #seen(peer?: Observation['peer']): Observation {
    const seen = { systemMs: this.#time.systemMs(), monotonicMs: this.#time.monotonicMs(), runId: this.#runId }
    return peer ? { ...seen, peer } : seen
  }

  #write(): Promise<void> {
    const state = this.#state
    const written = this.#writing
      .catch(() => undefined)
      .then(() => writeDurably(this.#options.path, state))
      .then(() => {
        this.#written = state
      })
    this.#writing = written
    return written
  }
}

function begin(seen: Observation, rememberedMs: number | undefined): Observation {
  return rememberedMs === undefined ? seen : { ...seen, systemMs: rememberedMs }
}

/** A file that is no clock counts as lost: what the event log remembers takes its place. */
async function read({ path, warn }: ClockOptions): Promise<ClockState | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return stateSchema.parse(JSON.parse(text))
  } catch {
    warn('the file of the compliance clock is damaged; the event log takes its place', { path })
    return undefined
  }
}

async function writeDurably(path: string, state: ClockState): Promise<void> {
  const draft = `${path}.draft`
  const file = await open(draft, 'w', 0o640)
  try {
    await file.writeFile(`${JSON.stringify(state)}\n`)
    await file.datasync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
  await syncFolder(dirname(path))
}

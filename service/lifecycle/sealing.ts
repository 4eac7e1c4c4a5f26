import { setTimeout as sleep } from 'node:timers/promises'
import type { CataloguePacks } from '../catalogue/ports.ts'
import type { Retirer } from './retire.ts'
import type { Sealer } from './seal.ts'

const TICK_MS_MAX = 30_000
const TICK_MS_MIN = 250
/** A study that could not be sealed, or not wholly, is tried again after this. */
const FAILED_PAUSE_MS = 5 * 60_000
const FAILED_MAX = 10_000
/** Something arrived so lately: sealing leaves as much time as it takes. */
const BUSY_MS = 1000

export interface SealingOptions {
  catalogue: Pick<CataloguePacks, 'unsealedStudies'>
  sealer: Pick<Sealer, 'seal'>
  retirer: Pick<Retirer, 'run'>
  quietMs: number
  /** When the last instance arrived, in milliseconds since 1970. */
  lastArrival(): number
  /** Does what follows from a study's instances having come. Never rejects. */
  sealed?(studyUid: string): Promise<void>
  info(message: string, details: object): void
  warn(message: string, details: object): void
}

/** Seals studies that have become quiet, one after the other, and retires what that leaves behind. */
export class Sealing {
  readonly #options: SealingOptions
  /** Studies that stay in the landing, why, and when they are tried again. */
  readonly #failed = new Map<string, { reason: string; until: number }>()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  readonly #stopping = new AbortController()
  #broken: string | undefined

  constructor(options: SealingOptions) {
    this.#options = options
  }

  /** Why studies stay unsealed; undefined when they don't. */
  get trouble(): string | undefined {
    const [failed] = this.#failed.values()
    return failed?.reason ?? this.#broken
  }

  start(): void {
    const everyMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, this.#options.quietMs / 4))
    this.#timer = setInterval(() => void this.run(), everyMs).unref()
  }

  /** Finishes the study that it is at. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    clearInterval(this.#timer)
    await this.#running
  }

  /** Seals all that is quiet now. */
  run(): Promise<void> {
    this.#running ??= this.#pass().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted
  }

  async #pass(): Promise<void> {
    const { catalogue, retirer, quietMs, warn } = this.#options
    const unsealed = new Set<string>()
    try {
      const quietSince = new Date(Date.now() - quietMs).toISOString()
      for await (const studyUid of catalogue.unsealedStudies(quietSince)) {
        if (this.#stopped) return
        if ((this.#failed.get(studyUid)?.until ?? 0) < Date.now()) await this.#seal(studyUid)
        if (this.#failed.has(studyUid)) unsealed.add(studyUid)
      }
      // Somebody else has sealed them, or they have got something new.
      for (const studyUid of this.#failed.keys()) if (!unsealed.has(studyUid)) this.#failed.delete(studyUid)
      if (!this.#stopped) await retirer.run()
      this.#broken = undefined
    } catch (error) {
      this.#broken = (error as Error).message
      warn('sealing was broken off; it is taken up again', { reason: this.#broken })
    }
  }

  async #seal(studyUid: string): Promise<void> {
    const { sealer, lastArrival, info, warn } = this.#options
    const started = Date.now()
    try {
      const { packs, leftOut } = await sealer.seal(studyUid)
      this.#failed.delete(studyUid)
      if (leftOut.length > 0) this.#fail(studyUid, `${leftOut.length} damaged instances of a study are in no pack`)
      await this.#options.sealed?.(studyUid)
      for (const { key, stores, instances, sizeBytes } of packs) info('sealed', { key, stores, instances, sizeBytes })
    } catch (error) {
      const reason = (error as Error).message
      this.#fail(studyUid, reason)
      warn('a study could not be sealed; it is tried again', { reason })
    }
    const took = Date.now() - started
    const { signal } = this.#stopping
    if (Date.now() - lastArrival() < BUSY_MS) await sleep(took, undefined, { signal }).catch(() => undefined)
  }

  #fail(studyUid: string, reason: string): void {
    if (this.#failed.size >= FAILED_MAX) this.#failed.clear()
    this.#failed.set(studyUid, { reason, until: Date.now() + FAILED_PAUSE_MS })
  }
}

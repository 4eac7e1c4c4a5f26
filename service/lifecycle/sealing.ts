import { setTimeout as sleep } from 'node:timers/promises'
import type { CataloguePacks } from '../catalogue/ports.ts'
import type { Retirer } from './retire.ts'
import type { Sealer } from './seal.ts'

const TICK_MS_MAX = 30_000
const TICK_MS_MIN = 250
/** A study that could not be sealed is tried again after this. */
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
  info(message: string, details: object): void
  warn(message: string, details: object): void
}

/** Seals studies that have become quiet, one after the other, and retires what that leaves behind. */
export class Sealing {
  readonly #options: SealingOptions
  readonly #failed = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #stopped = false
  #trouble: string | undefined

  constructor(options: SealingOptions) {
    this.#options = options
  }

  /** Why studies stay unsealed; undefined when they don't. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  start(): void {
    const everyMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, this.#options.quietMs / 4))
    this.#timer = setInterval(() => void this.run(), everyMs).unref()
  }

  /** Finishes the study that it is at. */
  async stop(): Promise<void> {
    this.#stopped = true
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

  async #pass(): Promise<void> {
    const { catalogue, retirer, quietMs, warn } = this.#options
    try {
      this.#trouble = undefined
      const quietSince = new Date(Date.now() - quietMs).toISOString()
      for await (const studyUid of catalogue.unsealedStudies(quietSince)) {
        if (this.#stopped) return
        if ((this.#failed.get(studyUid) ?? 0) < Date.now()) await this.#seal(studyUid)
      }
      if (!this.#stopped) await retirer.run()
    } catch (error) {
      warn('sealing was broken off; it is taken up again', { reason: (error as Error).message })
    }
  }

  async #seal(studyUid: string): Promise<void> {
    const { sealer, lastArrival, info, warn } = this.#options
    const started = Date.now()
    try {
      const { packs } = await sealer.seal(studyUid)
      this.#failed.delete(studyUid)
      for (const { key, stores, instances, sizeBytes } of packs) info('sealed', { key, stores, instances, sizeBytes })
    } catch (error) {
      if (this.#failed.size >= FAILED_MAX) this.#failed.clear()
      this.#failed.set(studyUid, Date.now() + FAILED_PAUSE_MS)
      this.#trouble = (error as Error).message
      warn('a study could not be sealed; it is tried again', { reason: this.#trouble })
    }
    const took = Date.now() - started
    if (Date.now() - lastArrival() < BUSY_MS && !this.#stopped) await sleep(took)
  }
}

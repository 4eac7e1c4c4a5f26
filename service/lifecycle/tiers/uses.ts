import type { CatalogueTiers } from '../../catalogue/tier-ports.ts'
import { dayOf } from './watch.ts'

const FLUSH_MS = 60_000
/** More packs than that in a minute are not all noted: they will be read again. */
const WAITING_MAX = 50_000

export interface UsesOptions {
  catalogue: Pick<CatalogueTiers, 'markUsed'>
  warn(message: string, details: object): void
  now?: () => number
}

/** Which packs clients have read from, to the day: noted in memory, and in the catalogue once a minute. */
export class Uses {
  readonly #options: Required<UsesOptions>
  #waiting = new Set<number>()
  /** Those that the catalogue has for the day already. */
  #noted = new Set<number>()
  #day = ''
  #timer: NodeJS.Timeout | undefined

  constructor(options: UsesOptions) {
    this.#options = { now: Date.now, ...options }
  }

  start(): void {
    this.#timer = setInterval(() => void this.flush(), FLUSH_MS).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
  }

  used(pack: number): void {
    if (!this.#noted.has(pack) && this.#waiting.size < WAITING_MAX) this.#waiting.add(pack)
  }

  /** Never rejects: a use that could not be noted makes a pack look older than it is, by a day. */
  async flush(): Promise<void> {
    const { catalogue, warn, now } = this.#options
    const day = dayOf(now())
    if (day !== this.#day || this.#noted.size > WAITING_MAX) this.#noted = new Set()
    this.#day = day
    const packs = [...this.#waiting]
    this.#waiting = new Set()
    if (packs.length === 0) return
    try {
      await catalogue.markUsed(packs, day)
      for (const pack of packs) this.#noted.add(pack)
    } catch (error) {
      warn('what was read could not be noted', { reason: (error as Error).message })
    }
  }
}

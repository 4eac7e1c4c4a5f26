import type { CatalogueWriter, NewInstance } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'

const RETRY_MS = 1000
/** So often a working catalogue may refuse an instance before the others no longer wait for it. */
const REFUSALS_MAX = 3
/** Landed instances that the catalogue is still busy with; beyond so many, senders wait for it. */
const UNDERWAY_MAX = 500
/** And of their headers, which stay in memory until they are recorded: most have 64 KiB, some have megabytes. */
const UNDERWAY_BYTES_MAX = 32 * 1024 * 1024

export interface LedgerOptions {
  catalogue: Pick<CatalogueWriter, 'record' | 'probe'>
  /** The catalogue has the instance. */
  settled(instance: NewInstance): void
  warn(message: string, details: object): void
}

interface Debt {
  instance: NewInstance
  refusals: number
}

/**
 * Writes landed instances into the catalogue and never forgets one. Nobody waits for that: the bytes are durable, and
 * whoever reads the catalogue waits until it has caught up. Where the catalogue fails, the instance is offered again until
 * it is in; meanwhile nothing new is admitted, so the list stays short. An instance that a working catalogue keeps refusing is set aside: it stays in the landing, whose
 * replay at the next start offers it again and reports it. After a crash the replay does the same for all.
 */
export class Ledger {
  readonly #options: LedgerOptions
  #owed: Debt[] = []
  #setAside = 0
  #underway = 0
  #underwayBytes = 0
  #waiting: (() => void)[] = []
  #retry: NodeJS.Timeout | undefined

  constructor(options: LedgerOptions) {
    this.#options = options
  }

  /** Why nothing can be admitted now; undefined when all is well. */
  get trouble(): string | undefined {
    return this.#owed.length > 0
      ? `the catalogue owes ${this.#owed.length} instances that the landing holds`
      : undefined
  }

  /** Instances that are durable but not visible, because the catalogue refuses them. */
  get setAside(): number {
    return this.#setAside
  }

  /** Throws ArchiveError `unavailable` while the catalogue is behind. */
  assertOpen(): void {
    if (this.trouble) throw new ArchiveError('unavailable', this.trouble)
  }

  /** Resolves when the catalogue isn't too far behind to take one more, with a header of so many bytes. */
  async room(headerBytes = 0): Promise<void> {
    const isFull = (): boolean =>
      this.#underway >= UNDERWAY_MAX || this.#underwayBytes + headerBytes > UNDERWAY_BYTES_MAX
    while (this.#underway > 0 && isFull()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Resolves when the catalogue has the instance, or is known to owe it. Never rejects. */
  async record(instance: NewInstance, headerBytes = 0): Promise<void> {
    this.#underway += 1
    this.#underwayBytes += headerBytes
    await this.#offer(instance)
    this.#underway -= 1
    this.#underwayBytes -= headerBytes
    if (this.#underway === 0) for (const resolve of this.#waiting.splice(0)) resolve()
    else this.#waiting.shift()?.()
  }

  /** Resolves when nothing is on its way to the catalogue. */
  async idle(): Promise<void> {
    while (this.#underway > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async #offer(instance: NewInstance): Promise<void> {
    const { catalogue, settled, warn } = this.#options
    try {
      await catalogue.record(instance, { urgent: false })
      settled(instance)
    } catch (error) {
      if (this.#owed.length === 0) {
        warn('the catalogue failed; landed instances are offered to it again', { error: (error as Error).message })
      }
      this.#owed.push({ instance, refusals: 1 })
      this.#schedule()
    }
  }

  close(): void {
    clearTimeout(this.#retry)
  }

  #schedule(): void {
    this.#retry ??= setTimeout(() => void this.#payBack(), RETRY_MS).unref()
  }

  async #payBack(): Promise<void> {
    const { catalogue, warn } = this.#options
    const works = await catalogue.probe().then(
      () => true,
      () => false,
    )
    if (works) {
      const owed = this.#owed
      const left: Debt[] = []
      for (const debt of owed) if (!(await this.#paid(debt))) left.push(debt)
      this.#owed = [...left, ...this.#owed.slice(owed.length)]
    }
    this.#retry = undefined
    if (this.#owed.length > 0) this.#schedule()
    else warn('the catalogue has caught up', { setAside: this.#setAside })
  }

  async #paid(debt: Debt): Promise<boolean> {
    const { catalogue, settled, warn } = this.#options
    try {
      await catalogue.record(debt.instance)
      settled(debt.instance)
      return true
    } catch (error) {
      debt.refusals += 1
      if (debt.refusals < REFUSALS_MAX) return false
      this.#setAside += 1
      const { sha256, location } = debt.instance
      warn('the catalogue refuses an instance, which stays in the landing', {
        sha256,
        location,
        error: (error as Error).message,
      })
      return true
    }
  }
}

import type { CatalogueWriter, NewInstance, RecordOutcome } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'

const RETRY_MS = 1000

export interface LedgerOptions {
  catalogue: CatalogueWriter
  /** The catalogue has the instance. */
  settled(instance: NewInstance): void
  warn(message: string, details: object): void
}

/**
 * Writes landed instances into the catalogue and never forgets one. Where the catalogue fails, the sender is told that
 * the outcome is unknown, and the instance is offered again until it is in; meanwhile nothing new is admitted, so the
 * list stays short. After a crash the landing's replay does the same.
 */
export class Ledger {
  readonly #options: LedgerOptions
  readonly #owed: NewInstance[] = []
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

  /** Throws ArchiveError `unavailable` while the catalogue is behind. */
  assertOpen(): void {
    if (this.trouble) throw new ArchiveError('unavailable', this.trouble)
  }

  async record(instance: NewInstance): Promise<RecordOutcome> {
    try {
      const outcome = await this.#options.catalogue.record(instance)
      this.#options.settled(instance)
      return outcome
    } catch (error) {
      this.#owe(instance, error as Error)
      throw error
    }
  }

  #owe(instance: NewInstance, error: Error): void {
    this.#owed.push(instance)
    if (this.#retry) return
    this.#options.warn('the catalogue failed; landed instances are offered to it again', { error: error.message })
    this.#retry = setTimeout(() => void this.#payBack(), RETRY_MS).unref()
  }

  async #payBack(): Promise<void> {
    const { catalogue, settled, warn } = this.#options
    try {
      for (let next = this.#owed[0]; next; next = this.#owed[0]) {
        await catalogue.record(next)
        settled(next)
        this.#owed.shift()
      }
      this.#retry = undefined
      warn('the catalogue has caught up', {})
    } catch {
      this.#retry = setTimeout(() => void this.#payBack(), RETRY_MS).unref()
    }
  }

  close(): void {
    clearTimeout(this.#retry)
  }
}

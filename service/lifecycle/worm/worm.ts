import type { Pack } from '../../catalogue/ports.ts'
import type { Store } from '../../stores/ports.ts'
import { immutableFault, lockFault } from '../../stores/worm.ts'
import { Canary } from './canary.ts'
import { LockKeeper, type LockKeeperOptions, type Mirrored } from './lock-keeper.ts'

const RUN_MS = 30_000
const PROBE_MS = 24 * 3_600_000
/** As many are counted as tell that a store lags behind. */
const OVERDUE_COUNTED_MAX = 1000

export interface WormStore {
  store: string
  asked: 'none' | 'governance' | 'compliance'
  enforced: 'none' | 'governance' | 'compliance'
  immutableFiles: boolean
  reason: string | null
  /** Copies whose lock is to be set, extended or looked at now; not more than a thousand are counted. */
  due: number
}

/** Write-once storage, put together: locks that are kept, stores that prove it, and what is shown of both. */
export class Worm {
  readonly #options: LockKeeperOptions
  readonly #keeper: LockKeeper
  readonly #canary: Canary
  #timers: NodeJS.Timeout[] = []

  constructor(options: LockKeeperOptions) {
    this.#options = options
    this.#keeper = new LockKeeper(options)
    this.#canary = new Canary(options)
  }

  get troubles(): string[] {
    const unmarked = this.#options.stores.all.flatMap((store) => {
      const reason = immutableFault(store)
      return reason === undefined ? [] : [`store ${store.id}: ${reason}`]
    })
    return [...this.#canary.troubles, ...this.#keeper.troubles, ...unmarked]
  }

  /** Stores were probed when they were opened; from here on they are every day. */
  start(): void {
    if (!this.#options.stores.all.some(({ lock }) => lock)) return
    const soon = () => void this.run()
    this.#timers = [
      setInterval(soon, RUN_MS).unref(),
      setInterval(() => void this.probe(), PROBE_MS).unref(),
      setTimeout(soon, 0).unref(),
    ]
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.#keeper.stop()
  }

  /** Sets and extends what is due. Never rejects. */
  async run(): Promise<void> {
    await this.#judged(() => this.#canary.judge())
    await this.#keeper.run()
  }

  /** Has all stores prove their locks, then does what is due. Never rejects. */
  async probe(): Promise<void> {
    await this.#judged(() => this.#canary.probe())
    await this.#keeper.run()
  }

  async #judged(judge: () => Promise<void>): Promise<void> {
    await judge().catch((error: Error) => {
      this.#options.warn('what a store has shown could not be recorded', { reason: error.message })
    })
  }

  /** See LockKeeper. */
  on(studyUid: string, held: boolean): Promise<Mirrored> {
    return this.#keeper.on(studyUid, held)
  }

  changed(studyUid: string): Promise<void> {
    return this.#keeper.changed(studyUid)
  }

  blocks(studyUid: string): Promise<string | undefined> {
    return this.#keeper.blocks(studyUid)
  }

  check(pack: Pack, store: string): Promise<string | undefined> {
    return this.#keeper.check(pack, store)
  }

  recover(pack: Pack, store: string): Promise<boolean> {
    return this.#keeper.recover(pack, store)
  }

  async report(): Promise<WormStore[]> {
    return Promise.all(this.#options.stores.all.map((store) => this.#reportOn(store)))
  }

  async #reportOn(store: Store): Promise<WormStore> {
    const { catalogue } = this.#options
    const { id, lock, adapter } = store
    const due = lock ? await catalogue.locksDue(id, new Date().toISOString(), OVERDUE_COUNTED_MAX) : []
    return {
      store: id,
      asked: lock?.mode ?? 'none',
      enforced: lock ? adapter.capabilities.objectLock : 'none',
      immutableFiles: adapter.capabilities.immutableFiles ?? false,
      reason: lockFault(store) ?? immutableFault(store) ?? null,
      due: due.length,
    }
  }
}

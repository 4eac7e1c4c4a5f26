import { SYSTEM } from '../../events/event.ts'
import type { RecordEvents } from '../../events/ports.ts'
import type { Store, Stores } from '../../stores/ports.ts'
import { lockFault } from '../../stores/worm.ts'

export interface CanaryOptions {
  stores: Stores
  events: RecordEvents
  warn(message: string, details: object): void
}

/**
 * Has stores that lock prove it again: an object is locked, and deleting it, bypassing governance too, shortening its lock
 * and weakening its mode must all be refused. A store where one of these works loses its label at once.
 */
export class Canary {
  readonly #options: CanaryOptions
  /** Why stores have lost their label. */
  readonly #faults = new Map<string, string>()
  #running: Promise<void> | undefined

  constructor(options: CanaryOptions) {
    this.#options = options
  }

  get troubles(): string[] {
    return [...this.#faults].map(
      ([store, reason]) => `store ${store} is no write-once storage, though its configuration asks for it: ${reason}`,
    )
  }

  /** One probe at a time. */
  probe(): Promise<void> {
    this.#running ??= this.#probe().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** What the last probes have shown, whoever asked for them: also a store that was away is probed before it is used again. */
  async judge(): Promise<void> {
    for (const store of this.#options.stores.all) {
      if (store.lock && store.trouble === undefined) await this.#judge(store)
    }
  }

  async #probe(): Promise<void> {
    const { stores, warn } = this.#options
    await Promise.all(
      stores.all.map(async (store) => {
        if (!store.lock || !store.probe) return
        await store.probe().catch((error: Error) => {
          warn('the locks of a store could not be tried', { store: store.id, reason: error.message })
        })
      }),
    )
    await this.judge()
  }

  async #judge(store: Store): Promise<void> {
    const fault = lockFault(store)
    const known = this.#faults.get(store.id)
    if (fault === known) return
    if (fault === undefined) this.#faults.delete(store.id)
    else this.#faults.set(store.id, fault)
    const { events, warn } = this.#options
    const detail = fault ?? 'its locks hold again'
    warn('the label of a write-once store changed', { store: store.id, detail })
    await events.append({
      kind: 'store.alarm',
      actor: SYSTEM,
      subject: { store: store.id },
      data: { alarm: 'object-lock', detail, raised: fault !== undefined },
    })
  }
}

import type { CataloguePacks } from '../../catalogue/ports.ts'
import type { CatalogueTiers } from '../../catalogue/tier-ports.ts'
import { type StoreConfig, storeConfig } from '../../config/stores.ts'
import { ArchiveError } from '../../errors.ts'
import { type Actor, SYSTEM } from '../../events/event.ts'
import type { RecordEvents } from '../../events/ports.ts'
import type { Store, Stores } from '../../stores/ports.ts'
import type { Drainer } from '../drain.ts'

const KNOWN = 'stores.known'

export interface StoreAdminOptions {
  stores: Stores & {
    isConfigured(id: string): boolean
    typeOf(id: string): string
    add(config: StoreConfig): Promise<Store>
    remove(id: string): Promise<void>
  }
  catalogue: Pick<CatalogueTiers, 'holdings' | 'note' | 'setNote'>
  packs: Pick<CataloguePacks, 'drainingStores' | 'setDraining'>
  drainer: Pick<Drainer, 'report'>
  events: RecordEvents
  /** There are other stores than before. */
  changed(): void
}

/** Adds and removes stores while the node runs. */
export class StoreAdmin {
  readonly #options: StoreAdminOptions
  /** One change at a time. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: StoreAdminOptions) {
    this.#options = options
  }

  /** Throws ArchiveError `invalid_request`, also where the store can't be opened: the reason is in its message. */
  add(given: unknown, actor: Actor): Promise<Store> {
    return this.#inTurn(() => this.#add(given, actor))
  }

  /** Only one that was drained and holds nothing. Throws ArchiveError `not_found`, `forbidden`. */
  remove(id: string, actor: Actor): Promise<void> {
    return this.#inTurn(() => this.#remove(id, actor))
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const work = this.#last.then(change)
    this.#last = work.catch(() => undefined)
    return work
  }

  async #add(given: unknown, actor: Actor): Promise<Store> {
    const { stores, changed } = this.#options
    const parsed = storeConfig.safeParse(given)
    if (!parsed.success) {
      const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the store'}: ${message}`)
      throw new ArchiveError('invalid_request', faults.join('; '))
    }
    const store = await stores.add(parsed.data).catch((error: Error) => {
      if (error instanceof ArchiveError) throw error
      throw new ArchiveError('invalid_request', `store ${parsed.data.id} can't be used: ${error.message}`)
    })
    try {
      await this.notice(actor)
    } catch (error) {
      await stores.remove(store.id)
      throw error
    }
    changed()
    return store
  }

  async #remove(id: string, actor: Actor): Promise<void> {
    const { stores, catalogue, packs, drainer, changed } = this.#options
    const store = stores.get(id)
    if (!store) throw new ArchiveError('not_found', `no store is called ${id}`)
    if (stores.isConfigured(id)) {
      throw new ArchiveError(
        'forbidden',
        `store ${id} is in the configuration: drain it, take it out there and restart the node`,
      )
    }
    const held = (await catalogue.holdings()).find((one) => one.store === id)?.packs ?? 0
    const isDraining = (await packs.drainingStores()).has(id)
    if (!isDraining || held > 0 || drainer.report(id)?.state === 'running') {
      throw new ArchiveError(
        'forbidden',
        `store ${id} holds ${held} packs or may get some: run \`firn drain ${id}\` first`,
      )
    }
    for await (const { key } of store.adapter.list({ prefix: 'packs/' })) {
      throw new ArchiveError('forbidden', `store ${id} holds ${key}, which the catalogue doesn't know: see what it is`)
    }
    await stores.remove(id)
    await this.notice(actor)
    await packs.setDraining(id, false)
    changed()
  }

  /** Says in the event log which stores have come and gone since it did last: also by a change of the configuration. */
  async notice(actor: Actor = SYSTEM): Promise<void> {
    const { stores, catalogue, events } = this.#options
    const before = JSON.parse((await catalogue.note(KNOWN)) ?? '{}') as Record<string, string>
    const now = Object.fromEntries(stores.all.map(({ id, tier }) => [id, tier]))
    const added = stores.all.filter(({ id, tier }) => before[id] !== tier)
    const removed = Object.keys(before).filter((id) => now[id] === undefined)
    if (added.length + removed.length === 0) return
    await events.append(
      ...added.map(
        ({ id: store, tier }) =>
          ({ kind: 'store.added', actor, subject: { store }, data: { adapter: stores.typeOf(store), tier } }) as const,
      ),
      ...removed.map(
        (store) => ({ kind: 'store.removed', actor, subject: { store }, data: { tier: before[store] ?? '' } }) as const,
      ),
    )
    await catalogue.setNote(KNOWN, JSON.stringify(now))
  }
}

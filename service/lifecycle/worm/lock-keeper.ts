import {
  isLockable,
  isRecoverable,
  type Lockable,
  type ObjectLock,
  type StorageAdapter,
} from '../../../storage-adapters/contract/adapter.ts'
import { isStorageError } from '../../../storage-adapters/contract/errors.ts'
import type { CatalogueLocks, CopyLock } from '../../catalogue/lock-ports.ts'
import type { CataloguePacks, Pack } from '../../catalogue/ports.ts'
import { SYSTEM } from '../../events/event.ts'
import type { RecordEvents } from '../../events/ports.ts'
import type { Store, StoreLock, Stores } from '../../stores/ports.ts'
import { driftOf, isShort, type Target, targetOf, yearsAfter } from './dates.ts'
import type { RetainUntil, StudyHolds } from './ports.ts'
import { whyLocked } from './why-locked.ts'

/** The mission's promise, where nothing else was decided. */
const HOUSE_YEARS_MIN = 30
const PAGE = 100
const IN_FLIGHT = 4
/** A lock that could not be set is tried again after this. */
const PAUSE_MS = 15 * 60_000
const FAILING_MAX = 10_000

export interface LockKeeperOptions {
  catalogue: CatalogueLocks & Pick<CataloguePacks, 'packs'>
  stores: Stores
  retainUntil: RetainUntil
  holds: StudyHolds
  events: RecordEvents
  warn(message: string, details: object): void
  now?: () => number
}

interface LockingStore {
  store: Store
  lock: StoreLock
  adapter: StorageAdapter & Lockable
}

/** What became of the locks of a study's copies. */
export interface Mirrored {
  done: number
  /** Copies whose store did not take it; they are tried again by themselves. */
  pending: number
}

/**
 * Keeps the locks of packs in stores that lock: at least until their study may be destroyed, never longer than the maker
 * allows, read back, and with the study's legal hold. A copy is looked at when it is new, when its study's retention or
 * hold changes, and before its lock ends; nothing else is read, however much a store holds.
 */
export class LockKeeper {
  readonly #options: LockKeeperOptions
  readonly #now: () => number
  /** Locks that had become less, by store, since the node was started, and what was found last. */
  readonly #drifted = new Map<string, { count: number; last: string }>()
  /** By store and key, copies whose lock could not be kept when that was tried last. */
  readonly #failing = new Map<string, { store: string; reason: string; atMs: number }>()
  #running: Promise<void> | undefined
  #isStopped = false

  constructor(options: LockKeeperOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  get troubles(): string[] {
    const drifted = [...this.#drifted].map(
      ([store, { count, last }]) =>
        `${count} locks in store ${store} had become less since the node was started, and were set again: ${last}`,
    )
    const failing = new Map<string, { count: number; reason: string }>()
    for (const { store, reason } of this.#failing.values()) {
      failing.set(store, { count: (failing.get(store)?.count ?? 0) + 1, reason })
    }
    return [
      ...drifted,
      ...[...failing].map(
        ([store, { count, reason }]) => `the locks of ${count} packs in store ${store} can't be kept: ${reason}`,
      ),
    ]
  }

  /** Looks at what is due. One run at a time. */
  run(): Promise<void> {
    this.#running ??= this.#pass().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Finishes the copies that it is at. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  /** The retention or the holds of a study have changed: its locks follow with the next run. */
  async changed(studyUid: string): Promise<void> {
    if (this.#locking().length > 0) await this.#options.catalogue.studyLocksDue(studyUid)
  }

  /** A study is held from now on, or no longer: the stores that have legal holds follow at once, or as soon as they can. */
  async on(studyUid: string, held: boolean): Promise<Mirrored> {
    const mirrored: Mirrored = { done: 0, pending: 0 }
    const locking = new Map(this.#locking().map((one) => [one.store.id, one]))
    if (locking.size === 0) return mirrored
    // Whatever fails from here on is due.
    await this.#options.catalogue.studyLocksDue(studyUid)
    for (let after = 0; ; ) {
      const page = await this.#options.catalogue.packs({ studyUid, after, limit: PAGE })
      for (const pack of page) {
        after = pack.id
        for (const { store } of pack.copies) {
          const where = locking.get(store)
          if (where) mirrored[(await this.#attempt(where, pack, held)) ? 'done' : 'pending'] += 1
        }
      }
      if (page.length < PAGE) return mirrored
    }
  }

  /**
   * Compares the lock of a copy with what it was and should be, and sets it again where it has become less. Resolves with
   * what was wrong, in a sentence.
   */
  async check(pack: Pack, storeId: string): Promise<string | undefined> {
    const where = this.#locking().find(({ store }) => store.id === storeId)
    if (!where) return undefined
    try {
      return await this.#keep(where, pack, await this.#options.catalogue.lockOf(pack.id, storeId))
    } catch (error) {
      return `its lock can't be kept: ${(error as Error).message}`
    }
  }

  /** Takes back a deletion that left the bytes where they were, as a locking store must. True where there was one. */
  async recover(pack: Pack, storeId: string): Promise<boolean> {
    const adapter = this.#options.stores.get(storeId)?.adapter
    if (!adapter || !isRecoverable(adapter)) return false
    const { key, sha256, studyUid } = pack
    try {
      if (!(await adapter.recover(key, sha256))) return false
    } catch (error) {
      this.#options.warn('a deletion could not be taken back', {
        store: storeId,
        key,
        reason: (error as Error).message,
      })
      return false
    }
    const detail = `${key} was deleted by somebody else; its bytes were still there, and it was brought back`
    await this.#alarm('deleted', detail, { study: studyUid, pack: sha256, store: storeId })
    return true
  }

  /**
   * Why stores would refuse to let go of a study's packs now, in a sentence; undefined where none would. To be asked before
   * a destruction is committed to. What was hidden by a deletion is brought back first, or it would be overlooked.
   */
  async blocks(studyUid: string): Promise<string | undefined> {
    const locking = new Map(this.#locking().map((one) => [one.store.id, one]))
    for (let after = 0; locking.size > 0; ) {
      const page = await this.#options.catalogue.packs({ studyUid, after, limit: PAGE })
      for (const pack of page) {
        after = pack.id
        for (const { store } of pack.copies) {
          const where = locking.get(store)
          if (!where) continue
          await this.recover(pack, store)
          const held = await whyLocked(where.adapter, pack.key, this.#now())
          if (held !== undefined) return `store ${store} locks ${pack.key} ${held}`
        }
      }
      if (page.length < PAGE) break
    }
    return undefined
  }

  #locking(): LockingStore[] {
    return this.#options.stores.all.flatMap((store) => {
      const { lock, adapter } = store
      return lock && isLockable(adapter) ? [{ store, lock, adapter }] : []
    })
  }

  async #pass(): Promise<void> {
    for (const [name, { atMs }] of this.#failing) if (atMs < this.#now() - 2 * PAUSE_MS) this.#failing.delete(name)
    await Promise.all(
      this.#locking().map(async (where) => {
        try {
          await this.#keepDue(where)
        } catch (error) {
          const { id: store } = where.store
          this.#options.warn('locks are looked at later', { store, reason: (error as Error).message })
        }
      }),
    )
  }

  /** Every copy that was looked at is due later, whatever came of it. Where nothing works, the rest has time too. */
  async #keepDue(where: LockingStore): Promise<void> {
    const { catalogue } = this.#options
    const by = new Date(this.#now()).toISOString()
    while (!this.#isStopped && where.store.trouble === undefined) {
      const due = await catalogue.locksDue(where.store.id, by, PAGE)
      for (let at = 0; at < due.length && !this.#isStopped; at += IN_FLIGHT) {
        const some = due.slice(at, at + IN_FLIGHT)
        const kept = await Promise.all(some.map(({ pack }) => this.#attempt(where, pack)))
        if (kept.every((one) => !one)) return
      }
      if (due.length < PAGE) return
    }
  }

  async #attempt(where: LockingStore, pack: Pack, held?: boolean): Promise<boolean> {
    const { catalogue, warn } = this.#options
    const { id: store } = where.store
    const name = `${store} ${pack.key}`
    try {
      await this.#keep(where, pack, await catalogue.lockOf(pack.id, store), held)
      this.#failing.delete(name)
      return true
    } catch (error) {
      const reason = (error as Error).message
      if (this.#failing.size >= FAILING_MAX) this.#failing.clear()
      // Whether it is there, the scrub finds out and says.
      if (!isStorageError(error, 'not_found')) this.#failing.set(name, { store, reason, atMs: this.#now() })
      warn('the lock of a pack could not be kept', { store, key: pack.key, reason })
      await catalogue.noteLock({ pack: pack.id, store, due: new Date(this.#now() + PAUSE_MS).toISOString() })
      return false
    }
  }

  /** Resolves with what had become less. The event comes before the catalogue: what isn't noted is looked at again. */
  async #keep(
    { store, lock: { mode }, lock: settings, adapter }: LockingStore,
    pack: Pack,
    before: CopyLock | undefined,
    knownHeld?: boolean,
  ): Promise<string | undefined> {
    const { catalogue, holds, events } = this.#options
    const { key, studyUid, sha256 } = pack
    const subject = { study: studyUid, pack: sha256, store: store.id }
    const nowMs = this.#now()
    await assertSame(adapter, pack)
    let seen = await adapter.getLock(key)
    const { wanted, until, due } = await this.#target(pack, settings, seen, nowMs)
    const drift = driftOf(before, seen, nowMs)
    if (drift !== undefined) {
      await this.#alarm('lock-drift', `${key}: ${drift}`, subject)
      // Told once, also where it can't be set again.
      await catalogue.noteLock({ pack: pack.id, store: store.id, lock: noted(seen), due: '' })
    }
    // What was locked longer once stays so, though nothing asks for it any more.
    const floor = drift !== undefined && before?.until !== undefined ? new Date(before.until) : until
    const target = floor > until ? floor : until
    if (isShort(seen, target, mode, nowMs)) seen = await adapter.extendLock(key, target)
    const held = knownHeld ?? (await holds.isHeld(studyUid))
    if (held !== undefined && seen.legalHold !== held) seen = await adapter.setLegalHold(key, held)
    const lock = noted(seen)
    if (drift !== undefined || !isEqual(lock, before)) {
      const data = { store: store.id, wanted: wanted.toISOString(), ...lock }
      await events.append({ kind: 'pack.locked', actor: SYSTEM, subject, data })
    }
    await catalogue.noteLock({ pack: pack.id, store: store.id, lock, due: due.toISOString() })
    return drift
  }

  /** A decision that is on its way is waited for under the brief lock of the start, as no lock can be taken back. */
  async #target(
    { studyUid, sealedAt }: Pack,
    settings: StoreLock,
    { until }: ObjectLock,
    nowMs: number,
  ): Promise<Target & { wanted: Date }> {
    const { retainUntil, catalogue } = this.#options
    const decided = await retainUntil.of(studyUid)
    if (decided) return { wanted: decided, ...targetOf(decided, settings, nowMs) }
    const { graceMs = 0 } = retainUntil
    const waitUntilMs = Date.parse(sealedAt) + graceMs
    if (graceMs > 0 && nowMs < waitUntilMs && until && until.getTime() > waitUntilMs) {
      return { wanted: until, until, due: new Date(waitUntilMs) }
    }
    const received = new Date((await catalogue.lastReceived(studyUid)) ?? sealedAt)
    const house = yearsAfter(received, HOUSE_YEARS_MIN)
    return { wanted: house, ...targetOf(house, settings, nowMs) }
  }

  async #alarm(alarm: string, detail: string, subject: { study: string; pack: string; store: string }): Promise<void> {
    const { events, warn } = this.#options
    const { store } = subject
    this.#drifted.set(store, { count: (this.#drifted.get(store)?.count ?? 0) + 1, last: detail })
    warn('somebody has changed what a store holds', { store, detail })
    await events.append({ kind: 'store.alarm', actor: SYSTEM, subject, data: { alarm, detail, raised: true } })
  }
}

function noted({ mode, until, legalHold }: ObjectLock): CopyLock {
  return { mode, ...(until && { until: until.toISOString() }), legalHold }
}

function isEqual(one: CopyLock, other: CopyLock | undefined): boolean {
  return one.mode === other?.mode && one.until === other.until && one.legalHold === other.legalHold
}

/** A lock on what somebody else has put under the key would keep the wrong bytes for decades. */
async function assertSame(adapter: StorageAdapter, { key, sizeBytes, sha256 }: Pack): Promise<void> {
  const stat = await adapter.stat(key)
  if (stat.sizeBytes === sizeBytes && (stat.sha256 ?? sha256) === sha256) return
  throw new Error(`${key} holds other bytes than its pack; they are not locked`)
}

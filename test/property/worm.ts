/** A site whose stores lock, put together by hand. */

import { join } from 'node:path'
import { afterEach } from 'node:test'
import type { Pack } from '../../service/catalogue/ports.ts'
import { EventLog } from '../../service/events/log.ts'
import { Copies } from '../../service/lifecycle/copies.ts'
import { Drainer } from '../../service/lifecycle/drain.ts'
import { Placement } from '../../service/lifecycle/placement.ts'
import { Scrubber } from '../../service/lifecycle/scrub.ts'
import { Sealer } from '../../service/lifecycle/seal.ts'
import { sameEverywhere, Tiers } from '../../service/lifecycle/tiers/tiers.ts'
import { Worm } from '../../service/lifecycle/worm/worm.ts'
import { PackReader } from '../../service/retrieve/pack-reader.ts'
import type { Store, StoreLock, Stores } from '../../service/stores/ports.ts'
import { whyNotWorm } from '../../service/stores/worm.ts'
import type { Lockable, ObjectLock, StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import type { LoweredCapability } from '../../storage-adapters/contract/capabilities.ts'
import { type MemoryStore, memoryStore } from '../../storage-adapters/memory/memory.ts'
import { fault } from '../../storage-adapters/wrap/fault.ts'
import { dicomFile, identifiers } from '../fixtures/dicom.ts'
import { tempDir } from '../support/host.ts'
import { all, inChunks, landingIn, openSite, openSqlite, SOURCE } from './core.ts'
import { unheld } from './facts.ts'

export const STUDIES = 3
export const DAY = 24 * 3_600_000
export const LOCK: StoreLock = { mode: 'compliance', initialDays: 7, yearsMax: 100 }
export const studyUid = (n: number) => identifiers({ seed: `worm/${n}`, studyUid: `1.2.840.97.${n}` }).studyUid

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A store whose objects a test can get at behind everybody's back, and whose label can be taken away. */
export function locking(id: string, { lock = LOCK }: { lock?: StoreLock | 'none' } = {}) {
  const wanted = lock === 'none' ? undefined : lock
  const objects = memoryStore({ id, ...(wanted && { objectLock: wanted.mode }) }) as MemoryStore & Lockable
  const adapter = fault(objects)
  const lowered: LoweredCapability[] = []
  const labelled = Object.defineProperty(Object.create(adapter), 'capabilities', {
    get: () => ({ ...objects.capabilities, ...(lowered.length > 0 && { objectLock: 'none' }), lowered }),
  }) as StorageAdapter & Lockable
  let probes = 0
  let breaks: string | undefined
  const store: Store = {
    id,
    adapter: labelled,
    lock: wanted,
    trouble: undefined,
    tier: 'online' as const,
    weight: 1,
    health: 1,
    refusal: undefined,
    takes: true,
    tryAgain: async () => undefined,
    capacity: async () => ({ bytesTotal: 1e9, bytesFree: 5e8 }),
    async probe() {
      probes += 1
      lowered.splice(0)
      if (breaks !== undefined) lowered.push({ capability: 'objectLock', reason: breaks })
    },
  }
  return {
    store,
    objects,
    adapter,
    faults: adapter.faults,
    get probes() {
      return probes
    },
    /** What the next probe finds; undefined: nothing wrong. */
    finds(reason: string | undefined) {
      breaks = reason
    },
  }
}

export type Locking = ReturnType<typeof locking>

export async function site(
  first: readonly { store: Store }[],
  others: readonly { store: Store }[] = [],
  { copies: copiesWanted = 1, required = false, graceMs = 0 } = {},
) {
  const dir = tempDir('worm')
  const catalogue = await openSqlite(dir)
  const events = await EventLog.open({ folder: join(dir, 'events'), site: 'test', generation: 'one' })
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const stores: Stores = {
    all: first.map(({ store }) => store),
    get: (id) => stores.all.find((store) => store.id === id),
  }
  const decided = new Map<string, Date>()
  const held = new Map<string, boolean>()
  const clock = { nowMs: Date.now() }
  const worm = new Worm({
    catalogue,
    stores,
    retainUntil: { of: async (study) => decided.get(study), graceMs },
    holds: { isHeld: async (study) => held.get(study) },
    events,
    warn,
    now: () => clock.nowMs,
  })
  const packs = new PackReader({ catalogue, stores, warn })
  const tiers = new Tiers(stores, sameEverywhere({ copies: copiesWanted, reserveShare: 0.05 }))
  const placement = new Placement(tiers, () => catalogue.drainingStores(), required ? whyNotWorm : undefined)
  const copies = new Copies({ catalogue, stores, packs, placement, events, facts: unheld, warn })
  const reports = join(dir, 'reports')
  const drainer = new Drainer({ catalogue, stores, copies, events, tiers, reports, warn })
  const scrubber = new Scrubber({
    catalogue,
    copies,
    worm,
    tiers,
    periodMs: 3_600_000,
    bytesPerSecond: 1e12,
    warn,
  })
  const { landing, receiver, ledger, instances } = await openSite(landingIn(dir), catalogue, { packs })
  const sealer = new Sealer({
    catalogue,
    instances,
    describe: async () => undefined,
    placement,
    stores,
    events,
    copies: copiesWanted,
    changed: () => undefined,
    warn,
  })
  closing.push(async () => {
    await worm.stop()
    ledger.close()
    await landing.close()
    await ledger.idle()
    await events.close()
    await catalogue.close()
  })
  const receive = (n: number, seed = `worm/${n}`) =>
    receiver.receive({
      body: inChunks(dicomFile({ seed, studyUid: studyUid(n) })),
      source: SOURCE,
    })
  const sealAll = async () => {
    for (let n = 0; n < STUDIES; n++) {
      await receive(n)
      await sealer.seal(studyUid(n))
    }
    Object.assign(stores, { all: [...first, ...others].map(({ store }) => store) })
  }
  const packOf = async (n: number) => (await catalogue.packs({ limit: 10, studyUid: studyUid(n) }))[0] as Pack
  const lockOf = async (where: Locking, n: number): Promise<ObjectLock> => where.objects.getLock((await packOf(n)).key)
  const yearsOf = async (where: Locking, n: number) =>
    (((await lockOf(where, n)).until?.getTime() ?? clock.nowMs) - clock.nowMs) / (365.25 * DAY)
  const said = async (kind: string) => (await all(events.read())).filter((event) => event.kind === kind)
  const dueNow = async (id: string) => (await catalogue.locksDue(id, new Date(clock.nowMs).toISOString(), 100)).length
  const scrub = async () => {
    const report = scrubber.now()
    while (report.state === 'running') await new Promise((resolve) => setTimeout(resolve, 5))
    return report
  }
  return {
    catalogue,
    worm,
    decided,
    held,
    clock,
    drainer,
    copies,
    sealer,
    receive,
    sealAll,
    packOf,
    lockOf,
    yearsOf,
    said,
    dueNow,
    scrub,
    warnings,
  }
}

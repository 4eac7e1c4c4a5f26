import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { isCapacityAware, type StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import { isStorageError, StorageError } from '../../storage-adapters/contract/errors.ts'
import { checkStore, claimStore, readIdentity, type StoreIdentity } from '../../storage-adapters/contract/identity.ts'
import { bytesSource } from '../../storage-adapters/contract/read-source.ts'
import { FileStore } from '../../storage-adapters/file/file.ts'
import type { S3Options } from '../../storage-adapters/s3/options.ts'
import { s3Store } from '../../storage-adapters/s3/s3.ts'
import { type CircuitChange, circuitBreaker } from '../../storage-adapters/wrap/circuit-breaker.ts'
import { limit } from '../../storage-adapters/wrap/limit.ts'
import { metrics, type Observation } from '../../storage-adapters/wrap/metrics.ts'
import { retry } from '../../storage-adapters/wrap/retry.ts'
import type { StoreConfig } from '../config/stores.ts'
import { StoreIdentities } from './identities.ts'
import type { Store, StoreLock, Stores } from './ports.ts'
import { WhenOpen } from './when-open.ts'

/** Read by whoever finds the store in decades and has nothing else. */
const FORMAT_TEXT = 'storage-format.md'
const CAPACITY_FRESH_MS = 30_000
const REQUESTS_MAX = 32

export interface StoresOptions {
  configs: readonly StoreConfig[]
  dataDir: string
  archiveId: string
  observe(observation: Observation): void
  warn(message: string, details: object): void
}

/** The configured stores. One that can't be opened now keeps nobody from starting: `trouble` says so, and it is tried again when it is needed. */
export async function openStores(options: StoresOptions): Promise<Stores & { close(): Promise<void> }> {
  const identities = await StoreIdentities.open(join(options.dataDir, 'stores.json'))
  const all = await Promise.all(options.configs.map((config) => openStore(config, identities, options)))
  return {
    all,
    get: (id) => all.find((store) => store.id === id),
    close: async () => {
      await Promise.all(all.map((store) => store.adapter.close()))
    },
  }
}

async function openStore(config: StoreConfig, identities: StoreIdentities, options: StoresOptions): Promise<Store> {
  const inner = build(config, options.dataDir)
  const opened = new WhenOpen(inner, async () => {
    // Later a folder that is missing is a disk that isn't mounted, and must not be made up for.
    if (config.type === 'file' && identities.get(config.id) === undefined) {
      await mkdir(resolve(options.dataDir, config.folder), { recursive: true, mode: 0o750 })
    }
    await inner.open()
    await identify(inner, identities, options)
    await leaveFormatText(inner)
  })
  let isolated: string | undefined
  const onChange = ({ store, state, reason }: CircuitChange): void => {
    isolated = state === 'closed' ? undefined : reason
    options.warn('the state of a store changed', { store, state, reason })
  }
  const limited = limit(metrics(opened.adapter, options.observe), { requestsMax: REQUESTS_MAX })
  const guarded = circuitBreaker(limited, { probe: () => opened.reopen(), onChange })
  const adapter = retry(guarded)
  await opened.ensure().catch((error: Error) => {
    options.warn('a store could not be opened; it is tried again when it is needed', {
      store: config.id,
      reason: error.message,
    })
  })
  const capacity = fresh(CAPACITY_FRESH_MS, async () =>
    isCapacityAware(adapter) ? adapter.capacity().catch(() => undefined) : undefined,
  )
  return {
    id: config.id,
    adapter,
    lock: lockOf(config),
    probe: () => opened.reopen(),
    get trouble() {
      return opened.trouble ?? isolated
    },
    tryAgain: () => guarded.open().catch(() => undefined),
    capacity,
  }
}

function build(config: StoreConfig, dataDir: string): StorageAdapter {
  if (config.type === 's3') {
    const { type: _, initialLockDays: __, lockYearsMax: ___, ...settings } = config
    const given = Object.entries(settings).filter(([, value]) => value !== undefined)
    return s3Store(Object.fromEntries(given) as unknown as S3Options)
  }
  const { id, folder, immutable = false } = config
  return new FileStore({ id, folder: resolve(dataDir, folder), immutable })
}

function lockOf(config: StoreConfig): StoreLock | undefined {
  if (config.type !== 's3' || config.objectLock === 'none') return undefined
  return { mode: config.objectLock, initialDays: config.initialLockDays, yearsMax: config.lockYearsMax }
}

/**
 * A new store is claimed; one that was claimed before must be the same; another archive's is refused, and one that has
 * another name already: a pack in both would be one copy.
 */
async function identify(
  adapter: StorageAdapter,
  identities: StoreIdentities,
  { archiveId: archive, configs }: StoresOptions,
): Promise<void> {
  const known = identities.get(adapter.id)
  const found = known === undefined ? await readIdentity(adapter) : await checkStore(adapter, known)
  // The data folder was lost and restored, or made anew for this archive.
  const identity = known !== undefined || found?.archive === archive ? found : await claimStore(adapter, { archive })
  const { store } = identity as StoreIdentity
  // Where both names were given already, the first one in the configuration stays.
  const rivals =
    known === undefined
      ? configs
      : configs.slice(
          0,
          configs.findIndex(({ id }) => id === adapter.id),
        )
  const twin = identities.othersOf(adapter.id, store).find((other) => rivals.some(({ id }) => id === other))
  if (twin !== undefined) {
    throw new StorageError('misconfigured', `store ${adapter.id} is the same as store ${twin}; leave one of them out`)
  }
  if (known === undefined) await identities.remember(adapter.id, store)
}

async function leaveFormatText(adapter: StorageAdapter): Promise<void> {
  const path = formatTextPath()
  if (path === undefined) return
  const text = await readFile(path)
  try {
    await adapter.put(FORMAT_TEXT, bytesSource(text))
  } catch (error) {
    // An earlier text stays, and this one goes beside it.
    if (!isStorageError(error, 'exists_different')) throw error
    const digest = createHash('sha256').update(text).digest('hex').slice(0, 16)
    await adapter.put(FORMAT_TEXT.replace('.', `-${digest}.`), bytesSource(text))
  }
}

/** Beside the sources, and beside what was built of them. */
function formatTextPath(): string | undefined {
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const path = join(folder, 'docs', FORMAT_TEXT)
    if (existsSync(path)) return path
  }
  return undefined
}

function fresh<T>(forMs: number, ask: () => Promise<T>): () => Promise<T> {
  let last: { at: number; answer: Promise<T> } | undefined
  return () => {
    if (!last || performance.now() - last.at > forMs) last = { at: performance.now(), answer: ask() }
    return last.answer
  }
}

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
import { ArchiveError } from '../errors.ts'
import { AddedStores } from './added.ts'
import { adviceFor, Health } from './health.ts'
import { StoreIdentities } from './identities.ts'
import type { Store, StoreLock, Stores } from './ports.ts'
import { WhenOpen } from './when-open.ts'

/** Read by whoever finds the store in decades and has nothing else. */
const FORMAT_TEXT = 'storage-format.md'
const CAPACITY_FRESH_MS = 30_000
const REQUESTS_MAX = 32

export interface StoresOptions {
  /** Of the configuration; those that were added while a node ran come from a file of the data folder. */
  configs: readonly StoreConfig[]
  dataDir: string
  archiveId: string
  observe(observation: Observation): void
  warn(message: string, details: object): void
  /** Default: what the configuration says. Tests put bad stores in their place. */
  build?(config: StoreConfig, dataDir: string): StorageAdapter
}

/** Stores that come and go while the node runs. */
export interface ChangingStores extends Stores {
  /** Whether the store is in the administrator's configuration, where alone it can be taken out. */
  isConfigured(id: string): boolean
  /** `file`, `s3`. */
  typeOf(id: string): string
  /** It is there after a restart too. Throws StorageError when it can't be opened, ArchiveError `invalid_request`. */
  add(config: StoreConfig): Promise<Store>
  /** What it holds is not looked at. */
  remove(id: string): Promise<void>
  close(): Promise<void>
}

/** The configured stores. One that can't be opened now keeps nobody from starting: `trouble` says so, and it is tried again when it is needed. */
export async function openStores(options: StoresOptions): Promise<ChangingStores> {
  const identities = await StoreIdentities.open(join(options.dataDir, 'stores.json'))
  const added = await AddedStores.open(join(options.dataDir, 'stores-added.json'))
  const isConfigured = (id: string): boolean => options.configs.some((config) => config.id === id)
  const known = (): StoreConfig[] => [...options.configs, ...added.configs.filter(({ id }) => !isConfigured(id))]
  for (const { id } of added.configs) {
    if (isConfigured(id))
      options.warn('a store that was added is in the configuration too, which counts', { store: id })
  }
  const opening = known().map((config) => openStore(config, identities, { ...options, configs: known() }))
  let all: readonly OpenStore[] = await Promise.all(opening)
  return {
    get all() {
      return all
    },
    get: (id) => all.find((store) => store.id === id),
    isConfigured,
    typeOf: (id) => known().find((config) => config.id === id)?.type ?? '',
    async add(config) {
      if (all.some(({ id }) => id === config.id)) {
        throw new ArchiveError('invalid_request', `there is a store called ${config.id} already`)
      }
      const store = await openStore(config, identities, { ...options, configs: [...known(), config] })
      if (store.error) {
        await store.adapter.close()
        throw store.error
      }
      await added.add(config)
      all = [...all, store]
      return store
    },
    async remove(id) {
      const store = all.find((one) => one.id === id)
      await added.remove(id)
      all = all.filter((one) => one !== store)
      await store?.adapter.close()
    },
    close: async () => {
      await Promise.all(all.map((store) => store.adapter.close()))
    },
  }
}

interface OpenStore extends Store {
  /** Why it could not be opened. */
  readonly error: Error | undefined
}

async function openStore(config: StoreConfig, identities: StoreIdentities, options: StoresOptions): Promise<OpenStore> {
  const inner = (options.build ?? build)(config, options.dataDir)
  const health = new Health()
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
  const observe = (observation: Observation): void => {
    health.observe(observation)
    options.observe(observation)
  }
  const limited = limit(metrics(opened.adapter, observe), { requestsMax: REQUESTS_MAX })
  const guarded = circuitBreaker(limited, { probe: () => opened.reopen(), onChange })
  const adapter = retry(guarded)
  await opened.ensure().catch((error: Error) => {
    options.warn('a store could not be opened; it is tried again when it is needed', {
      store: config.id,
      reason: error.message,
    })
  })
  const capacity = fresh(async () => (isCapacityAware(adapter) ? adapter.capacity().catch(() => undefined) : undefined))
  return {
    id: config.id,
    tier: config.tier ?? 'online',
    weight: config.weight ?? 1,
    adapter,
    get health() {
      return health.share
    },
    get error() {
      return opened.error
    },
    lock: lockOf(config),
    probe: () => opened.reopen(),
    get trouble() {
      const reason = opened.trouble ?? isolated
      return reason && `${reason}: ${adviceFor(opened.error)}. It is used again by itself`
    },
    get refusal() {
      const { refused } = health
      if (!refused) return undefined
      return refused.code === 'out_of_space'
        ? 'it is full: add room or another store'
        : 'it may not be written to: see to the rights, and that it is not mounted read-only'
    },
    get takes() {
      return health.takes
    },
    tryAgain: () => guarded.open().catch(() => undefined),
    capacity,
  }
}

function build(config: StoreConfig, dataDir: string): StorageAdapter {
  if (config.type === 's3') {
    const { type: _, tier: __, weight: ___, initialLockDays: ____, lockYearsMax: _____, ...settings } = config
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

function fresh<T>(ask: () => Promise<T>): (ageMsMax?: number) => Promise<T> {
  let last: { at: number; answer: Promise<T> } | undefined
  return (ageMsMax = CAPACITY_FRESH_MS) => {
    if (!last || performance.now() - last.at > ageMsMax) last = { at: performance.now(), answer: ask() }
    return last.answer
  }
}

import { randomUUID } from 'node:crypto'
import type { StorageAdapter } from './adapter.ts'
import { isStorageError, StorageError } from './errors.ts'
import { bytesSource } from './read-source.ts'

/** The object at a store's root that says which store it is. */
export const IDENTITY_KEY = 'firn-store.json'
const IDENTITY_BYTES_MAX = 4096
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface StoreIdentity {
  /** Version of this format. */
  readonly firn: 1
  /** A UUID for the store's life, whatever it is called in a configuration. */
  readonly store: string
  /** ISO 8601. */
  readonly createdAt: string
  /** The archive that claimed it, in whatever words help a person who finds the disk. */
  readonly archive?: string
  readonly name?: string
}

/**
 * Makes an empty store one's own; resolves with its identity, which the archive must remember. Throws `misconfigured` when
 * it has an identity already, or anything else in it: then it isn't new, and perhaps another archive's.
 */
export async function claimStore(
  adapter: StorageAdapter,
  { archive, name = adapter.id, now = new Date() }: { archive?: string; name?: string; now?: Date } = {},
  signal?: AbortSignal,
): Promise<StoreIdentity> {
  const found = await readIdentity(adapter, signal)
  if (found) throw refusal(adapter, `is store ${found.store} already, of ${found.archive ?? 'an archive'}`)
  for await (const { key } of adapter.list({ signal })) throw refusal(adapter, `isn't empty: it holds ${key}`)
  const createdAt = now.toISOString()
  const identity: StoreIdentity = {
    firn: 1,
    store: randomUUID(),
    createdAt,
    ...(archive !== undefined && { archive }),
    name,
  }
  try {
    await adapter.put(IDENTITY_KEY, bytesSource(Buffer.from(`${JSON.stringify(identity, undefined, 2)}\n`)), { signal })
  } catch (error) {
    if (!isStorageError(error, 'exists_different')) throw error
  }
  // Two archives may claim it at the same moment, and not every store keeps them apart: what stands there counts.
  const standing = await readIdentity(adapter, signal)
  if (standing?.store === identity.store) return standing
  throw refusal(adapter, 'was claimed by somebody else at the same moment')
}

/**
 * Whether this is the store that was claimed before, to be asked whenever it was opened. Throws `misconfigured` when its
 * identity is missing or another, as on a wrong or an emptied disk at the same path: whatever such a store lacks isn't lost,
 * and nothing may be written to it.
 */
export async function checkStore(adapter: StorageAdapter, store: string, signal?: AbortSignal): Promise<StoreIdentity> {
  const found = await readIdentity(adapter, signal)
  if (!found)
    throw refusal(adapter, `has lost its identity (${store} was expected): is another or an emptied disk there?`)
  if (found.store === store) return found
  throw refusal(adapter, `is store ${found.store}, not ${store}: is another disk there?`)
}

/** Undefined where the store has none. Throws `misconfigured` when it can't be understood. */
export async function readIdentity(adapter: StorageAdapter, signal?: AbortSignal): Promise<StoreIdentity | undefined> {
  const text = await readText(adapter, signal)
  if (text === undefined) return undefined
  let found: Partial<StoreIdentity> | null
  try {
    found = JSON.parse(text)
  } catch {
    found = null
  }
  const { firn, store, createdAt } = found ?? {}
  if (firn === 1 && typeof store === 'string' && UUID.test(store) && typeof createdAt === 'string') {
    return found as StoreIdentity
  }
  throw refusal(adapter, `has an unreadable ${IDENTITY_KEY}`)
}

async function readText(adapter: StorageAdapter, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    const { stat, body } = await adapter.get(IDENTITY_KEY, { signal })
    if (stat.sizeBytes > IDENTITY_BYTES_MAX) {
      body.destroy()
      throw refusal(adapter, `has a ${IDENTITY_KEY} of ${stat.sizeBytes} bytes`)
    }
    const chunks: Buffer[] = []
    for await (const chunk of body) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    if (isStorageError(error, 'not_found')) return undefined
    throw error
  }
}

function refusal(adapter: StorageAdapter, what: string): StorageError {
  return new StorageError('misconfigured', `store ${adapter.id} ${what}`)
}

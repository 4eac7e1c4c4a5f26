import type { PutOptions } from '../../storage-adapters/contract/adapter.ts'
import type { Store } from './ports.ts'

const DAY_MS = 24 * 3_600_000

/**
 * Why a store's locks don't hold as they were asked for, in the words of its last probe; undefined where they do, and where
 * none were asked for. A store that is away is believed until it is probed again.
 */
export function lockFault({ lock, adapter }: Store): string | undefined {
  if (!lock || adapter.capabilities.objectLock === lock.mode) return undefined
  const lowered = adapter.capabilities.lowered.find(({ capability }) => capability === 'objectLock')
  return lowered?.reason ?? `it locks in mode ${adapter.capabilities.objectLock} only`
}

/** Why a store is no write-once storage; undefined where it was seen to be. */
export function whyNotWorm(store: Store): string | undefined {
  if (store.lock?.mode !== 'compliance') return 'it has no compliance lock'
  return lockFault(store)
}

/** A pack is locked briefly from the start, so that one that the catalogue never gets to know isn't kept for decades. */
export function initialLock(store: Store, nowMs: number): Pick<PutOptions, 'lockUntil'> {
  if (!store.lock || lockFault(store) !== undefined) return {}
  return { lockUntil: new Date(nowMs + Math.min(store.lock.initialDays, store.lock.yearsMax * 365) * DAY_MS) }
}

/** Why files aren't marked immutable though they should be. */
export function immutableFault({ adapter }: Store): string | undefined {
  return adapter.capabilities.lowered.find(({ capability }) => capability === 'immutableFiles')?.reason
}

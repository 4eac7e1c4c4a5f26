import { isRecallable } from '../../storage-adapters/contract/adapter.ts'
import { isStorageError } from '../../storage-adapters/contract/errors.ts'
import type { Source } from '../../storage-adapters/contract/source.ts'
import type { Pack } from '../catalogue/ports.ts'
import { recheckPack } from '../packing/verify.ts'
import type { Store } from '../stores/ports.ts'
import { initialLock } from '../stores/worm.ts'

/** `unreadable`: the store could not be asked, which says nothing of what it holds. */
export type CopyState = 'intact' | 'damaged' | 'unreadable'

/** A cold store has taken it, and can't give it back before it has recalled it, which was asked for. */
export class AwaitsRecall extends Error {
  override readonly name = 'AwaitsRecall'
}

const isCold = ({ adapter }: Store): boolean => adapter.capabilities.recall

/** Stores a pack, locked briefly where the store locks, and reads it back. Throws what the store throws, and where it gives back other bytes than it took. */
export async function putAndReadBack(store: Store, key: string, source: Source): Promise<void> {
  await store.adapter.put(key, source, initialLock(store, Date.now()))
  const { sha256, sizeBytes } = source
  const { state, found } = await readBack(store, { key, sha256, sizeBytes }, { recall: true })
  if (state === 'unreadable' && isCold(store)) throw new AwaitsRecall(`${store.id} must recall it first: ${found}`)
  if (state !== 'intact') throw new Error(`it does not give back what it took: ${found}`)
}

/**
 * Reads all that a store holds under a pack's key, and compares. `found` says in words what is wrong. With `recall` a cold
 * store is asked to make it readable for the next time.
 */
export async function readBack(
  store: Store | undefined,
  { key, sha256, sizeBytes }: Pick<Pack, 'key' | 'sha256' | 'sizeBytes'>,
  { recall = false } = {},
): Promise<{ state: CopyState; found?: string }> {
  if (!store) return { state: 'unreadable', found: 'the store is not configured' }
  const { adapter } = store
  try {
    const stat = await adapter.stat(key)
    if (stat.sizeBytes !== sizeBytes) return { state: 'damaged', found: `it has ${stat.sizeBytes} bytes` }
    const read = async function* (start: number, end: number): AsyncGenerator<Buffer> {
      const { body } = await adapter.get(key, { range: { start, end } })
      yield* body as AsyncIterable<Buffer>
    }
    const { faults } = await recheckPack(read, sizeBytes, sha256)
    const [fault] = faults
    return fault ? { state: 'damaged', found: `${fault.member ?? 'the pack'}: ${fault.problem}` } : { state: 'intact' }
  } catch (error) {
    if (recall && isStorageError(error, 'recall_needed') && isRecallable(adapter)) {
      await adapter.requestRecall([key]).catch(() => undefined)
    }
    if (isStorageError(error, 'not_found')) return { state: 'damaged', found: 'it is not there' }
    return { state: 'unreadable', found: (error as Error).message }
  }
}

import type { ObjectStat } from '../../storage-adapters/contract/adapter.ts'
import type { Pack } from '../catalogue/ports.ts'

/** One key: what the catalogue says of it, and what the stores that have it say. */
export interface Matched {
  key: string
  pack: Pack | undefined
  objects: ReadonlyMap<string, ObjectStat>
}

/** A sorted listing of one store. */
export interface Listing {
  store: string
  objects: AsyncIterable<ObjectStat>
}

export interface MergeOptions {
  /** Packs in the order of their keys, behind a key. */
  packs(afterKey: string): Promise<Pack[]>
  listings: readonly Listing[]
  /** A listing failed: nothing more is said of this store, least of all that something is missing from it. */
  failed(store: string, error: Error): void
}

/** The next object of a listing. */
interface Head {
  store: string
  iterator: AsyncIterator<ObjectStat>
  object: ObjectStat
}

/**
 * Merges the stores' listings with the catalogue's, key by key in the order of bytes. Holds one page of packs and one object
 * of each store, whatever there is.
 */
export async function* merge({ packs, listings, failed }: MergeOptions): AsyncGenerator<Matched> {
  const heads: Head[] = []
  const advance = async (store: string, iterator: AsyncIterator<ObjectStat>): Promise<void> => {
    try {
      const { value, done } = await iterator.next()
      if (!done) heads.push({ store, iterator, object: value })
    } catch (error) {
      failed(store, error as Error)
    }
  }
  const known = allPacks(packs)
  let pack = (await known.next()).value as Pack | undefined
  try {
    for (const { store, objects } of listings) await advance(store, objects[Symbol.asyncIterator]())
    while (heads.length > 0 || pack) {
      const key = [...heads.map(({ object }) => object.key), ...(pack ? [pack.key] : [])].reduce(lesser)
      const here = heads.filter(({ object }) => object.key === key)
      const isKnown = pack?.key === key
      yield {
        key,
        pack: isKnown ? pack : undefined,
        objects: new Map(here.map(({ store, object }) => [store, object])),
      }
      for (const head of here) {
        heads.splice(heads.indexOf(head), 1)
        await advance(head.store, head.iterator)
      }
      if (isKnown) pack = (await known.next()).value as Pack | undefined
    }
  } finally {
    for (const { iterator } of heads) await iterator.return?.()
  }
}

const lesser = (a: string, b: string): string => (a < b ? a : b)

async function* allPacks(packs: MergeOptions['packs']): AsyncGenerator<Pack> {
  for (let after = ''; ; ) {
    const page = await packs(after)
    yield* page
    const last = page.at(-1)
    if (!last) return
    after = last.key
  }
}

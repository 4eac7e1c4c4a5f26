import { createHash } from 'node:crypto'
import type { DigestEntry, DigestSum } from './ports.ts'

/** 32 bytes that stand for an entry: which bytes under which UID, and whether they are what is served. */
export function entryHash({ sha256, sopInstanceUid, served }: DigestEntry): Buffer {
  return createHash('sha256')
    .update(`${sha256} ${sopInstanceUid} ${served ? 'served' : 'kept'}\n`)
    .digest()
}

/** Sums entries by the two digits behind a prefix, in whatever order they come. */
export class Sums {
  readonly #prefix: string
  readonly #parts = new Map<string, { count: number; hash: Buffer }>()

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  add(entry: DigestEntry): void {
    const key = entry.sha256.slice(0, this.#prefix.length + 2)
    let part = this.#parts.get(key)
    if (!part) {
      part = { count: 0, hash: Buffer.alloc(32) }
      this.#parts.set(key, part)
    }
    part.count += 1
    const hash = entryHash(entry)
    for (let at = 0; at < hash.length; at++) part.hash[at] = (part.hash[at] as number) ^ (hash[at] as number)
  }

  parts(): DigestSum[] {
    return [...this.#parts]
      .map(([prefix, { count, hash }]) => ({ prefix, count, hash: hash.toString('hex') }))
      .sort((a, b) => (a.prefix < b.prefix ? -1 : 1))
  }
}

import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { StorageAdapter } from '../contract/adapter.ts'
import { bodyOf } from '../contract/body.ts'
import { StorageError } from '../contract/errors.ts'
import { layer } from './layer.ts'

export interface VerifyReadOptions {
  /** The SHA-256 of an object, where it is known from elsewhere than the store: that is what counts. */
  expected?: (key: string) => string | undefined | Promise<string | undefined>
}

/**
 * Compares the digest of every whole object that is read with the one that is expected (or, where none is, with the one
 * that the store recorded). The last piece is held back until the digest is known, so nobody gets a whole object that is
 * wrong: the body fails with `integrity_mismatch`. A range can't be checked so, and passes.
 */
export function verifyRead(inner: StorageAdapter, { expected }: VerifyReadOptions = {}): StorageAdapter {
  return layer(inner, (_, next) => next(), {
    async get(key, options) {
      const known = options?.range ? undefined : await expected?.(key)
      const { stat, body } = await inner.get(key, options)
      const sha256 = known ?? stat.sha256
      if (options?.range || sha256 === undefined) return { stat, body }
      const chunks = verified(body, sha256, `${inner.id}: ${key}`)
      return { stat, body: bodyOf(chunks, { release: () => body.destroy(), signal: options?.signal }) }
    },
  })
}

async function* verified(body: Readable, sha256: string, what: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let heldBack: Buffer | undefined
  for await (const chunk of body) {
    if (heldBack) yield heldBack
    heldBack = chunk as Buffer
    hash.update(heldBack)
  }
  const found = hash.digest('hex')
  if (found !== sha256) throw new StorageError('integrity_mismatch', `${what} has the digest ${found}, not ${sha256}`)
  if (heldBack) yield heldBack
}

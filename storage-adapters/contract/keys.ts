import { StorageError } from './errors.ts'

const KEY_CHARS_MAX = 512
const SEGMENT_CHARS_MAX = 200
/** Names that begin with a dot are left to adapters for what they keep beside the objects. */
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/
const PREFIX = /^[A-Za-z0-9._/-]*$/

/**
 * A key is relative: segments of `[A-Za-z0-9._-]`, none of which begins with a dot or is longer than 200 characters,
 * joined by `/`, 512 characters at the most. That is safe as a path on every file system and as an object's key in every
 * bucket, so one key names a pack everywhere.
 */
export function isKey(key: string): boolean {
  return (
    key.length <= KEY_CHARS_MAX &&
    key.split('/').every((segment) => segment.length <= SEGMENT_CHARS_MAX && SEGMENT.test(segment))
  )
}

/** Throws `unsupported` for what is no key. Every adapter calls it before anything else. */
export function checkKey(key: string): void {
  if (isKey(key)) return
  throw new StorageError('unsupported', `not a key: ${JSON.stringify(String(key).slice(0, 80))}`)
}

/** A prefix is the beginning of a key, possibly in the middle of a segment. Throws `unsupported`. */
export function checkPrefix(prefix: string): void {
  const segments = prefix.split('/')
  const whole = segments.slice(0, -1).every((segment) => SEGMENT.test(segment))
  if (prefix.length <= KEY_CHARS_MAX && PREFIX.test(prefix) && whole && !segments.at(-1)?.startsWith('.')) return
  throw new StorageError('unsupported', `not the beginning of a key: ${JSON.stringify(prefix.slice(0, 80))}`)
}

import { isStorageError, StorageError, type StorageErrorCode } from '../contract/errors.ts'

/** What the system's errors (errno(3)) mean for a store. What isn't here counts as `unavailable`. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  ENOENT: 'not_found',
  // A part of the path is an object: `a` is there, and `a/b` is asked for.
  ENOTDIR: 'not_found',
  ENOSPC: 'out_of_space',
  EDQUOT: 'out_of_space',
  EACCES: 'permission_denied',
  EPERM: 'permission_denied',
  EROFS: 'permission_denied',
  EFBIG: 'unsupported',
  ENAMETOOLONG: 'unsupported',
  ELOOP: 'unsupported',
  EXDEV: 'misconfigured',
  EMFILE: 'rate_limited',
  ENFILE: 'rate_limited',
  // EIO, ESTALE, ETIMEDOUT, ENODEV, ENOTCONN, EHOSTDOWN, EBUSY, EAGAIN, ENOMEM, and what else a file system invents.
}

/** `what` begins the message: the store and the key, or what was done. */
export function fileError(error: unknown, what: string): StorageError {
  if (isStorageError(error)) return error
  const { code = '', message } = error as NodeJS.ErrnoException
  return new StorageError(CODES[code] ?? 'unavailable', `${what}: ${message}`, { cause: error })
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException | undefined)?.code ?? '')
}

import {
  type HeadObjectCommandOutput,
  type ObjectLockRetentionMode,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import type { ObjectLock } from '../contract/adapter.ts'
import { StorageError } from '../contract/errors.ts'
import type { Bucket } from './bucket.ts'

const MODES = { governance: 'GOVERNANCE', compliance: 'COMPLIANCE' } as const

export function retentionMode(mode: 'governance' | 'compliance'): ObjectLockRetentionMode {
  return MODES[mode]
}

export function lockOf(head: HeadObjectCommandOutput): ObjectLock {
  const legalHold = head.ObjectLockLegalHoldStatus === 'ON'
  const until = head.ObjectLockRetainUntilDate
  if (until === undefined) return { mode: 'none', legalHold }
  return { mode: head.ObjectLockMode === 'COMPLIANCE' ? 'compliance' : 'governance', until, legalHold }
}

/** Stores keep whole seconds; a lock must not end before it should. */
export function wholeSecond(date: Date): Date {
  return new Date(Math.ceil(date.getTime() / 1000) * 1000)
}

/**
 * Locks a version at least until then, in a request of its own: lock headers of an upload in parts, or of a copy, are
 * dropped in silence by some stores. Resolves with what the store shows afterwards; throws `misconfigured` when that isn't
 * a lock as it was asked for.
 */
export async function extend(
  bucket: Bucket,
  key: string,
  mode: 'governance' | 'compliance',
  until: Date,
  signal?: AbortSignal,
): Promise<ObjectLock> {
  const head = await bucket.head(key, signal)
  const before = lockOf(head)
  const strongEnough = before.mode === mode || before.mode === 'compliance'
  if (strongEnough && before.until && before.until >= until) return before
  const longest = before.until && before.until > until ? before.until : until
  // Nobody can make a lock weaker.
  const Mode = before.mode === 'compliance' ? 'COMPLIANCE' : retentionMode(mode)
  const version = head.VersionId === undefined ? {} : { VersionId: head.VersionId }
  await bucket.send(
    new PutObjectRetentionCommand({
      ...bucket.at(key),
      ...version,
      Retention: { Mode, RetainUntilDate: wholeSecond(longest) },
    }),
    { signal, write: true, what: `lock of ${key}` },
  )
  const after = lockOf(await bucket.head(key, signal, head.VersionId))
  const isAsStrong = after.mode === mode || after.mode === 'compliance'
  if (!isAsStrong || !after.until || after.until < until) {
    const shown = after.until ? `${after.mode} until ${after.until.toISOString()}` : 'none'
    throw new StorageError('misconfigured', `${bucket.id}: a lock of ${key} was accepted, but the store shows ${shown}`)
  }
  return after
}

export async function setLegalHold(
  bucket: Bucket,
  key: string,
  on: boolean,
  signal?: AbortSignal,
): Promise<ObjectLock> {
  const head = await bucket.head(key, signal)
  const version = head.VersionId === undefined ? {} : { VersionId: head.VersionId }
  await bucket.send(
    new PutObjectLegalHoldCommand({ ...bucket.at(key), ...version, LegalHold: { Status: on ? 'ON' : 'OFF' } }),
    { signal, write: true, what: `legal hold of ${key}` },
  )
  const after = lockOf(await bucket.head(key, signal, head.VersionId))
  if (after.legalHold !== on) {
    throw new StorageError(
      'misconfigured',
      `${bucket.id}: a legal hold of ${key} was accepted, but isn't as it was set`,
    )
  }
  return after
}

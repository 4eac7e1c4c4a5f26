import { randomUUID } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetObjectLockConfigurationCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import { isStorageError, StorageError } from '../contract/errors.ts'
import type { Bucket } from './bucket.ts'
import { isHttp, isNamed, s3Error } from './errors.ts'
import { extend, lockOf, retentionMode, wholeSecond } from './locks.ts'

/** Keys that no `put` can have, since they begin with a dot. */
export const PROBES = '.firn-probe/'

const REFUSALS = ['AccessDenied', 'ObjectLocked', 'InvalidRequest', 'InvalidRetentionPeriod', 'MethodNotAllowed']

/**
 * Locks an object and tries to get rid of it. Returns what the store did that it mustn't, in a sentence, or undefined when
 * its locks hold. Throws when it can't be told, for instance because the store doesn't answer.
 */
export async function probeLocks(
  bucket: Bucket,
  mode: 'governance' | 'compliance',
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (!(await hasObjectLock(bucket, signal))) return 'the bucket was made without object lock'
  const key = `${PROBES}lock-${randomUUID()}`
  const until = wholeSecond(new Date(Date.now() + bucket.settings.canaryLockMs))
  const stored = await bucket.send(new PutObjectCommand({ ...bucket.at(key), Body: Buffer.from('canary') }), {
    signal,
    what: 'canary',
  })
  const version = stored.VersionId
  if (version === undefined) return 'the bucket gives no versions'
  try {
    await extend(bucket, key, mode, until, signal)
  } catch (error) {
    if (!isStorageError(error, 'misconfigured', 'unsupported', 'permission_denied')) throw error
    return `no lock could be set: ${error.message}`
  }
  for (const [what, command] of attacks(bucket, key, version, mode, until)) {
    if (await isRefused(bucket, command, signal)) continue
    // What a slow store does after the lock has run out is its right.
    if (Date.now() >= until.getTime() - 1000)
      throw new StorageError('unavailable', `${bucket.id}: the probe took too long`)
    return `a locked object could be ${what}`
  }
  const lock = lockOf(await bucket.head(key, signal, version))
  if (lock.mode === mode && lock.until && lock.until >= until) return undefined
  return 'a lock changed though every attempt to change it was refused'
}

type Attack = DeleteObjectCommand | PutObjectRetentionCommand

function attacks(
  bucket: Bucket,
  key: string,
  version: string,
  mode: 'governance' | 'compliance',
  until: Date,
): [string, Attack][] {
  const at = { ...bucket.at(key), VersionId: version }
  const [earlier, later] = [new Date(until.getTime() - 1000), new Date(until.getTime() + 1000)]
  const retain = (Mode: 'GOVERNANCE' | 'COMPLIANCE', RetainUntilDate: Date, bypass: boolean) =>
    new PutObjectRetentionCommand({
      ...at,
      Retention: { Mode, RetainUntilDate },
      ...(bypass && { BypassGovernanceRetention: true }),
    })
  const any: [string, Attack][] = [
    ['deleted', new DeleteObjectCommand(at)],
    ['unlocked earlier than its lock says', retain(retentionMode(mode), earlier, false)],
  ]
  // Whoever may bypass governance does so by right.
  if (mode === 'governance') return any
  return [
    ...any,
    ['deleted by bypassing governance', new DeleteObjectCommand({ ...at, BypassGovernanceRetention: true })],
    ['unlocked earlier by bypassing governance', retain('COMPLIANCE', earlier, true)],
    ['put under the weaker governance', retain('GOVERNANCE', later, false)],
    ['put under the weaker governance by bypassing it', retain('GOVERNANCE', later, true)],
  ]
}

async function isRefused(bucket: Bucket, command: Attack, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await bucket.sendRaw(command, signal)
    return false
  } catch (error) {
    if (isNamed(error, ...REFUSALS) || isHttp(error, 403)) return true
    throw s3Error(error, `${bucket.id}: canary`, { write: false })
  }
}

async function hasObjectLock(bucket: Bucket, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const command = new GetObjectLockConfigurationCommand({ Bucket: bucket.settings.bucket })
    const { ObjectLockConfiguration } = await bucket.send(command, { signal, what: 'object lock' })
    return ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled'
  } catch (error) {
    // Not the bucket but its configuration is what wasn't found.
    if (error instanceof StorageError && ['misconfigured', 'not_found', 'unsupported'].includes(error.code))
      return false
    throw error
  }
}

import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { lstat, open, unlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import { StorageError } from '../contract/errors.ts'
import { hasCode } from './errors.ts'
import { newIncoming, unlinkIncoming } from './incoming.ts'

const run = promisify(execFile)
const PATIENCE_MS = 30_000

/**
 * Sets or takes back the immutable flag of a file (FS_IMMUTABLE_FL, ioctl_iflags(2)) by chattr(1), as node has no ioctl.
 * The path is absolute, so none is taken for an option. Throws `unavailable`.
 */
export async function setImmutable(path: string, on: boolean): Promise<void> {
  try {
    await run('chattr', [on ? '+i' : '-i', path], { timeout: PATIENCE_MS })
  } catch (cause) {
    throw new StorageError('unavailable', `${path}: ${wordsOf(cause)}`, { cause })
  }
}

/**
 * Marks an object. A name that a writer, killed after it had published, left beside the object's own must go first: it
 * couldn't be removed afterwards.
 */
export async function makeImmutable(path: string, incoming: string): Promise<void> {
  const { ino, nlink } = await lstat(path)
  if (nlink > 1) {
    await unlinkIncoming(incoming, ino).catch((error: unknown) => {
      // It is marked already, and so has no second name that could go.
      if (!hasCode(error, 'EPERM')) throw error
    })
  }
  await setImmutable(path, true)
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Removes a file that may be marked. */
export async function unlinkMarked(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (!hasCode(error, 'EPERM')) throw error
    // Without the right to take the mark back, what unlink(2) said stands.
    await setImmutable(path, false).catch(() => {
      throw error
    })
    await unlink(path)
  }
}

/** Why files can't be marked here, or a mark keeps nothing, in a sentence; undefined where it does what it should. */
export async function probeImmutable(incoming: string): Promise<string | undefined> {
  const path = newIncoming(incoming)
  await (await open(path, 'wx', 0o440)).close()
  try {
    await setImmutable(path, true)
    const kept = await unlink(path).then(
      () => false,
      (error: unknown) => hasCode(error, 'EPERM'),
    )
    return kept ? undefined : 'a file that was marked immutable could be removed'
  } catch (error) {
    return `files can't be marked immutable here: ${(error as Error).message}`
  } finally {
    await setImmutable(path, false).catch(() => undefined)
    await unlink(path).catch(() => undefined)
  }
}

function wordsOf(cause: unknown): string {
  if (hasCode(cause, 'ENOENT')) return 'there is no chattr'
  const { stderr } = cause as { stderr?: string }
  return stderr?.trim().replaceAll('\n', ' ') || (cause as Error).message
}

import { link, open, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { StorageError } from '../contract/errors.ts'
import { hasCode } from './errors.ts'
import { syncFolder } from './folders.ts'
import { newIncoming } from './incoming.ts'

/**
 * Whether the file system keeps what `put` relies on: a file in one folder can be linked into another, a second link to
 * the same name is refused, and folders can be synced. Throws `misconfigured` where it doesn't.
 */
export async function probeLinks(root: string, incoming: string): Promise<void> {
  const from = newIncoming(incoming)
  const to = join(root, `.firn-probe-${basename(from)}`)
  try {
    await (await open(from, 'wx', 0o440)).close()
    await linkOnce(from, to)
    if (await linksAgain(from, to)) throw misconfigured(root, 'lets one hard link replace another')
    await syncFolder(root).catch((cause: unknown) => {
      if (hasCode(cause, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP')) throw misconfigured(root, "can't sync folders", cause)
      throw cause
    })
  } finally {
    await unlink(to).catch(() => undefined)
    await unlink(from).catch(() => undefined)
  }
}

async function linkOnce(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (cause) {
    // EPERM is what link(2) gives where there are no hard links.
    if (hasCode(cause, 'EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EMLINK')) {
      throw misconfigured(to, 'has no hard links from one folder to another', cause)
    }
    throw cause
  }
}

async function linksAgain(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
}

function misconfigured(path: string, what: string, cause?: unknown): StorageError {
  return new StorageError('misconfigured', `the file system of ${path} ${what}, which a store needs`, { cause })
}

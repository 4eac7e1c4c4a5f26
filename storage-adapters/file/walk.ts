import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStat } from '../contract/adapter.ts'
import { isKey } from '../contract/keys.ts'
import { hasCode } from './errors.ts'

/** Names of one folder that are held at a time; a larger folder is read several times. */
const NAMES_MAX = 20_000
const STATS_AT_ONCE = 32

/** A name in a folder, as it sorts among keys: that of a folder ends in a slash. */
type Name = string

/**
 * Files below the root whose keys begin with `prefix` and come after `after`, in the order of their keys. Holds at most
 * 20,000 names for each level of folders, whatever their number.
 */
export async function* walk(
  root: string,
  prefix: string,
  after: string,
  namesMax = NAMES_MAX,
): AsyncGenerator<ObjectStat> {
  yield* walkFolder({ root, prefix, after, namesMax }, '')
}

interface Walk {
  readonly root: string
  readonly prefix: string
  readonly after: string
  readonly namesMax: number
}

/** `folder` is empty for the root, else it ends in a slash. */
async function* walkFolder(walk: Walk, folder: string): AsyncGenerator<ObjectStat> {
  let last: Name = ''
  for (;;) {
    const names = await nextNames(walk, folder, last)
    let files: string[] = []
    for (const name of names) {
      if (!name.endsWith('/')) {
        files.push(folder + name)
        if (files.length < STATS_AT_ONCE) continue
      }
      yield* stats(walk.root, files)
      files = []
      if (name.endsWith('/')) yield* walkFolder(walk, folder + name)
    }
    yield* stats(walk.root, files)
    if (names.length < walk.namesMax) return
    last = names.at(-1) as Name
  }
}

/** The first names of the folder after `last`, sorted, as many as are held at a time. */
async function nextNames(walk: Walk, folder: string, last: Name): Promise<Name[]> {
  let names: Name[] = []
  const keepFirst = () => {
    names = names.sort().slice(0, walk.namesMax)
  }
  try {
    for await (const entry of await opendir(join(walk.root, folder), { bufferSize: 1024 })) {
      const name = entry.isDirectory() ? `${entry.name}/` : entry.name
      if (name <= last || !isWanted(walk, folder + name, entry.isFile() || entry.isDirectory())) continue
      names.push(name)
      if (names.length >= 2 * walk.namesMax) keepFirst()
    }
  } catch (error) {
    // It went away since its name was read: nothing is in it.
    if (folder === '' || !hasCode(error, 'ENOENT')) throw error
  }
  keepFirst()
  return names
}

/** Whether a path is a key of the walk, or a folder that may hold some. */
function isWanted({ prefix, after }: Walk, path: string, isFileOrFolder: boolean): boolean {
  if (!path.endsWith('/')) return isFileOrFolder && path.startsWith(prefix) && path > after && isKey(path)
  if (!isKey(path.slice(0, -1))) return false
  const mayMatch = path.startsWith(prefix) || prefix.startsWith(path)
  // Everything below a folder begins with its path; only if that sorts before `after` and doesn't begin it, all are done.
  return mayMatch && (path > after || after.startsWith(path))
}

async function* stats(root: string, keys: readonly string[]): AsyncGenerator<ObjectStat> {
  const found = await Promise.all(keys.map((key) => statOf(root, key)))
  for (const stat of found) if (stat) yield stat
}

async function statOf(root: string, key: string): Promise<ObjectStat | undefined> {
  try {
    const { size, mtime } = await lstat(join(root, key))
    return { key, sizeBytes: size, modifiedAt: mtime }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

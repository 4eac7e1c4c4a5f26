import { opendir } from 'node:fs/promises'
import { join } from 'node:path'

/** Names of one folder that are held at a time; a larger folder is read several times. */
const NAMES_MAX = 20_000

/** What a walk meets: a file, or a folder that can't be read. */
export type Met = { path: string } | { path: string; unreadable: string }

/**
 * Files below a folder, always in the same order, behind `after` if given. Links are not followed, so it ends. Holds at most
 * 20,000 names for each level of folders, whatever their number.
 */
export async function* walk(root: string, after = '', namesMax = NAMES_MAX): AsyncGenerator<Met> {
  yield* walkFolder({ root, after, namesMax }, '')
}

interface Walk {
  root: string
  after: string
  namesMax: number
}

/** `folder` is empty for the root, else it ends in a slash. */
async function* walkFolder(walk: Walk, folder: string): AsyncGenerator<Met> {
  for (let last = ''; ; ) {
    let names: string[]
    try {
      names = await nextNames(walk, folder, last)
    } catch (error) {
      if (folder === '') throw error
      yield { path: folder, unreadable: (error as Error).message }
      return
    }
    for (const name of names) {
      if (name.endsWith('/')) yield* walkFolder(walk, folder + name)
      else yield { path: folder + name }
    }
    if (names.length < walk.namesMax) return
    last = names.at(-1) as string
  }
}

/** The first names of a folder behind `last`, sorted; those of folders end in a slash. */
async function nextNames(walk: Walk, folder: string, last: string): Promise<string[]> {
  let names: string[] = []
  const keepFirst = (): void => {
    names = names.sort().slice(0, walk.namesMax)
  }
  for await (const entry of await opendir(join(walk.root, folder), { bufferSize: 1024 })) {
    if (!entry.isDirectory() && !entry.isFile()) continue
    const name = entry.isDirectory() ? `${entry.name}/` : entry.name
    if (name <= last || !isBehind(folder + name, walk.after)) continue
    names.push(name)
    if (names.length >= 2 * walk.namesMax) keepFirst()
  }
  keepFirst()
  return names
}

/** A folder that `after` is in may hold what comes behind it. */
function isBehind(path: string, after: string): boolean {
  return path > after || (path.endsWith('/') && after.startsWith(path))
}

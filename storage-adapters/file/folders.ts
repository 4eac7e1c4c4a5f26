import { mkdir, open, rmdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode } from './errors.ts'

const REMEMBERED_MAX = 4096

/** Makes names in a folder durable: a new or removed file survives power loss only after this. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The folders below a root: makes them so that they survive power loss, and removes those that became empty. */
export class Folders {
  readonly #root: string
  /** Folders whose names are durable, by what makes each the one that it was. The least recently made first. */
  readonly #durable = new Map<string, string>()

  constructor(root: string) {
    this.#root = root
  }

  /**
   * Makes the folder and those above it, and syncs each into its parent. One that is there may have been made a moment ago
   * by a writer that hasn't synced it yet, so it counts only when it is known from before.
   */
  async ensure(path: string): Promise<void> {
    if (path === this.#root || (await this.#isKnown(path))) return
    await this.ensure(dirname(path))
    try {
      await mkdir(path, 0o750)
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error
    }
    await syncFolder(dirname(path))
    this.#remember(path, await identityOf(path))
  }

  /** Removes the folder if it is empty, and then those above it. */
  async prune(path: string): Promise<void> {
    for (let folder = path; folder !== this.#root; folder = dirname(folder)) {
      // Forgotten first: a writer that comes in between makes it anew and must sync it.
      this.#durable.delete(folder)
      try {
        await rmdir(folder)
        await syncFolder(dirname(folder))
      } catch {
        // Not empty, or somebody else was faster; an empty folder that stays harms nobody.
        return
      }
    }
  }

  /** Syncs the folder, or the one above it that is still there. */
  async syncNearest(path: string): Promise<void> {
    try {
      await syncFolder(path)
    } catch (error) {
      if (path === this.#root || !hasCode(error, 'ENOENT')) throw error
      await this.syncNearest(dirname(path))
    }
  }

  async #isKnown(path: string): Promise<boolean> {
    const known = this.#durable.get(path)
    if (known === undefined) return false
    const now = await identityOf(path).catch(() => undefined)
    return known === now
  }

  #remember(path: string, identity: string): void {
    this.#durable.delete(path)
    this.#durable.set(path, identity)
    const oldest = this.#durable.keys().next().value
    if (this.#durable.size > REMEMBERED_MAX && oldest !== undefined) this.#durable.delete(oldest)
  }
}

/** Tells a folder from another one at the same path. */
export async function identityOf(path: string): Promise<string> {
  const { dev, ino } = await stat(path)
  return `${dev} ${ino}`
}

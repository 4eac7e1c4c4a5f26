import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { FolderLock } from './folder-lock.ts'
import { syncFolder } from './sync-folder.ts'

/** Another node uses the data folder. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse'
}

/** How the command line finds a running node. */
export interface RunningNode {
  pid: number
  url: string
  /** Lets whoever may read this file speak to the API as an administrator. */
  token: string
}

const LOCK = 'node.lock'
const RUNNING = 'node.json'
const IDENTITY = 'firn.json'

/** One node's folder: at most one process writes to it, and it knows which archive it belongs to. */
export class DataFolder {
  readonly path: string
  readonly archiveId: string
  readonly landing: string
  readonly metadata: string
  readonly events: string
  readonly records: string
  readonly #lock: FolderLock

  private constructor(path: string, archiveId: string, lock: FolderLock) {
    this.path = path
    this.archiveId = archiveId
    this.landing = join(path, 'landing')
    this.metadata = join(path, 'cache', 'metadata')
    this.events = join(path, 'events')
    this.records = join(path, 'records')
    this.#lock = lock
  }

  /** Locks the folder, making it if need be; its names are durable afterwards. Throws FolderInUse. */
  static async open(path: string): Promise<DataFolder> {
    await makeFolder(resolve(path))
    const lock = await FolderLock.take(join(path, LOCK))
    if (!lock) {
      const holder = await runningNode(path)
      const who = holder ? `process ${holder.pid} (${holder.url})` : 'another process'
      throw new FolderInUse(`${who} uses the data folder ${path}; stop it, or give another --data`)
    }
    try {
      const folder = new DataFolder(path, await identity(path), lock)
      await makeFolder(resolve(folder.landing))
      return folder
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** Says where the node is to be found, and gives it a token for the command line. */
  async announce(url: string): Promise<string> {
    const token = randomBytes(32).toString('base64url')
    const running: RunningNode = { pid: process.pid, url, token }
    await writeFile(join(this.path, RUNNING), `${JSON.stringify(running)}\n`, { mode: 0o600 })
    return token
  }

  async close(): Promise<void> {
    await unlink(join(this.path, RUNNING)).catch(() => undefined)
    await this.#lock.release()
  }
}

/** The node that runs on this folder, for the command line on the same machine; undefined when none does. */
export async function runningNode(path: string): Promise<RunningNode | undefined> {
  try {
    const running = JSON.parse(await readFile(join(path, RUNNING), 'utf8')) as RunningNode
    process.kill(running.pid, 0)
    return running
  } catch {
    return undefined
  }
}

/** Makes a folder whose name, and those of the folders made above it, survive power loss. */
async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o750 })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

/** Of the archive that a data folder belongs to; undefined where it belongs to none yet. */
export async function archiveIdOf(path: string): Promise<string | undefined> {
  return existsSync(join(path, IDENTITY)) ? identity(path) : undefined
}

/** An archive has one random name for life, which its catalogue must know too. */
async function identity(path: string): Promise<string> {
  const file = join(path, IDENTITY)
  if (existsSync(file)) return (JSON.parse(await readFile(file, 'utf8')) as { archive: string }).archive
  const archive = randomUUID()
  const draft = `${file}.${randomUUID()}`
  const handle = await open(draft, 'wx', 0o640)
  try {
    await handle.writeFile(`${JSON.stringify({ archive, createdAt: new Date().toISOString() })}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, file)
  await syncFolder(path)
  return archive
}

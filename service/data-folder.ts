import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { link, mkdir, open, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

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

  private constructor(path: string, archiveId: string) {
    this.path = path
    this.archiveId = archiveId
    this.landing = join(path, 'landing')
    this.metadata = join(path, 'cache', 'metadata')
  }

  /** Locks the folder, making it if need be. Throws FolderInUse. */
  static async open(path: string): Promise<DataFolder> {
    await mkdir(path, { recursive: true, mode: 0o750 })
    await lock(path)
    return new DataFolder(path, await identity(path))
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
    await unlink(join(this.path, LOCK)).catch(() => undefined)
  }
}

/** The node that runs on this folder; undefined when none does. */
export async function runningNode(path: string): Promise<RunningNode | undefined> {
  try {
    const running = JSON.parse(await readFile(join(path, RUNNING), 'utf8')) as RunningNode
    return isAlive(running.pid) ? running : undefined
  } catch {
    return undefined
  }
}

/** A process by its number and start, since numbers come again. */
interface Holder {
  pid: number
  startedAt: string
}

/** The lock's name appears whole or not at all, by link(2); one that a dead process left is taken over. */
async function lock(path: string): Promise<void> {
  const file = join(path, LOCK)
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, JSON.stringify({ pid: process.pid, startedAt: startOf(process.pid) } satisfies Holder))
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        return await link(draft, file)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        await breakStaleLock(path, file)
      }
    }
    throw new FolderInUse(`the data folder ${path} is being locked by others; try again`)
  } finally {
    await unlink(draft)
  }
}

async function breakStaleLock(path: string, file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return
  let holder: Holder | undefined
  try {
    holder = JSON.parse(text)
  } catch {
    // Torn by a power loss: its writer is gone.
  }
  if (holder && isAlive(holder.pid) && startOf(holder.pid) === holder.startedAt) {
    throw new FolderInUse(`process ${holder.pid} uses the data folder ${path}; stop it, or give another --data`)
  }
  // Moved away first: of two who find it stale only one gets it. Who got a lock that was new puts it back.
  const stale = `${file}.${randomUUID()}.stale`
  await rename(file, stale).catch(() => undefined)
  const moved = await readFile(stale, 'utf8').catch(() => undefined)
  if (moved !== undefined && moved !== text) await link(stale, file).catch(() => undefined)
  await unlink(stale).catch(() => undefined)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Start time in clock ticks since boot (proc(5), field 22); '' where there is no /proc. */
function startOf(pid: number): string {
  const path = `/proc/${pid}/stat`
  if (!existsSync(path)) return ''
  try {
    const stat = readFileSync(path, 'utf8')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`
  } catch {
    return ''
  }
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
  return archive
}

import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiveError } from '../errors.ts'
import { syncFolder } from '../sync-folder.ts'

/** A correction's values and the few words about them are far smaller; more is refused, when written and when read. */
const RECORD_BYTES_MAX = 256 * 1024

/**
 * Texts that may not stand in the event log, because it is never cleaned: patients' names and the like. An event holds a
 * record's digest, the record is a file of its own, `records/ab/abcd....json`, that can be destroyed when its time has come.
 */
export class Records {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Resolves with the digest when the record is durable. Writing the same again changes nothing. */
  async put(text: string): Promise<string> {
    const bytes = Buffer.from(text)
    if (bytes.length > RECORD_BYTES_MAX) throw new ArchiveError('invalid_request', 'so long a record is not kept')
    const sha256 = digestOf(bytes)
    if ((await this.get(sha256)) !== undefined) return sha256
    try {
      await this.#write(sha256, bytes)
    } catch (error) {
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC'
      throw new ArchiveError(full ? 'out_of_space' : 'storage_failed', 'the record could not be written', {
        cause: error,
      })
    }
    return sha256
  }

  /** Undefined where there is none, or not with these bytes any more. */
  async get(sha256: string): Promise<string | undefined> {
    const bytes = await readFile(this.#path(sha256)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw new ArchiveError('storage_failed', `record ${sha256} can't be read`, { cause: error })
    })
    return bytes && digestOf(bytes) === sha256 ? bytes.toString('utf8') : undefined
  }

  /** Digests of all that are here, in order. */
  async *list(): AsyncGenerator<string> {
    const shards = await readdir(this.#folder).catch(() => [])
    for (const shard of shards.filter((name) => /^[0-9a-f]{2}$/.test(name)).sort()) {
      for (const name of (await readdir(join(this.#folder, shard))).sort()) {
        const sha256 = /^([0-9a-f]{64})[.]json$/.exec(name)?.[1]
        if (sha256 !== undefined) yield sha256
      }
    }
  }

  async #write(sha256: string, bytes: Buffer): Promise<void> {
    const path = this.#path(sha256)
    const shard = join(this.#folder, sha256.slice(0, 2))
    const made = await mkdir(shard, { recursive: true, mode: 0o750 })
    const draft = `${path}.${randomUUID()}.draft`
    const handle = await open(draft, 'wx', 0o640)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
      await rename(draft, path)
    } catch (error) {
      await unlink(draft).catch(() => undefined)
      throw error
    } finally {
      await handle.close()
    }
    await syncFolder(shard)
    if (made === undefined) return
    await syncFolder(this.#folder)
    await syncFolder(join(this.#folder, '..'))
  }

  /** Throws RangeError for what is no digest: it never becomes a path. */
  #path(sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new RangeError('a record is named by its SHA-256')
    return join(this.#folder, sha256.slice(0, 2), `${sha256}.json`)
  }
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

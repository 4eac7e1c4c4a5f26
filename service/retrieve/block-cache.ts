import { createHash } from 'node:crypto'
import { mkdir, opendir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export const BLOCK_BYTES = 1024 * 1024
const DIGEST_BYTES = 32

type Fetch = (start: number, end: number) => AsyncIterable<Buffer>

export interface BlockCacheOptions {
  folder: string
  bytesMax: number
  /** False while the disk has no room to spare. */
  mayWrite(): boolean
}

/**
 * Blocks of packs that are slow to get, in files of a local folder, up to so many bytes; the least recently used go first.
 * Each file ends in the digest of its block, and is read only if that fits: what a crash or a bad disk leaves is dropped.
 * Packs never change, so nothing is ever out of date.
 */
export class BlockCache {
  readonly #options: BlockCacheOptions
  /** Bytes of each file, in order of use, the least recent first. */
  readonly #files = new Map<string, number>()
  #bytes = 0
  #drafts = 0

  private constructor(options: BlockCacheOptions) {
    this.#options = options
  }

  static async open(options: BlockCacheOptions): Promise<BlockCache> {
    const cache = new BlockCache(options)
    await mkdir(options.folder, { recursive: true, mode: 0o750 })
    await cache.#find()
    return cache
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The bytes from `start` to `end` of a pack; what isn't here is fetched, whole blocks at once, and kept. */
  async *read(
    pack: { key: string; sizeBytes: number },
    start: number,
    end: number,
    fetch: Fetch,
  ): AsyncGenerator<Buffer> {
    const last = Math.ceil(end / BLOCK_BYTES)
    for (let block = Math.floor(start / BLOCK_BYTES); block < last; ) {
      const known = await this.#get(pack.key, block)
      if (known) {
        yield cut(known, block * BLOCK_BYTES, start, end)
        block += 1
        continue
      }
      let until = block + 1
      while (until < last && !this.#files.has(nameOf(pack.key, until))) until += 1
      yield* this.#fetch(pack, block, until, { start, end, fetch })
      block = until
    }
  }

  async *#fetch(
    { key, sizeBytes }: { key: string; sizeBytes: number },
    from: number,
    until: number,
    { start, end, fetch }: { start: number; end: number; fetch: Fetch },
  ): AsyncGenerator<Buffer> {
    let block = from
    let held: Buffer[] = []
    let bytes = 0
    for await (const chunk of fetch(from * BLOCK_BYTES, Math.min(sizeBytes, until * BLOCK_BYTES))) {
      let rest = chunk
      while (rest.length > 0) {
        const piece = rest.subarray(0, BLOCK_BYTES - bytes)
        rest = rest.subarray(piece.length)
        held.push(piece)
        bytes += piece.length
        if (bytes < BLOCK_BYTES && block * BLOCK_BYTES + bytes < sizeBytes) continue
        const whole = Buffer.concat(held)
        await this.#put(key, block, whole)
        const wanted = cut(whole, block * BLOCK_BYTES, start, end)
        if (wanted.length > 0) yield wanted
        block += 1
        held = []
        bytes = 0
      }
    }
  }

  /** None of the packs in this folder of keys is kept: what is destroyed must be gone here too. */
  async drop(folder: string): Promise<void> {
    const prefix = `${short(folder)}-`
    for (const name of [...this.#files.keys()]) if (name.startsWith(prefix)) await this.#remove(name)
  }

  async #get(key: string, block: number): Promise<Buffer | undefined> {
    const name = nameOf(key, block)
    const sizeBytes = this.#files.get(name)
    if (sizeBytes === undefined) return undefined
    this.#files.delete(name)
    this.#files.set(name, sizeBytes)
    const file = await readFile(join(this.#options.folder, name)).catch(() => Buffer.alloc(0))
    const bytes = file.subarray(0, -DIGEST_BYTES)
    if (file.length > DIGEST_BYTES && digestOf(name, bytes).equals(file.subarray(-DIGEST_BYTES))) return bytes
    await this.#remove(name)
    return undefined
  }

  /** A cache that can't be written to is none; nobody fails for it. */
  async #put(key: string, block: number, bytes: Buffer): Promise<void> {
    const { folder, bytesMax, mayWrite } = this.#options
    const name = nameOf(key, block)
    const sizeBytes = bytes.length + DIGEST_BYTES
    if (sizeBytes > bytesMax || this.#files.has(name) || !mayWrite()) return
    for (const oldest of this.#files.keys()) {
      if (this.#bytes + sizeBytes <= bytesMax) break
      await this.#remove(oldest)
    }
    this.#drafts += 1
    const draft = join(folder, `${this.#drafts}.draft`)
    try {
      await writeFile(draft, Buffer.concat([bytes, digestOf(name, bytes)]), { mode: 0o640 })
      await rename(draft, join(folder, name))
      this.#note(name, sizeBytes)
    } catch {
      await rm(draft, { force: true }).catch(() => undefined)
    }
  }

  #note(name: string, sizeBytes: number): void {
    this.#bytes += sizeBytes - (this.#files.get(name) ?? 0)
    this.#files.delete(name)
    this.#files.set(name, sizeBytes)
  }

  async #remove(name: string): Promise<void> {
    this.#bytes -= this.#files.get(name) ?? 0
    this.#files.delete(name)
    await rm(join(this.#options.folder, name), { force: true }).catch(() => undefined)
  }

  /** What is there from before, the oldest file first. */
  async #find(): Promise<void> {
    const { folder, bytesMax } = this.#options
    const found: { name: string; sizeBytes: number; at: number }[] = []
    for await (const { name } of await opendir(folder)) {
      if (!/^[0-9a-f]{40}-[0-9a-f]{40}-\d+$/.test(name)) {
        if (name.endsWith('.draft')) await rm(join(folder, name), { force: true })
        continue
      }
      const { size, mtimeMs } = await stat(join(folder, name))
      found.push({ name, sizeBytes: size, at: mtimeMs })
    }
    for (const { name, sizeBytes } of found.sort((a, b) => a.at - b.at)) this.#note(name, sizeBytes)
    for (const oldest of [...this.#files.keys()]) {
      if (this.#bytes <= bytesMax) return
      await this.#remove(oldest)
    }
  }
}

const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 40)
const nameOf = (key: string, block: number): string => `${short(dirname(key))}-${short(key)}-${block}`
/** Of the name too: a file that took another one's place is no less wrong. */
const digestOf = (name: string, bytes: Buffer): Buffer => createHash('sha256').update(name).update(bytes).digest()

/** The part of a block, which begins at `at`, that is between `start` and `end`. */
function cut(bytes: Buffer, at: number, start: number, end: number): Buffer {
  return bytes.subarray(Math.max(0, start - at), Math.max(0, end - at))
}

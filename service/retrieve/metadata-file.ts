import type { BigIntStats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** Where an instance's line is in the file. */
export interface IndexEntry {
  seriesUid: string
  sopInstanceUid: string
  sha256: string
  offset: number
  length: number
}

interface Index {
  /** Of the study: see CatalogueReader.studyVersion. */
  version: string
  /** Stands for the root of URLs, which depends on who asks; random, so that no instance's text can hold it. */
  placeholder: string
  /** What corrections had been laid over the instances' attributes; absent for none. */
  laid?: string
  entries: IndexEntry[]
}

/** Lines end so, and thereby make up the inside of a JSON array. */
export const LINE_END = Buffer.from(',\n')
/** The file's last bytes give the index's offset in decimal digits. */
const FOOTER_BYTES = 16
const READ_BYTES_MAX = 1024 * 1024
const OPENING = Buffer.from('[')
const CLOSING = Buffer.from(']')

/** The path holds another file by now, or none. */
export class ReplacedError extends Error {}

/** One study's metadata: a line of DICOM JSON per instance, then an index, then the index's offset. */
export class MetadataFile {
  readonly path: string
  readonly #index: Index
  readonly #identity: string

  private constructor(path: string, index: Index, stats: BigIntStats) {
    this.path = path
    this.#index = index
    this.#identity = identityOf(stats)
  }

  get version(): string {
    return this.#index.version
  }

  get placeholder(): string {
    return this.#index.placeholder
  }

  get laid(): string | undefined {
    return this.#index.laid
  }

  get entries(): readonly IndexEntry[] {
    return this.#index.entries
  }

  /** Undefined when there is none or it isn't whole: it is a cache, written without syncing. */
  static async open(path: string): Promise<MetadataFile | undefined> {
    const file = await open(path, 'r').catch(() => undefined)
    if (!file) return undefined
    try {
      const stats = await file.stat({ bigint: true })
      const size = Number(stats.size)
      const footer = await readAt(file, size - FOOTER_BYTES, size)
      const offset = /^\d{16}$/.test(footer.toString('latin1')) ? Number(footer.toString('latin1')) : size
      if (offset >= size - FOOTER_BYTES) return undefined
      const index = await readAt(file, offset, size - FOOTER_BYTES)
      return new MetadataFile(path, JSON.parse(index.toString('utf8')) as Index, stats)
    } catch {
      return undefined
    } finally {
      await file.close()
    }
  }

  /** Writes the index behind the lines. */
  static async finish(handle: FileHandle, path: string, index: Index): Promise<MetadataFile> {
    const last = index.entries.at(-1)
    const offset = last ? endOf(last) : 0
    const tail = Buffer.from(JSON.stringify(index) + String(offset).padStart(FOOTER_BYTES, '0'))
    await handle.write(tail, 0, tail.length, offset)
    return new MetadataFile(path, index, await handle.stat({ bigint: true }))
  }

  /** Gives `work` the means to read instances' lines, with their ends. Throws ReplacedError. */
  async withLines<Result>(work: (line: (entry: IndexEntry) => Promise<Buffer>) => Promise<Result>): Promise<Result> {
    const file = await this.#open()
    try {
      return await work(({ offset, length }) => readAt(file, offset, offset + length))
    } finally {
      await file.close()
    }
  }

  /**
   * A JSON array of instances of this file, at least one, URLs below `root`. The file is opened when the first piece is
   * asked for and closed after the last. Throws ReplacedError before the first piece.
   */
  async *array(entries: readonly IndexEntry[], root: string): AsyncGenerator<Buffer> {
    const file = await this.#open()
    try {
      const from = Buffer.from(this.placeholder)
      const to = Buffer.from(root)
      const end = endOf(entries.at(-1) as IndexEntry)
      let opening: readonly Buffer[] = [OPENING]
      for (const run of runs(entries)) {
        const pieces = replaced(await readAt(file, run.start, run.end), from, to, opening)
        opening = []
        if (run.end === end) pieces.push((pieces.pop() as Buffer).subarray(0, -LINE_END.length), CLOSING)
        yield Buffer.concat(pieces)
      }
    } finally {
      await file.close()
    }
  }

  async #open(): Promise<FileHandle> {
    const file = await open(this.path, 'r').catch(() => undefined)
    if (!file) throw new ReplacedError(`${this.path} is gone`)
    const stats = await file.stat({ bigint: true })
    if (identityOf(stats) === this.#identity) return file
    await file.close()
    throw new ReplacedError(`${this.path} was replaced`)
  }
}

/** An inode's number alone may be given to another file. */
const identityOf = ({ ino, size, mtimeNs }: BigIntStats): string => `${ino} ${size} ${mtimeNs}`

const endOf = ({ offset, length }: IndexEntry): number => offset + length

/** Neighbouring lines are read together. */
function* runs(entries: readonly IndexEntry[]): Generator<{ start: number; end: number }> {
  let run: { start: number; end: number } | undefined
  for (const entry of entries) {
    if (run && run.end === entry.offset && run.end - run.start < READ_BYTES_MAX) run.end = endOf(entry)
    else {
      if (run) yield run
      run = { start: entry.offset, end: endOf(entry) }
    }
  }
  if (run) yield run
}

/** The pieces of `bytes` with `to` in the place of `from`, behind `opening`. */
function replaced(bytes: Buffer, from: Buffer, to: Buffer, opening: readonly Buffer[]): Buffer[] {
  const pieces = [...opening]
  let done = 0
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, done)) {
    pieces.push(bytes.subarray(done, at), to)
    done = at + from.length
  }
  pieces.push(bytes.subarray(done))
  return pieces
}

async function readAt(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.max(0, end - start))
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start)
  if (bytesRead !== buffer.length || start < 0) throw new Error('the metadata file is too short')
  return buffer
}

import { type FileHandle, open } from 'node:fs/promises'
import { stringifyDicomJson } from '../dicom/json.ts'
import type { DicomJson } from '../dicom/types.ts'

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
  entries: IndexEntry[]
}

/** Lines end so, and thereby make up the inside of a JSON array. */
const LINE_END = Buffer.from(',\n')
/** The file's last bytes give the index's offset in decimal digits. */
const FOOTER_BYTES = 16
const READ_BYTES_MAX = 1024 * 1024

/** One study's metadata: a line of DICOM JSON per instance, then an index, then the index's offset. */
export class MetadataFile {
  readonly path: string
  readonly #index: Index

  readonly #inode: number

  private constructor(path: string, index: Index, inode: number) {
    this.path = path
    this.#index = index
    this.#inode = inode
  }

  get version(): string {
    return this.#index.version
  }

  get placeholder(): string {
    return this.#index.placeholder
  }

  get entries(): readonly IndexEntry[] {
    return this.#index.entries
  }

  static encodeLine(json: DicomJson): Buffer {
    return Buffer.concat([Buffer.from(stringifyDicomJson(json)), LINE_END])
  }

  /** Undefined when there is none or it isn't whole: it is a cache, written without syncing. */
  static async open(path: string): Promise<MetadataFile | undefined> {
    const file = await open(path, 'r').catch(() => undefined)
    if (!file) return undefined
    try {
      const { size, ino } = await file.stat()
      const footer = await readAt(file, size - FOOTER_BYTES, size)
      const offset = /^\d{16}$/.test(footer.toString('latin1')) ? Number(footer.toString('latin1')) : size
      if (offset >= size - FOOTER_BYTES) return undefined
      const index = await readAt(file, offset, size - FOOTER_BYTES)
      return new MetadataFile(path, JSON.parse(index.toString('utf8')) as Index, ino)
    } catch {
      return undefined
    } finally {
      await file.close()
    }
  }

  /** Writes the index behind the lines. */
  static async finish(handle: FileHandle, path: string, index: Index): Promise<MetadataFile> {
    const last = index.entries.at(-1)
    const offset = last ? last.offset + last.length : 0
    const tail = Buffer.from(JSON.stringify(index) + String(offset).padStart(FOOTER_BYTES, '0'))
    await handle.write(tail, 0, tail.length, offset)
    return new MetadataFile(path, index, (await handle.stat()).ino)
  }

  /** An instance's line, with its end. */
  async line({ offset, length }: IndexEntry): Promise<Buffer> {
    const file = await open(this.path, 'r')
    try {
      return await readAt(file, offset, offset + length)
    } finally {
      await file.close()
    }
  }

  /**
   * A JSON array of the instances that `wanted` picks, URLs below `root`; 'none' when it picks none, 'replaced' when the
   * path holds another file by now. The file stays open until the array was iterated or left.
   */
  async array(
    wanted: (entry: IndexEntry) => boolean,
    root: string,
  ): Promise<AsyncIterable<Buffer> | 'none' | 'replaced'> {
    const entries = this.entries.filter(wanted)
    if (entries.length === 0) return 'none'
    const file = await open(this.path, 'r').catch(() => undefined)
    if (!file) return 'replaced'
    const { ino } = await file.stat()
    if (ino === this.#inode) return this.#array(file, entries, root)
    await file.close()
    return 'replaced'
  }

  async *#array(file: FileHandle, entries: readonly IndexEntry[], root: string): AsyncGenerator<Buffer> {
    try {
      let opening = '['
      for (const run of runs(entries)) {
        const bytes = await readAt(file, run.start, run.end)
        // Byte for byte: both placeholder and root are ASCII.
        const text = opening + bytes.toString('latin1').replaceAll(this.placeholder, root)
        opening = ''
        const isLast = run.end === endOf(entries.at(-1) as IndexEntry)
        yield Buffer.from(isLast ? `${text.slice(0, -LINE_END.length)}]` : text, 'latin1')
      }
    } finally {
      await file.close()
    }
  }
}

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

async function readAt(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.max(0, end - start))
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start)
  if (bytesRead !== buffer.length || start < 0) throw new Error('the metadata file is too short')
  return buffer
}

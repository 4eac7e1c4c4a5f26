import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { CatalogueReader, InstanceRecord } from '../catalogue/ports.ts'
import { toDicomJson } from '../dicom/json.ts'
import { readHeader } from '../dicom/read-header.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { type IndexEntry, MetadataFile } from './metadata-file.ts'
import type { OpenInstances } from './ports.ts'

export interface MetadataStoreOptions {
  folder: string
  catalogue: Pick<CatalogueReader, 'instances' | 'studyVersion'>
  instances: OpenInstances
  headerBytesMax: number
  /** A study whose instances have stopped coming for so long is prepared in advance. */
  quietMs: number
  warn(message: string, details: object): void
}

/** Studies that wait to be prepared; beyond that they are prepared when they are asked for. */
const WAITING_MAX = 10_000
/** An index of this many instances is kept in memory; more are read again. */
const KEPT_ENTRIES_MAX = 100_000
const ATTEMPTS_MAX = 5

/**
 * The DICOM JSON of whole studies, kept in files so that a study's headers are parsed once and not for each viewer
 * that opens it. A cache: a file that is missing, old or damaged is made again from the instances.
 */
export class MetadataStore {
  readonly #options: MetadataStoreOptions
  readonly #making = new Map<string, Promise<MetadataFile | undefined>>()
  readonly #kept = new Map<string, MetadataFile>()
  #keptEntries = 0
  /** When each study last got an instance. */
  readonly #waiting = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #preparing = false

  constructor(options: MetadataStoreOptions) {
    this.#options = options
  }

  /**
   * A JSON array (PS3.18 Annex F) of the study's instances that `wanted` picks, bulk data as URIs below `root`;
   * undefined when there are none. To be iterated or left: a file is open behind it.
   */
  async array(
    studyUid: string,
    wanted: (entry: IndexEntry) => boolean,
    root: string,
  ): Promise<AsyncIterable<Buffer> | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const array = await (await this.study(studyUid))?.array(wanted, root)
      if (array === undefined || array === 'none') return undefined
      if (array !== 'replaced') return array
      this.#forget(studyUid)
    }
    throw new ArchiveError('busy', 'the study is changing; ask again')
  }

  /** The DICOM JSON of some of a study's instances, by SOP Instance UID. */
  async instances(studyUid: string, wanted: ReadonlySet<string>, root: string): Promise<Map<string, DicomJson>> {
    const found = new Map<string, DicomJson>()
    const array = await this.array(studyUid, (entry) => wanted.has(entry.sopInstanceUid), root)
    if (!array) return found
    const pieces: Buffer[] = []
    for await (const piece of array) pieces.push(piece)
    for (const json of JSON.parse(Buffer.concat(pieces).toString('utf8')) as DicomJson[]) {
      found.set(String(json['00080018']?.Value?.[0]), json)
    }
    return found
  }

  /** Undefined when there is no such study. */
  async study(studyUid: string): Promise<MetadataFile | undefined> {
    const version = await this.#options.catalogue.studyVersion(studyUid)
    if (version === undefined) return undefined
    const kept = this.#kept.get(studyUid)
    if (kept?.version === version) return kept
    const making = this.#making.get(studyUid)
    if (making) return making.then((file) => (file?.version === version ? file : this.study(studyUid)))
    const work = this.#bringUpToDate(studyUid, version).finally(() => this.#making.delete(studyUid))
    this.#making.set(studyUid, work)
    return work
  }

  /** The study got an instance: prepare it once it is quiet. */
  changed(studyUid: string): void {
    if (this.#waiting.size >= WAITING_MAX && !this.#waiting.has(studyUid)) return
    this.#waiting.set(studyUid, Date.now())
    this.#timer ??= setInterval(() => void this.#prepareQuiet(), this.#options.quietMs / 2).unref()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#waiting.clear()
  }

  async #prepareQuiet(): Promise<void> {
    if (this.#preparing) return
    this.#preparing = true
    try {
      for (const [studyUid, changedAt] of this.#waiting) {
        if (Date.now() - changedAt < this.#options.quietMs) continue
        this.#waiting.delete(studyUid)
        await this.study(studyUid)
      }
    } catch (error) {
      this.#options.warn('metadata could not be prepared', { error: (error as Error).message })
    } finally {
      this.#preparing = false
    }
    if (this.#waiting.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #bringUpToDate(studyUid: string, version: string): Promise<MetadataFile> {
    const path = this.#path(studyUid)
    const before = await MetadataFile.open(path)
    const file = before?.version === version ? before : await this.#make(studyUid, version, path, before)
    this.#keep(studyUid, file)
    return file
  }

  #keep(studyUid: string, file: MetadataFile): void {
    this.#forget(studyUid)
    this.#kept.set(studyUid, file)
    this.#keptEntries += file.entries.length
    for (const oldest of this.#kept.keys()) {
      if (this.#keptEntries <= KEPT_ENTRIES_MAX) break
      this.#forget(oldest)
    }
  }

  #forget(studyUid: string): void {
    this.#keptEntries -= this.#kept.get(studyUid)?.entries.length ?? 0
    this.#kept.delete(studyUid)
  }

  #path(studyUid: string): string {
    const shard = createHash('sha256').update(studyUid).digest('hex').slice(0, 2)
    return join(this.#options.folder, shard, `${studyUid}.json`)
  }

  /** Takes over from the file before what is still true, so that a growing study is not parsed again and again. */
  async #make(
    studyUid: string,
    version: string,
    path: string,
    before: MetadataFile | undefined,
  ): Promise<MetadataFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o750 })
    const draft = `${path}.${randomUUID()}.draft`
    const handle = await open(draft, 'wx', 0o640)
    try {
      const placeholder = before?.placeholder ?? `firn-root-${randomUUID()}`
      const entries = await this.#writeEntries(handle, studyUid, placeholder, before)
      const file = await MetadataFile.finish(handle, path, { version, placeholder, entries })
      await rename(draft, path)
      return file
    } catch (error) {
      await unlink(draft).catch(() => undefined)
      throw error
    } finally {
      await handle.close()
    }
  }

  async #writeEntries(
    handle: FileHandle,
    studyUid: string,
    placeholder: string,
    before: MetadataFile | undefined,
  ): Promise<IndexEntry[]> {
    const known = new Map(before?.entries.map((entry) => [entry.sha256, entry]))
    const entries: IndexEntry[] = []
    let offset = 0
    for await (const record of this.#options.catalogue.instances({ studyUids: [studyUid] })) {
      const old = known.get(record.sha256)
      const line = old ? await before?.line(old) : await this.#describe(record, placeholder)
      if (line === undefined) continue
      await handle.write(line, 0, line.length, offset)
      const { seriesUid, sopInstanceUid, sha256 } = record
      entries.push({ seriesUid, sopInstanceUid, sha256, offset, length: line.length })
      offset += line.length
    }
    return entries
  }

  /** One damaged instance must not hide the others' metadata. */
  async #describe(record: InstanceRecord, placeholder: string): Promise<Buffer | undefined> {
    try {
      return MetadataFile.encodeLine(await this.instance(record, placeholder))
    } catch (error) {
      const reason = error instanceof ArchiveError ? error.message : String(error)
      this.#options.warn('the metadata of an instance could not be read', { sha256: record.sha256, reason })
      return undefined
    }
  }

  /** The DICOM JSON of one instance, bulk data as URIs below `root`. */
  async instance(record: InstanceRecord, root: string) {
    const opened = this.#options.instances.open(record)
    const read = (start: number, end: number) => opened.bytes(start, end)
    const { header } = await readHeader(read, record.sizeBytes, this.#options.headerBytesMax)
    const { studyUid, seriesUid, sopInstanceUid } = record
    const base = `${root}/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}/bulkdata`
    const json = toDicomJson(header.dataSet, { bulkDataUri: (path) => `${base}/${path}` })
    if (json['00080005']) json['00080005'] = { vr: 'CS', Value: ['ISO_IR 192'] }
    return json
  }
}

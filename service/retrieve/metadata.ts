import { createHash } from 'node:crypto'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { CatalogueReader } from '../catalogue/ports.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { type IndexEntry, MetadataFile, ReplacedError } from './metadata-file.ts'
import { MetadataMaker, type MetadataMakerOptions } from './metadata-maker.ts'
import { ReadyAnswers } from './ready-answers.ts'

export interface MetadataStoreOptions extends MetadataMakerOptions {
  folder: string
  catalogue: Pick<CatalogueReader, 'instances' | 'studyVersion'>
  /** A study whose instances have stopped coming for so long is prepared in advance. */
  quietMs: number
}

/** Studies that wait to be prepared; beyond that they are prepared when they are asked for. */
const WAITING_MAX = 10_000
/** So many quiet times a study waits for the archive to be quiet. */
const PATIENCE_QUIETS = 30
/** An index of this many instances is kept in memory; more are read again. */
const KEPT_ENTRIES_MAX = 100_000
const ATTEMPTS_MAX = 5
/** Studies that are made at the same time; each holds some headers in memory. */
const MAKING_MAX = 3
const READY_BYTES_MAX = 16 * 1024 * 1024
const READY_ANSWER_BYTES_MAX = 4 * 1024 * 1024

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
  readonly #maker: MetadataMaker
  readonly #ready = new ReadyAnswers(READY_BYTES_MAX, READY_ANSWER_BYTES_MAX)
  #makingNow = 0
  readonly #turns: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #changedAt = 0
  #preparing = false

  constructor(options: MetadataStoreOptions) {
    this.#options = options
    this.#maker = new MetadataMaker(options)
  }

  /**
   * A JSON array (PS3.18 Annex F) of the study's instances that `wanted` picks, bulk data as URIs below `root`;
   * undefined when there are none. Nothing is open until it is iterated.
   * Throws ArchiveError `storage_failed` when an instance can't be read: an answer never leaves one out.
   */
  async array(
    studyUid: string,
    wanted: (entry: IndexEntry) => boolean,
    root: string,
  ): Promise<AsyncIterable<Buffer> | undefined> {
    const file = await this.study(studyUid)
    const entries = file?.entries.filter(wanted) ?? []
    if (!file || entries.length === 0) return undefined
    const first = () => this.#pieces(file, entries, root)
    return this.#retried(studyUid, first, async () => {
      const again = await this.study(studyUid)
      return again && this.#pieces(again, again.entries.filter(wanted), root)
    })
  }

  #pieces(file: MetadataFile, entries: readonly IndexEntry[], root: string): AsyncIterable<Buffer> {
    if (entries.length < file.entries.length) return file.array(entries, root)
    const key = `${file.path} ${file.version} ${root}`
    const ready = this.#ready.get(key)
    return ready ? one(ready) : this.#ready.keeping(key, file.array(entries, root))
  }

  /** A file that was replaced before it was opened is asked for anew. */
  async *#retried(
    studyUid: string,
    first: () => AsyncIterable<Buffer>,
    again: () => Promise<AsyncIterable<Buffer> | undefined>,
  ): AsyncGenerator<Buffer> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        const pieces = attempt === 0 ? first() : await again()
        if (pieces) yield* pieces
        return
      } catch (error) {
        if (!(error instanceof ReplacedError)) throw error
        this.#forget(studyUid)
      }
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
    this.#changedAt = Date.now()
    if (this.#waiting.size >= WAITING_MAX && !this.#waiting.has(studyUid)) return
    this.#waiting.set(studyUid, this.#changedAt)
    this.#timer ??= setInterval(() => void this.#prepareQuiet(), this.#options.quietMs / 2).unref()
  }

  /** Nothing of the study is kept here any more. */
  async remove(studyUid: string): Promise<void> {
    this.#waiting.delete(studyUid)
    await this.#making.get(studyUid)?.catch(() => undefined)
    this.#forget(studyUid)
    this.#ready.forget(this.#path(studyUid))
    await unlink(this.#path(studyUid)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#waiting.clear()
  }

  async #prepareQuiet(): Promise<void> {
    if (this.#preparing) return
    this.#preparing = true
    try {
      for (const [studyUid, changedAt] of this.#waiting) {
        if (!this.#isTime(changedAt)) continue
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

  /** Instances that arrive go first: studies are prepared when nothing comes, or have waited long for that. */
  #isTime(changedAt: number): boolean {
    const { quietMs } = this.#options
    const now = Date.now()
    return now - this.#changedAt >= quietMs || now - changedAt >= PATIENCE_QUIETS * quietMs
  }

  async #bringUpToDate(studyUid: string, version: string): Promise<MetadataFile> {
    const path = this.#path(studyUid)
    const before = await MetadataFile.open(path)
    const file =
      before?.version === version ? before : await this.#inTurn(() => this.#maker.make(studyUid, version, path, before))
    this.#keep(studyUid, file)
    return file
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#makingNow >= MAKING_MAX) await new Promise<void>((resolve) => this.#turns.push(resolve))
    else this.#makingNow += 1
    try {
      return await work()
    } finally {
      const next = this.#turns.shift()
      if (next) next()
      else this.#makingNow -= 1
    }
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
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

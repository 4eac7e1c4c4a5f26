import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CatalogueReader, InstanceRecord } from '../catalogue/ports.ts'
import { correctedJson } from '../corrections/apply.ts'
import type { CorrectedStudy, ReadCorrections } from '../corrections/ports.ts'
import { stringifyDicomJson } from '../dicom/json.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { RecordDescriber } from './describe-record.ts'
import { type IndexEntry, LINE_END, MetadataFile, ReplacedError } from './metadata-file.ts'

export interface MetadataMakerOptions {
  catalogue: Pick<CatalogueReader, 'instances'>
  describer: Pick<RecordDescriber, 'describe'>
  /** What is laid over stored attributes; without it nothing is. */
  corrections?: Pick<ReadCorrections, 'corrected'>
  warn(message: string, details: object): void
}

/** Instances whose headers are read while others are described. */
const AHEAD_MAX = 4
const WRITE_BYTES = 1024 * 1024

/** Makes the files of MetadataStore. */
export class MetadataMaker {
  readonly #options: MetadataMakerOptions

  constructor(options: MetadataMakerOptions) {
    this.#options = options
  }

  /**
   * Takes over from the file before what is still true, so that a growing study is not parsed again and again.
   * Throws ArchiveError `storage_failed` when any instance can't be read: a file never leaves one out.
   */
  async make(studyUid: string, version: string, path: string, before: MetadataFile | undefined): Promise<MetadataFile> {
    await mkdir(dirname(path), { recursive: true, mode: 0o750 })
    const draft = `${path}.${randomUUID()}.draft`
    const handle = await open(draft, 'wx', 0o640)
    try {
      const placeholder = before?.placeholder ?? `firn-root-${randomUUID()}`
      const corrected = await this.#options.corrections?.corrected(studyUid)
      const laid = corrected && { laid: textOf(corrected) }
      const old = before?.laid === laid?.laid ? before : undefined
      const entries = await this.#writeEntries(handle, { studyUid, placeholder, corrected }, old)
      const file = await MetadataFile.finish(handle, path, { version, placeholder, ...laid, entries })
      // Or power loss leaves a file with holes under the name.
      await handle.datasync()
      await rename(draft, path)
      return file
    } catch (error) {
      await unlink(draft).catch(() => undefined)
      throw error
    } finally {
      await handle.close()
    }
  }

  async #writeEntries(handle: FileHandle, study: Study, before: MetadataFile | undefined): Promise<IndexEntry[]> {
    const entries: IndexEntry[] = []
    const writer = new Gathered(handle)
    const take = async ({ record, line }: Ahead): Promise<void> => {
      const { seriesUid, sopInstanceUid, sha256 } = record
      const { offset, length } = await writer.add(await line)
      entries.push({ seriesUid, sopInstanceUid, sha256, offset, length })
    }
    await withOldLines(before, async (oldLine) => {
      const ahead: Ahead[] = []
      for await (const record of this.#options.catalogue.instances({ studyUids: [study.studyUid] })) {
        const describe = () => this.#line(record, study)
        const line = oldLine(record.sha256)?.catch(describe) ?? describe()
        // Awaited in its turn, or never when another fails before.
        line.catch(() => undefined)
        ahead.push({ record, line })
        if (ahead.length >= AHEAD_MAX) await take(ahead.shift() as Ahead)
      }
      for (const each of ahead) await take(each)
    })
    await writer.flush()
    return entries
  }

  /** The DICOM JSON of one instance, bulk data as URIs below `root`, with the line's end. */
  async #line(record: InstanceRecord, { placeholder: root, corrected }: Study): Promise<Buffer> {
    const { studyUid, seriesUid, sopInstanceUid } = record
    const bulkDataRoot = `${root}/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}/bulkdata`
    try {
      const stored = await this.#options.describer.describe(record, bulkDataRoot)
      return Buffer.concat([corrected ? relabelledLine(stored, seriesUid, corrected) : stored, LINE_END])
    } catch (error) {
      const reason = error instanceof ArchiveError ? error.message : String(error)
      this.#options.warn('the metadata of an instance could not be read', { sha256: record.sha256, reason })
      if (error instanceof ArchiveError && error.code === 'unavailable') throw error
      throw new ArchiveError('storage_failed', `instance ${sopInstanceUid} can't be read now`, { cause: error })
    }
  }
}

interface Study {
  studyUid: string
  /** Stands for the root of URLs. */
  placeholder: string
  corrected: CorrectedStudy | undefined
}

/** Tells lines that were made with other corrections. */
const textOf = ({ laid, series }: CorrectedStudy): string => JSON.stringify([laid, [...series].sort()])

function relabelledLine(line: Buffer, seriesUid: string, { laid, series }: CorrectedStudy): Buffer {
  const ofSeries = series.get(seriesUid)
  const json = correctedJson(JSON.parse(line.toString('utf8')) as DicomJson, ofSeries ? [laid, ofSeries] : [laid])
  return Buffer.from(stringifyDicomJson(json))
}

interface Ahead {
  record: InstanceRecord
  line: Promise<Buffer>
}

/** Writes lines one after the other, many at a time. */
class Gathered {
  readonly #handle: FileHandle
  #lines: Buffer[] = []
  #offset = 0
  #bytes = 0

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async add(line: Buffer): Promise<{ offset: number; length: number }> {
    const at = { offset: this.#offset + this.#bytes, length: line.length }
    this.#lines.push(line)
    this.#bytes += line.length
    if (this.#bytes >= WRITE_BYTES) await this.flush()
    return at
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#lines.splice(0))
    await this.#handle.write(bytes, 0, bytes.length, this.#offset)
    this.#offset += bytes.length
    this.#bytes = 0
  }
}

type OldLine = (sha256: string) => Promise<Buffer> | undefined

/** `work` with the lines of the file before, as far as there is one. */
async function withOldLines<Result>(
  before: MetadataFile | undefined,
  work: (oldLine: OldLine) => Promise<Result>,
): Promise<Result> {
  const known = new Map(before?.entries.map((entry) => [entry.sha256, entry]))
  const none = () => undefined
  if (!before) return work(none)
  const withLines = before.withLines((line) =>
    work((sha256) => {
      const entry = known.get(sha256)
      return entry && line(entry)
    }),
  )
  return withLines.catch((error) => {
    if (error instanceof ReplacedError) return work(none)
    throw error
  })
}

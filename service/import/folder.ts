import { type FileHandle, open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describeInstance, textOf } from '../dicom/describe.ts'
import { admit } from '../dicom/part10.ts'
import { readHeader } from '../dicom/read-header.ts'
import type { InstanceIdentifiers } from '../dicom/types.ts'
import { ArchiveError, isArchiveError } from '../errors.ts'
import { digestOf } from './digest-of.ts'
import type { Finding, FoundFile, FoundStudy, ImportSource, ListedPage, Slow, SourceInstance } from './ports.ts'
import { type Met, walk } from './walk.ts'

const FILES_PER_PAGE = 200
const READ_BYTES = 1024 * 1024
const FILES_AT_ONCE = 8

export interface FolderOptions {
  folder: string
  headerBytesMax: number
  /** What the listing has recorded of a study. */
  files(studyUid: string): AsyncIterable<FoundFile>
}

/** What a file turned out to be; undefined for a DICOMDIR. */
type Looked = { file: FoundFile; study: FoundStudy } | { finding: Finding } | undefined

/**
 * A tree of DICOM files, however they are named and sorted into folders. Which study a file belongs to stands in the file
 * only, so the listing reads every header once and keeps what it found; links are not followed, DICOMDIRs not looked at.
 */
export class FolderSource implements ImportSource {
  readonly type = 'folder'
  readonly address = ''
  readonly #options: FolderOptions

  constructor(options: FolderOptions) {
    this.#options = options
  }

  async *list(cursor: string | undefined, signal: AbortSignal): AsyncGenerator<ListedPage> {
    const { folder } = this.#options
    let batch: Met[] = []
    try {
      for await (const met of walk(folder, cursor)) {
        signal.throwIfAborted()
        batch.push(met)
        if (batch.length < FILES_PER_PAGE) continue
        yield await this.#page(batch)
        batch = []
      }
    } catch (error) {
      signal.throwIfAborted()
      throw unavailable(folder, error)
    }
    if (batch.length > 0) yield await this.#page(batch)
  }

  async contents(studyUid: string): Promise<ReadonlySet<string>> {
    const uids = new Set<string>()
    for await (const { sopInstanceUid } of this.#options.files(studyUid)) uids.add(sopInstanceUid)
    return uids
  }

  async *fetch(studyUid: string, signal: AbortSignal): AsyncGenerator<SourceInstance> {
    for await (const { path } of this.#options.files(studyUid)) {
      signal.throwIfAborted()
      let file: FileHandle
      try {
        file = await open(join(this.#options.folder, path), 'r')
      } catch (error) {
        await this.#assertThere()
        yield { name: path, unreadable: (error as Error).message }
        continue
      }
      try {
        yield { name: path, body: chunks(file) }
      } finally {
        await file.close()
      }
    }
  }

  async again({ name }: InstanceIdentifiers & { name: string }, { slowed }: { slowed: Slow }): Promise<string> {
    const file = await open(join(this.#options.folder, name), 'r')
    try {
      return await digestOf(slowed(chunks(file)))
    } finally {
      await file.close()
    }
  }

  /** A disk that isn't mounted any more must not look like files that can't be read. */
  async #assertThere(): Promise<void> {
    for await (const _ of walk(this.#options.folder)) return
    throw new ArchiveError('unavailable', `nothing is in ${this.#options.folder} now: is it mounted?`)
  }

  async #page(batch: readonly Met[]): Promise<ListedPage> {
    const looked: Looked[] = []
    for (let at = 0; at < batch.length; at += FILES_AT_ONCE) {
      looked.push(...(await Promise.all(batch.slice(at, at + FILES_AT_ONCE).map((met) => this.#look(met)))))
    }
    const studies = new Map<string, FoundStudy>()
    const page: ListedPage = { studies: [], files: [], findings: [], cursor: batch.at(-1)?.path ?? '' }
    for (const one of looked) {
      if (!one) continue
      if ('finding' in one) page.findings?.push(one.finding)
      else {
        page.files?.push(one.file)
        if (!studies.has(one.study.studyUid)) studies.set(one.study.studyUid, one.study)
      }
    }
    page.studies = [...studies.values()]
    return page
  }

  async #look(met: Met): Promise<Looked> {
    const { path } = met
    const finding = (kind: Finding['kind'], detail: string): Looked => ({
      finding: { studyUid: '', kind, object: path, detail },
    })
    if ('unreadable' in met) return finding('unreadable', met.unreadable)
    if (basename(path).toUpperCase() === 'DICOMDIR') return undefined
    try {
      return await this.#readHeader(path)
    } catch (error) {
      if (isArchiveError(error, 'dicomdir')) return undefined
      if (!isArchiveError(error)) return finding('unreadable', (error as Error).message)
      return finding(error.code === 'not_dicom' ? 'not_dicom' : 'refused', error.message)
    }
  }

  async #readHeader(path: string): Promise<Looked> {
    const file = await open(join(this.#options.folder, path), 'r')
    try {
      const { size } = await file.stat()
      const read = (start: number, end: number) => chunks(file, start, end)
      const { header, whole } = await readHeader(read, size, this.#options.headerBytesMax)
      // Where the header is complete, what isn't in it isn't anywhere.
      const { studyUid, sopInstanceUid } = admit(header, whole || header.complete)
      const attributes = describeInstance(header).study()
      const patientId = textOf(attributes, '00100020') ?? ''
      return {
        file: { path, studyUid, sopInstanceUid, sizeBytes: size },
        study: { studyUid, patientId, attributes },
      }
    } finally {
      await file.close()
    }
  }
}

/** What is there of `start` to `end`, or to the file's end. */
async function* chunks(file: FileHandle, start = 0, end = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  for (let at = start; at < end; ) {
    const length = Math.min(READ_BYTES, end - at)
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(length), position: at, length })
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

function unavailable(folder: string, error: unknown): ArchiveError {
  return new ArchiveError('unavailable', `${folder} can't be read: ${(error as Error).message}`, { cause: error })
}

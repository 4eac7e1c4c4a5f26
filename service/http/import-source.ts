import type { DicomJson, InstanceIdentifiers } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { digestOf } from '../import/digest-of.ts'
import { foundStudy } from '../import/found.ts'
import { listByDates } from '../import/list-by-dates.ts'
import type { FoundStudy, ImportSource, ListedPage, Slow, SourceInstance } from '../import/ports.ts'
import { parseMediaType } from './media-types.ts'
import { MultipartReader } from './multipart-reader.ts'

/** A list of studies or instances. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const QUERY_MS = 120_000
/** Instances that are asked for at a time. */
const INSTANCES_PER_PAGE = 5000
const SOP_INSTANCE_UID = '00080018'

export interface DicomwebSourceOptions {
  url: string
  headers: Readonly<Record<string, string>>
  /** Studies that are asked for at a time. */
  pageSize: number
}

/** Another archive's DICOMweb: QIDO-RS tells what there is, WADO-RS gives it (PS3.18 10.4, 10.6). */
export class DicomwebSource implements ImportSource {
  readonly type = 'dicomweb'
  readonly address: string
  readonly #root: string
  readonly #options: DicomwebSourceOptions

  constructor(options: DicomwebSourceOptions) {
    this.#options = options
    this.#root = options.url.replace(/\/+$/, '')
    this.address = new URL(options.url).hostname
  }

  list(cursor: string | undefined, signal: AbortSignal): AsyncGenerator<ListedPage> {
    const { pageSize } = this.#options
    return listByDates(cursor, {
      /** A server may give less than it was asked for: whether there is more, only asking for it tells. */
      ask: async (dates, offset) => {
        const range: Record<string, string> = dates ? { StudyDate: dates } : {}
        const studies = await this.#studies({ ...range, limit: String(pageSize), offset: String(offset) }, signal)
        if (studies.length === 0) return { studies, more: false }
        const beyond = await this.#studies({ ...range, limit: '1', offset: String(offset + studies.length) }, signal)
        const known = new Set(studies.map(({ studyUid }) => studyUid))
        const more = studies.length >= pageSize || beyond.some(({ studyUid }) => !known.has(studyUid))
        return { studies, more: more && beyond.length > 0 }
      },
    })
  }

  async contents(studyUid: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const uids = new Set<string>()
    for (;;) {
      const query = { limit: String(INSTANCES_PER_PAGE), offset: String(uids.size) }
      const page = await this.#query(`/studies/${encodeURIComponent(studyUid)}/instances`, query, signal)
      const before = uids.size
      for (const instance of page) {
        const uid = instance[SOP_INSTANCE_UID]?.Value?.[0]
        if (typeof uid === 'string') uids.add(uid)
      }
      if (uids.size === before) return uids
    }
  }

  async *fetch(studyUid: string, signal: AbortSignal): AsyncGenerator<SourceInstance> {
    let n = 0
    for await (const { headers, body } of this.#parts(`/studies/${encodeURIComponent(studyUid)}`, signal)) {
      n += 1
      yield { name: headers.get('content-location') ?? `part ${n}`, body }
    }
  }

  async again(
    { studyUid, seriesUid, sopInstanceUid }: InstanceIdentifiers,
    { slowed, signal }: { slowed: Slow; signal: AbortSignal },
  ): Promise<string | undefined> {
    const path = [
      ['studies', studyUid],
      ['series', seriesUid],
      ['instances', sopInstanceUid],
    ]
    const resource = path.map(([level, uid = '']) => `/${level}/${encodeURIComponent(uid)}`).join('')
    for await (const { body } of this.#parts(resource, signal)) return digestOf(slowed(body))
    return undefined
  }

  find({ studyUid, patientId }: { studyUid?: string; patientId?: string }, signal: AbortSignal) {
    const key: Record<string, string> = studyUid === undefined ? {} : { StudyInstanceUID: studyUid }
    if (patientId !== undefined) key.PatientID = patientId
    return this.#studies(key, signal)
  }

  async #studies(query: Record<string, string>, signal: AbortSignal): Promise<FoundStudy[]> {
    const answers = await this.#query('/studies', query, signal)
    return answers.map(foundStudy).filter((study) => study !== undefined)
  }

  async #query(path: string, query: Record<string, string>, signal: AbortSignal): Promise<DicomJson[]> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(QUERY_MS)])
    const accept = 'application/dicom+json, application/json;q=0.9'
    const response = await this.#get(`${path}?${new URLSearchParams(query)}`, accept, bounded)
    if (response.status === 204 || response.status === 404) {
      await response.body?.cancel()
      return []
    }
    if (response.status !== 200) throw await refused(response, path)
    const parts: Buffer[] = []
    let bytes = 0
    for await (const chunk of bodyOf(response)) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES_MAX) throw new ArchiveError('unavailable', 'the source answers a query with too much')
      parts.push(chunk)
    }
    try {
      const answers: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'))
      if (Array.isArray(answers)) return answers as DicomJson[]
    } catch {
      // Said below.
    }
    throw new ArchiveError('unavailable', 'the source answers a query with what is no DICOM JSON')
  }

  /** The parts of a WADO-RS answer; none where the source doesn't have the resource. */
  async *#parts(path: string, signal: AbortSignal) {
    const accept = 'multipart/related; type="application/dicom"'
    let response = await this.#get(path, `${accept}; transfer-syntax=*`, signal)
    if (response.status === 406) {
      await response.body?.cancel()
      response = await this.#get(path, accept, signal)
    }
    if (response.status === 404 || response.status === 204) {
      await response.body?.cancel()
      return
    }
    if (response.status !== 200) throw await refused(response, path)
    const { type, parameters } = parseMediaType(response.headers.get('content-type') ?? '') ?? {}
    if (type !== 'multipart/related' || !parameters?.boundary) {
      await response.body?.cancel()
      throw new ArchiveError('unavailable', `the source answers with ${type ?? 'no media type'}, not with instances`)
    }
    const reader = new MultipartReader(bodyOf(response), parameters.boundary)
    try {
      for (let part = await reader.nextPart(); part; part = await reader.nextPart()) {
        yield { headers: part.headers, body: fromSource(part.body) }
      }
    } catch (error) {
      throw broken(error)
    }
  }

  async #get(path: string, accept: string, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(this.#root + path, { headers: { ...this.#options.headers, accept }, signal })
    } catch (error) {
      const { cause, message } = error as Error & { cause?: Error }
      throw new ArchiveError('unavailable', `the source does not answer: ${cause?.message ?? message}`, {
        cause: error,
      })
    }
  }
}

/** Leaving it early lets go of the connection. */
async function* bodyOf(response: Response): AsyncGenerator<Buffer> {
  if (!response.body) return
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  }
}

/** What is wrong with the stream is the source's fault, not the instance's. */
async function* fromSource(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body
  } catch (error) {
    throw broken(error)
  }
}

function broken(error: unknown): ArchiveError {
  return new ArchiveError('unavailable', `the source broke off: ${(error as Error).message}`, { cause: error })
}

async function refused(response: Response, path: string): Promise<ArchiveError> {
  await response.body?.cancel()
  const { status } = response
  const hint = status === 401 || status === 403 ? '; is its token right?' : ''
  return new ArchiveError('unavailable', `the source answers ${path.split('?')[0]} with HTTP ${status}${hint}`)
}

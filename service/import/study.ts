import type { CatalogueJournal, CatalogueWriter, InstanceRecord } from '../catalogue/ports.ts'
import type { InstanceIdentifiers } from '../dicom/types.ts'
import { ArchiveError, isArchiveError } from '../errors.ts'
import type { Receipt, Receive } from '../ingest/ports.ts'
import type { Finding, FindingKind, ImportSource, Slow, SourceInstance, StudyResult } from './ports.ts'
import { NO_RESULT } from './ports.ts'

/** Findings of one study that are kept; a study where nothing works has as many as instances. */
const FINDINGS_MAX = 10_000
const DIGESTS_AT_ONCE = 50

export interface StudyImportOptions {
  /** Name of the import, kept with each instance as its source's. */
  name: string
  source: ImportSource
  receive: Receive
  catalogue: Pick<CatalogueWriter, 'digests'> & Pick<CatalogueJournal, 'byDigest'>
  /** Whether stored bytes still have their digest. */
  isIntact(stored: InstanceRecord): Promise<boolean>
}

/** How one study is to be taken. */
export interface HowToImport {
  /** The share of instances that are read twice: 0 to 1. */
  verify: number
  /** Resolves when the pace permits so many more bytes. */
  spend(bytes: number): Promise<void>
  /** Told how many more bytes and instances have come. */
  progress(bytes: number, instances: number): void
  signal: AbortSignal
}

/**
 * Takes one study whole: every instance that the source gives is received as if a sender had sent it, so what is here
 * already is recognised by its digest and stored once. Then compares what the source says it holds with what is here, and
 * reads a share of the instances again, there and here. Rejects with ArchiveError where the study has to be taken again later.
 */
export async function importStudy(
  options: StudyImportOptions,
  studyUid: string,
  how: HowToImport,
): Promise<{ result: StudyResult; findings: Finding[] }> {
  const work = new StudyImport(options, studyUid, how)
  await work.run()
  return { result: work.result, findings: work.findings }
}

/** What is kept of each instance until the study is done. */
interface Taken extends InstanceIdentifiers {
  name: string
  sha256: string
}

class StudyImport {
  readonly result: StudyResult = { ...NO_RESULT }
  readonly findings: Finding[] = []
  readonly #options: StudyImportOptions
  readonly #studyUid: string
  readonly #how: HowToImport
  readonly #sample: Taken[] = []
  readonly #given = new Set<string>()

  constructor(options: StudyImportOptions, studyUid: string, how: HowToImport) {
    this.#options = options
    this.#studyUid = studyUid
    this.#how = how
  }

  async run(): Promise<void> {
    const { source } = this.#options
    const { signal } = this.#how
    const contents = await source.contents(this.#studyUid, signal)
    for await (const instance of source.fetch(this.#studyUid, signal)) {
      signal.throwIfAborted()
      await this.#take(instance)
    }
    await this.#compare(contents)
    for (const taken of this.#sample) await this.#readAgain(taken)
  }

  async #take(instance: SourceInstance): Promise<void> {
    if ('unreadable' in instance) return this.#find('unreadable', instance.name, instance.unreadable)
    try {
      const receipt = 'receipt' in instance ? instance.receipt : await this.#receive(instance.body)
      if ('receipt' in instance) await this.#how.spend(receipt.sizeBytes)
      this.#given.add(receipt.sopInstanceUid)
      this.#count(receipt)
      this.#how.progress(receipt.sizeBytes, 1)
      if (isInSample(receipt.sha256, this.#how.verify)) this.#sample.push({ ...receipt, name: instance.name })
    } catch (error) {
      this.#how.signal.throwIfAborted()
      // The source failed, or Firn can't store now: the study has to come again.
      if (!isArchiveError(error) || error.retry !== 'never') throw error
      this.result.refused += 1
      this.#find('refused', instance.name, `${error.code}: ${error.message}`)
    }
  }

  #receive(body: AsyncIterable<Buffer>): Promise<Receipt> {
    const { name, source, receive } = this.#options
    return receive.receive({
      body: this.#slowed(body),
      source: { protocol: 'import', name, address: source.address },
      expected: { studyUid: this.#studyUid },
    })
  }

  async *#slowed(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of body) {
      await this.#how.spend(chunk.length)
      yield chunk
    }
  }

  #count({ outcome, sizeBytes, sopInstanceUid, sha256 }: Receipt): void {
    this.result.bytes += sizeBytes
    if (outcome === 'stored') this.result.stored += 1
    else if (outcome === 'duplicate') this.result.duplicates += 1
    else {
      this.result.conflicts += 1
      this.#find('conflict', sopInstanceUid, `kept as ${sha256}; another one came first and is served`)
    }
  }

  /** By count: everything that the source lists must be here, whoever brought it. */
  async #compare(contents: ReadonlySet<string>): Promise<void> {
    const { catalogue } = this.#options
    const uids = [...contents]
    this.result.expected = uids.length
    for (let at = 0; at < uids.length; at += DIGESTS_AT_ONCE) {
      const some = uids.slice(at, at + DIGESTS_AT_ONCE)
      const found = await Promise.all(some.map((uid) => this.#given.has(uid) || catalogue.digests(uid)))
      for (const [index, digests] of found.entries()) {
        if (digests === true || digests.length > 0) this.result.here += 1
        else {
          this.result.missing += 1
          this.#find('missing', some[index] as string, 'the source lists it and it is not here')
        }
      }
    }
    for (const uid of this.#given) {
      if (!contents.has(uid)) this.#find('unlisted', uid, "it is here, but not in the source's list of the study")
    }
  }

  /** By digest: the source must give the same bytes again, and so must Firn. */
  async #readAgain(taken: Taken): Promise<void> {
    const { source, catalogue, isIntact } = this.#options
    const { signal } = this.#how
    const slowed: Slow = (body) => this.#slowed(body)
    let second: string | undefined
    try {
      second = await source.again(taken, { slowed, signal })
    } catch (error) {
      signal.throwIfAborted()
      const { message } = error as Error
      throw new ArchiveError('unavailable', `${taken.name} could not be read a second time: ${message}`)
    }
    this.result.verified += 1
    const stored = await catalogue.byDigest(taken.sha256)
    if (second !== taken.sha256) {
      this.#differs(taken, `read twice from the source: first ${taken.sha256}, then ${second ?? 'nothing'}`)
    } else if (!stored || !(await isIntact(stored))) {
      this.#differs(taken, `read back from here, it does not have its digest ${taken.sha256}`)
    }
  }

  #differs({ sopInstanceUid }: Taken, detail: string): void {
    this.result.differing += 1
    this.#find('differs', sopInstanceUid, detail)
  }

  #find(kind: FindingKind, object: string, detail: string): void {
    const { length } = this.findings
    if (length < FINDINGS_MAX) this.findings.push({ studyUid: this.#studyUid, kind, object, detail })
  }
}

/** Chosen by the digest: at random for all that matters, and the same ones each time. */
function isInSample(sha256: string, share: number): boolean {
  return Number.parseInt(sha256.slice(0, 8), 16) < share * 0x1_0000_0000
}

/** What unit and property tests of the core share: real instances, bodies in chunks, and one site put together by hand. */
import './ts-workers.ts'
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { KnexCatalogue } from '../../service/catalogue/knex/catalogue.ts'
import type {
  CatalogueJournal,
  CatalogueWriter,
  LandingLocation,
  NewInstance,
  RecordOutcome,
} from '../../service/catalogue/ports.ts'
import { admit, parseHeader } from '../../service/dicom/part10.ts'
import { Ledger } from '../../service/ingest/ledger.ts'
import type { Source } from '../../service/ingest/ports.ts'
import { newInstance, Receiver, type ReceiverOptions } from '../../service/ingest/receive.ts'
import { type ReplayReport, replay } from '../../service/ingest/replay.ts'
import { Landing, type LandingOptions } from '../../service/landing/landing.ts'
import { type Member, memberName } from '../../service/landing/tar.ts'
import { StoredInstances, type StoredInstancesOptions } from '../../service/retrieve/open-instance.ts'
import { type DicomOptions, dicomFile, identifiers } from '../fixtures/dicom.ts'

export const SOURCE: Source = { protocol: 'stow', name: 'tester', address: '127.0.0.1' }
export const RECEIVED = '2026-11-22T12:00:00.000Z'

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

export async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const chunk of chunks) pieces.push(chunk)
  return Buffer.concat(pieces)
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

/** A body in chunks of `bytes`; `failAt` bytes into it the sender goes away. */
export async function* inChunks(file: Buffer, bytes = 16_384, failAt = Number.POSITIVE_INFINITY) {
  for (let at = 0; at < file.length; at += bytes) {
    if (at >= failAt) throw new Error('connection reset')
    yield file.subarray(at, at + bytes)
  }
  if (failAt <= file.length) throw new Error('connection reset')
}

/** The tar member for a file, as ingest makes it. */
export function memberOf(file: Buffer, options: DicomOptions): Member {
  const { studyUid, seriesUid, sopInstanceUid } = identifiers(options)
  return {
    name: memberName(studyUid, seriesUid, sopInstanceUid),
    sizeBytes: file.length,
    note: { firn: 1, sha256: sha256(file), received: RECEIVED, source: SOURCE },
  }
}

/** What the landing hands to the catalogue for a file, wherever it says that its bytes are. */
export function described(options: DicomOptions, over: Partial<NewInstance> = {}): NewInstance {
  const file = dicomFile(options)
  const header = parseHeader(file, true)
  const landed = {
    ...admit(header, true),
    sha256: sha256(file),
    sizeBytes: file.length,
    receivedAt: RECEIVED,
    source: SOURCE,
    location: { segment: 1, offset: 2048 },
  }
  return { ...newInstance(header, landed), ...over }
}

/** A catalogue in memory that knows digests only; `fails` makes its next writes fail. */
export class MemoryCatalogue implements CatalogueWriter {
  readonly copies = new Map<string, NewInstance[]>()
  readonly complete = new Set<number>()
  fails = 0
  /** Nothing can be written at all. */
  gone = false

  async digests(uid: string): Promise<readonly string[]> {
    return (this.copies.get(uid) ?? []).map((copy) => copy.sha256)
  }

  async record(instance: NewInstance): Promise<RecordOutcome> {
    await new Promise(setImmediate)
    if (this.gone || this.fails > 0) {
      this.fails -= 1
      throw new Error('the database went away')
    }
    const copies = this.copies.get(instance.sopInstanceUid) ?? []
    if (copies.some((copy) => copy.sha256 === instance.sha256)) return 'duplicate'
    this.copies.set(instance.sopInstanceUid, [...copies, instance])
    return copies.length === 0 ? 'stored' : 'conflict'
  }

  async relocate(uid: string, sha256: string, location: LandingLocation): Promise<void> {
    const copies = this.copies.get(uid) ?? []
    this.copies.set(
      uid,
      copies.map((copy) => (copy.sha256 === sha256 ? { ...copy, location } : copy)),
    )
  }

  async probe(): Promise<void> {
    if (this.fails === 0) return
    this.fails -= 1
    throw new Error('the database went away')
  }

  async byDigest(sha256: string): Promise<NewInstance | undefined> {
    return [...this.copies.values()].flat().find((copy) => copy.sha256 === sha256)
  }

  async *usedSegments(): AsyncGenerator<{ segment: number; lastOffset: number }> {
    const places = [...this.copies.values()].flat().map(({ location }) => location as LandingLocation)
    for (const segment of new Set(places.map((place) => place.segment))) {
      const offsets = places.filter((place) => place.segment === segment).map(({ offset }) => offset)
      yield { segment, lastOffset: Math.max(...offsets) }
    }
  }

  async segmentComplete(segment: number): Promise<void> {
    this.complete.add(segment)
  }

  async completeSegments(): Promise<ReadonlySet<number>> {
    return this.complete
  }

  get digestsKnown(): string[] {
    return [...this.copies.values()].flat().map((copy) => copy.sha256)
  }
}

export const LIMITS: ReceiverOptions['limits'] = {
  instanceBytesMax: 4 * 1024 * 1024,
  bufferedInstanceBytesMax: 256 * 1024,
  ingestBufferBytes: 8 * 1024 * 1024,
  headerBytesMax: 1024 * 1024,
}

type SiteCatalogue = CatalogueWriter & Pick<CatalogueJournal, 'byDigest'>

export interface Site<Catalogue extends SiteCatalogue> {
  catalogue: Catalogue
  landing: Landing
  instances: StoredInstances
  ledger: Ledger
  receiver: Receiver
  report: ReplayReport
  warnings: string[]
}

const NO_PACKS = {
  read: () => {
    throw new Error('there are no packs')
  },
}

/** Opens a landing, replays it, and puts a receiver in front, as the product's composition root does. */
export async function openSite<Catalogue extends SiteCatalogue>(
  folder: string,
  catalogue: Catalogue,
  options: Partial<LandingOptions> & {
    limits?: Partial<ReceiverOptions['limits']>
    packs?: StoredInstancesOptions['packs']
    mirror?: ReceiverOptions['mirror']
  } = {},
): Promise<Site<Catalogue>> {
  const { limits, packs = NO_PACKS, mirror, ...landingOptions } = options
  const warnings: string[] = []
  await mkdir(folder, { recursive: true })
  const knownOffsets = new Map<number, number>()
  for await (const { segment, lastOffset } of catalogue.usedSegments()) knownOffsets.set(segment, lastOffset)
  const landing = await Landing.open({
    folder,
    lanes: 2,
    segmentBytes: 1024 * 1024,
    reserveBytes: 0,
    onComplete: (segment) => void catalogue.segmentComplete(segment),
    ...landingOptions,
  })
  const report = await replay({
    folder,
    catalogue,
    skip: await catalogue.completeSegments(),
    knownOffsets,
    read: (at, start, end) => landing.read(at, start, end),
    headerBytesMax: LIMITS.headerBytesMax,
    warn: (message) => warnings.push(message),
  })
  const instances = new StoredInstances({ landing, packs })
  const ledger = new Ledger({
    catalogue,
    settled: ({ location }) => landing.settled(location as LandingLocation),
    warn: (message) => warnings.push(message),
  })
  const receiver = new Receiver({
    ...(mirror ? { mirror } : {}),
    landing,
    catalogue,
    ledger,
    isIntact: (stored) => instances.isIntact(stored),
    limits: { ...LIMITS, ...limits },
    warn: (message) => warnings.push(message),
  })
  return { catalogue, landing, instances, ledger, receiver, report, warnings }
}

export function openSqlite(dataDir: string): Promise<KnexCatalogue> {
  return KnexCatalogue.open({ dataDir })
}

export const landingIn = (dataDir: string): string => join(dataDir, 'landing')

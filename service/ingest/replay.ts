import type { CatalogueWriter, LandingLocation, NewInstance } from '../catalogue/ports.ts'
import { admit } from '../dicom/part10.ts'
import { readHeader } from '../dicom/read-header.ts'
import { isArchiveError } from '../errors.ts'
import { listSegments, segmentPath } from '../landing/files.ts'
import { type Found, type Gap, isIntact, isTorn, scanSegment, setTailAside } from '../landing/scan.ts'
import { newInstance } from './receive.ts'

export interface ReplayOptions {
  /** The landing's folder. */
  folder: string
  catalogue: Pick<CatalogueWriter, 'digests' | 'record' | 'segmentComplete'>
  /** Segments that need no look. */
  skip: ReadonlySet<number>
  /**
   * The highest offset that the catalogue knows in each segment. Undefined when the catalogue is being rebuilt and can't
   * tell a torn tail from damage: then nothing is cut.
   */
  knownOffsets: ReadonlyMap<number, number> | undefined
  read(at: LandingLocation, start: number, end: number): AsyncIterable<Buffer>
  headerBytesMax: number
  /** There is another site, and it may lack what the catalogue doesn't know. */
  owed?: boolean
  progress?(done: ReplayReport, total: number): void
  warn(message: string, details: object): void
}

export interface ReplayReport {
  segments: number
  /** Instances looked at, and of those the ones that the catalogue didn't know. */
  instances: number
  replayed: number
  /** Torn tails of appends that a crash cut short, set aside as `.torn`; nothing in them was acknowledged. */
  tornTails: number
  /** Stretches or instances that are not what was written. They stay where they are. */
  damaged: number
  /** Intact instances that could not be recorded. They stay where they are. */
  refused: number
}

/** Read side by side, since one commit of the catalogue serves many. */
const AT_ONCE = 128

type Placed = Found & { segment: number }

/**
 * Brings the catalogue up to what the landing holds: after a crash, or when it is rebuilt. Instances are recorded in the
 * order in which they came, so that the same copy is served, and the same study and patient are described, as before.
 * Bytes are read again only of instances that the catalogue doesn't know. What isn't intact or can't be recorded is
 * reported, never becomes visible, stands in nobody else's way, and is looked at again next time.
 */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const report: ReplayReport = { segments: 0, instances: 0, replayed: 0, tornTails: 0, damaged: 0, refused: 0 }
  const segments = (await listSegments(options.folder)).filter((segment) => !options.skip.has(segment))
  const unclean = new Set<number>()
  const found: Placed[] = []
  for (const segment of segments) {
    if (!(await scan(options, segment, found, report))) unclean.add(segment)
    report.segments += 1
    options.progress?.(report, segments.length)
  }
  found.sort(inOrderOfReceipt)
  await replayInOrder(options, found, report, (segment) => unclean.add(segment))
  for (const segment of segments) if (!unclean.has(segment)) await options.catalogue.segmentComplete(segment)
  return report
}

function inOrderOfReceipt(a: Placed, b: Placed): number {
  const [before, after] = [a.member.note.received, b.member.note.received]
  return before < after ? -1 : before > after ? 1 : a.segment - b.segment || a.offset - b.offset
}

/** False when something in the segment has to be looked at again. */
async function scan(options: ReplayOptions, segment: number, all: Placed[], report: ReplayReport): Promise<boolean> {
  let tail: Gap | undefined
  let clean = true
  for await (const { found, gap } of scanSegment(segmentPath(options.folder, segment))) {
    if (tail) clean = damaged(options, report, segment, tail)
    tail = gap
    if (found) all.push({ ...found, segment })
  }
  return (tail === undefined || (await endTail(options, segment, tail, report))) && clean
}

/** Bytes are read and checked side by side; what comes of it is recorded one after the other. */
async function replayInOrder(
  options: ReplayOptions,
  found: readonly Placed[],
  report: ReplayReport,
  unclean: (segment: number) => void,
): Promise<void> {
  const underway = new Set<Promise<void>>()
  let turn: Promise<void> = Promise.resolve()
  for (const one of found) {
    const before = turn
    let offered = (): void => undefined
    turn = new Promise((resolve) => {
      offered = resolve
    })
    const work = replayOne(options, one, report, before, offered).then((done) => {
      if (!done) unclean(one.segment)
      underway.delete(work)
    })
    underway.add(work)
    if (underway.size >= AT_ONCE) await Promise.race(underway)
    report.instances += 1
    if (report.instances % 1000 === 0) options.progress?.(report, report.segments)
  }
  await Promise.all(underway)
}

function damaged({ warn }: ReplayOptions, report: ReplayReport, segment: number, gap: Gap): false {
  report.damaged += 1
  warn('a stretch of a segment is damaged', { segment, ...gap })
  return false
}

/**
 * What stands behind the last intact member: the torn tail of an append that a crash cut short, of which nothing was
 * acknowledged, or damage. It is taken for torn only where all speaks for that, and even then it is kept aside.
 */
async function endTail(options: ReplayOptions, segment: number, tail: Gap, report: ReplayReport): Promise<boolean> {
  const path = segmentPath(options.folder, segment)
  const { knownOffsets } = options
  const mayBeTorn = knownOffsets !== undefined && (knownOffsets.get(segment) ?? -1) < tail.start
  if (!mayBeTorn || !(await isTorn(path, tail))) return damaged(options, report, segment, tail)
  await setTailAside(path, tail)
  report.tornTails += 1
  options.warn('set the torn tail of a segment aside', { segment, bytes: tail.end - tail.start })
  return true
}

/**
 * False when the instance is damaged or can't be recorded.
 *
 * @param before resolves when all earlier instances were offered to the catalogue, which takes them in that order
 * @param offered to be called when this one was, or never will be
 */
async function replayOne(
  options: ReplayOptions,
  found: Placed,
  report: ReplayReport,
  before: Promise<void>,
  offered: () => void,
): Promise<boolean> {
  const { member, offset, segment } = found
  const place = { segment, offset, sha256: member.note.sha256 }
  try {
    const instance = await unknownOnly(options, found)
    await before
    if (instance === 'known') return true
    if (instance === 'damaged') {
      report.damaged += 1
      options.warn('an instance in the landing is damaged', place)
      return false
    }
    const recorded = options.catalogue.record({ ...instance, owed: options.owed ?? false })
    offered()
    if ((await recorded) !== 'duplicate') report.replayed += 1
    return true
  } catch (error) {
    // Its bytes are about to be freed, or were missed when the others were.
    if (isArchiveError(error, 'destroyed')) return true
    report.refused += 1
    options.warn('an instance in the landing could not be recorded', { ...place, error: (error as Error).message })
    return false
  } finally {
    void before.then(offered)
  }
}

async function unknownOnly(options: ReplayOptions, found: Placed): Promise<NewInstance | 'known' | 'damaged'> {
  const known = await options.catalogue.digests(uidOf(found))
  if (known.includes(found.member.note.sha256)) return 'known'
  if (!(await isIntact(segmentPath(options.folder, found.segment), found))) return 'damaged'
  return describe(options, found)
}

function uidOf({ member }: Found): string {
  return member.name.slice(member.name.lastIndexOf('/') + 1, -'.dcm'.length)
}

/** Parses the header again, as it was when the instance came. */
async function describe(options: ReplayOptions, { member, offset, segment }: Placed): Promise<NewInstance> {
  const { sizeBytes, note } = member
  const location = { segment, offset }
  const read = (start: number, end: number) => options.read(location, start, end)
  const { header, whole } = await readHeader(read, sizeBytes, options.headerBytesMax)
  return newInstance(header, {
    ...admit(header, whole),
    sha256: note.sha256,
    sizeBytes,
    receivedAt: note.received,
    source: note.source,
    location,
  })
}

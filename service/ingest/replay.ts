import type { CatalogueWriter, LandingLocation, NewInstance } from '../catalogue/ports.ts'
import { admit } from '../dicom/part10.ts'
import { readHeader } from '../dicom/read-header.ts'
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

/** Many at once, since one commit of the catalogue serves many. */
const AT_ONCE = 128

type Placed = Found & { segment: number }

/**
 * Brings the catalogue up to what the landing holds: after a crash, or when it is rebuilt. Bytes are read again only of
 * instances that the catalogue doesn't know. What isn't intact or can't be recorded is reported, never becomes visible,
 * stands in nobody else's way, and is looked at again next time.
 */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const report: ReplayReport = { segments: 0, instances: 0, replayed: 0, tornTails: 0, damaged: 0, refused: 0 }
  const segments = (await listSegments(options.folder)).filter((segment) => !options.skip.has(segment))
  const contested = new Contested()
  for (const segment of segments) {
    for await (const { found } of scanSegment(segmentPath(options.folder, segment))) {
      if (found) contested.add({ ...found, segment })
    }
  }
  const unclean = new Set<number>()
  for (const segment of segments) {
    if (!(await replaySegment(options, segment, contested, report))) unclean.add(segment)
    report.segments += 1
    options.progress?.(report, segments.length)
  }
  // Copies with other bytes under one UID: the one that came first is the one that is served.
  for (const found of contested.inOrder()) if (!(await replayOne(options, found, report))) unclean.add(found.segment)
  for (const segment of segments) if (!unclean.has(segment)) await options.catalogue.segmentComplete(segment)
  return report
}

/** SOP Instance UIDs of which there are copies with different bytes, and these copies. */
class Contested {
  readonly #first = new Map<string, Placed | string>()
  readonly #copies = new Map<string, Placed[]>()

  add(found: Placed): void {
    const uid = uidOf(found)
    const first = this.#first.get(uid)
    if (first === undefined) this.#first.set(uid, found)
    else if (typeof first === 'string') this.#copies.get(uid)?.push(found)
    else if (first.member.note.sha256 !== found.member.note.sha256) {
      this.#copies.set(uid, [first, found])
      this.#first.set(uid, uid)
    }
  }

  has(found: Found): boolean {
    return this.#copies.has(uidOf(found))
  }

  inOrder(): Placed[] {
    const time = ({ member }: Placed): string => member.note.received
    const earlier = (a: Placed, b: Placed): number =>
      time(a) < time(b) ? -1 : time(a) > time(b) ? 1 : a.segment - b.segment || a.offset - b.offset
    return [...this.#copies.values()].flat().sort(earlier)
  }
}

function uidOf({ member }: Found): string {
  return member.name.slice(member.name.lastIndexOf('/') + 1, -'.dcm'.length)
}

/** False when something in the segment has to be looked at again. */
async function replaySegment(
  options: ReplayOptions,
  segment: number,
  contested: Contested,
  report: ReplayReport,
): Promise<boolean> {
  const underway = new Set<Promise<void>>()
  let tail: Gap | undefined
  let clean = true
  for await (const { found, gap } of scanSegment(segmentPath(options.folder, segment))) {
    if (tail) clean = damaged(options, report, segment, tail)
    tail = gap
    if (!found) continue
    report.instances += 1
    if (contested.has(found)) continue
    const work = replayOne(options, { ...found, segment }, report).then((done) => {
      clean &&= done
      underway.delete(work)
    })
    underway.add(work)
    if (underway.size >= AT_ONCE) await Promise.race(underway)
  }
  await Promise.all(underway)
  return (tail === undefined || (await endTail(options, segment, tail, report))) && clean
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

/** False when the instance is damaged or can't be recorded. */
async function replayOne(options: ReplayOptions, found: Placed, report: ReplayReport): Promise<boolean> {
  const { member, offset, segment } = found
  const place = { segment, offset, sha256: member.note.sha256 }
  try {
    if ((await options.catalogue.digests(uidOf(found))).includes(member.note.sha256)) return true
    if (!(await isIntact(segmentPath(options.folder, segment), found))) {
      report.damaged += 1
      options.warn('an instance in the landing is damaged', place)
      return false
    }
    const outcome = await options.catalogue.record(await describe(options, found))
    if (outcome !== 'duplicate') report.replayed += 1
    return true
  } catch (error) {
    report.refused += 1
    options.warn('an instance in the landing could not be recorded', { ...place, error: (error as Error).message })
    return false
  }
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

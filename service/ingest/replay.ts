import type { CatalogueWriter, NewInstance } from '../catalogue/ports.ts'
import { admit } from '../dicom/part10.ts'
import { readHeader } from '../dicom/read-header.ts'
import { listSegments, segmentPath } from '../landing/files.ts'
import { cutTail, type Found, type Gap, isIntact, scanSegment } from '../landing/scan.ts'
import { newInstance } from './receive.ts'

export interface ReplayOptions {
  /** The landing's folder. */
  folder: string
  catalogue: Pick<CatalogueWriter, 'digests' | 'record' | 'segmentComplete'>
  /** Segments that need no look. */
  skip: ReadonlySet<number>
  read(at: { segment: number; offset: number }, start: number, end: number): AsyncIterable<Buffer>
  headerBytesMax: number
  progress?(done: ReplayReport, total: number): void
  warn(message: string, details: object): void
}

export interface ReplayReport {
  segments: number
  /** Instances looked at, and of those the ones that the catalogue didn't know. */
  instances: number
  replayed: number
  /** Torn tails of appends that a crash cut short; nothing in them was acknowledged. */
  tailsCut: number
  /** Stretches or instances that are not what was written. They stay where they are. */
  damaged: number
}

/** Many at once, since one commit of the catalogue serves many. */
const AT_ONCE = 128

/**
 * Brings the catalogue up to what the landing holds: after a crash, or when it is rebuilt. Bytes are read again only of
 * instances that the catalogue doesn't know; what isn't intact is reported and never becomes visible.
 */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const report: ReplayReport = { segments: 0, instances: 0, replayed: 0, tailsCut: 0, damaged: 0 }
  const segments = (await listSegments(options.folder)).filter((segment) => !options.skip.has(segment))
  for (const segment of segments) {
    await replaySegment(options, segment, report)
    report.segments += 1
    options.progress?.(report, segments.length)
  }
  return report
}

async function replaySegment(options: ReplayOptions, segment: number, report: ReplayReport): Promise<void> {
  const path = segmentPath(options.folder, segment)
  const underway = new Set<Promise<void>>()
  let tail: Gap | undefined
  let clean = true
  for await (const { found, gap } of scanSegment(path)) {
    if (tail) damage(options, report, segment, tail)
    clean &&= tail === undefined
    tail = gap
    if (!found) continue
    report.instances += 1
    const work = replayOne(options, segment, found, report).then((intact) => {
      clean &&= intact
    })
    underway.add(work)
    void work.finally(() => underway.delete(work)).catch(() => undefined)
    if (underway.size >= AT_ONCE) await Promise.race(underway)
  }
  await Promise.all(underway)
  if (tail) {
    // Appends are synced in order: behind the last intact member there was never anything to acknowledge.
    await cutTail(path, tail.start)
    report.tailsCut += 1
    options.warn('cut off the torn tail of a segment', { segment, bytes: tail.end - tail.start })
  }
  if (clean) await options.catalogue.segmentComplete(segment)
}

function damage({ warn }: ReplayOptions, report: ReplayReport, segment: number, gap: Gap): void {
  report.damaged += 1
  warn('a stretch of a segment is damaged', { segment, ...gap })
}

/** False when the instance is damaged. */
async function replayOne(
  options: ReplayOptions,
  segment: number,
  found: Found,
  report: ReplayReport,
): Promise<boolean> {
  const { member, offset } = found
  const sopInstanceUid = member.name.slice(member.name.lastIndexOf('/') + 1, -'.dcm'.length)
  if ((await options.catalogue.digests(sopInstanceUid)).includes(member.note.sha256)) return true
  if (!(await isIntact(segmentPath(options.folder, segment), found))) {
    report.damaged += 1
    options.warn('an instance in the landing is damaged', { segment, offset, sha256: member.note.sha256 })
    return false
  }
  const instance = await describe(options, segment, found)
  if ((await options.catalogue.record(instance)) !== 'duplicate') report.replayed += 1
  return true
}

/** Parses the header again, as it was when the instance came. */
async function describe(options: ReplayOptions, segment: number, { member, offset }: Found): Promise<NewInstance> {
  const { sizeBytes, note } = member
  const read = (start: number, end: number) => options.read({ segment, offset }, start, end)
  const { header, whole } = await readHeader(read, sizeBytes, options.headerBytesMax)
  return newInstance(header, {
    ...admit(header, whole),
    sha256: note.sha256,
    sizeBytes,
    receivedAt: note.received,
    source: note.source,
    location: { segment, offset },
  })
}

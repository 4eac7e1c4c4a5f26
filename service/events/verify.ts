import { join } from 'node:path'
import { EMPTY, type Event, type Head } from './event.ts'
import { dropEmptyEnd, listFiles, peerFolder, segmentName, segmentPath } from './files.ts'
import { known } from './kinds.ts'
import { ChainCheck, type Damage, decodeOr, LINE_BYTES_MAX, LineFault } from './line.ts'
import { type Line, linesOf, readEvents } from './read.ts'

/** The first line of a log that isn't what it should be. */
export interface Broken {
  file: string
  /** From 1. */
  line: number
  /** Of the line's first byte. */
  offset: number
  damage: Damage
  why: string
}

export interface ChainReport {
  folder: string
  site: string | undefined
  segments: number
  events: number
  bytes: number
  /** The last event that is as it should be. */
  head: Head
  /** Of the first and the last event; they prove nothing. */
  from: string | undefined
  until: string | undefined
  kinds: Record<string, number>
  broken: Broken | undefined
  /** Files into which tails were moved that crashes had torn. They are no part of the chain. */
  setAside: string[]
}

/** A head that was remembered elsewhere, and whether the log has it. */
export interface Anchor {
  site: string
  head: Head
  /** Who remembered it. */
  by: string
  held: boolean
}

type Note = Omit<Anchor, 'held'>

export interface LogReport {
  intact: boolean
  /** The site's own, then its copies of others'. */
  chains: ChainReport[]
  anchors: Anchor[]
}

/** Somebody may invent kinds; so many are counted each by its name. */
const KINDS_MAX = 200
const LIVE_TRIES = 20
const LIVE_WAIT_MS = 50

/**
 * Reads a log's files, and its copies of other sites' logs, and says whether they are as they were written. Needs
 * nothing but the files, bounded memory, and may run while a node writes to them. That something is missing at the very
 * end shows only against a head that was remembered elsewhere: `remembered`, or one that the other site's log recorded.
 */
export async function verifyLog(
  folder: string,
  remembered: readonly Head[] = [],
  progress: (events: number) => void = () => undefined,
): Promise<LogReport> {
  const notes: Note[] = []
  const { peers } = await listFiles(folder)
  const own = await verifyChain(folder, undefined, notes, progress)
  const chains = [own]
  for (const site of peers) chains.push(await verifyChain(peerFolder(folder, site), site, notes, progress))
  const anchors: Anchor[] = []
  for (const head of remembered) anchors.push({ site: own.site ?? '', head, by: 'you', held: await holds(own, head) })
  for (const note of notes) {
    // An empty log has lost all that others remember of it.
    const chain = chains.find(({ site }) => site === note.site) ?? (own.site === undefined ? own : undefined)
    if (chain) anchors.push({ ...note, held: await holds(chain, note.head) })
  }
  const intact = chains.every(({ broken }) => !broken) && anchors.every(({ held }) => held)
  return { intact, chains, anchors }
}

async function verifyChain(
  folder: string,
  site: string | undefined,
  notes: Note[],
  progress: (events: number) => void,
): Promise<ChainReport> {
  const { segments, torn } = await listFiles(folder)
  const report: ChainReport = {
    folder,
    site,
    segments: segments.length,
    events: 0,
    bytes: 0,
    head: EMPTY,
    from: undefined,
    until: undefined,
    kinds: {},
    broken: undefined,
    setAside: torn,
  }
  const check = new ChainCheck(EMPTY, site)
  const heads = new Map<string, Head>()
  for (const first of await dropEmptyEnd(folder, segments)) {
    const isLast = first === segments.at(-1)
    report.broken = await verifySegment({
      folder,
      first,
      isLast,
      check,
      count: (...line) => count(report, heads, ...line),
    })
    if (report.broken) break
    progress(report.events)
  }
  for (const [of, head] of heads) notes.push({ site: of, head, by: report.site ?? '' })
  return report
}

function count(report: ChainReport, heads: Map<string, Head>, event: Event, bytes: number): void {
  const { kinds, from } = report
  report.site = event.site
  report.events += 1
  report.bytes += bytes
  report.head = { seq: event.seq, hash: event.hash }
  report.from = from ?? event.at
  report.until = event.at
  const kind = Object.hasOwn(kinds, event.kind) || Object.keys(kinds).length < KINDS_MAX ? event.kind : 'others'
  kinds[kind] = (kinds[kind] ?? 0) + 1
  if (event.kind !== 'site.head') return
  const noted = known(event)
  // The last head covers all before it.
  if (noted?.kind === 'site.head' && noted.subject.site) heads.set(noted.subject.site, noted.data)
}

interface Walk {
  folder: string
  first: number
  isLast: boolean
  check: ChainCheck
  count(event: Event, bytes: number): void
}

async function verifySegment({ folder, first, isLast, check, count }: Walk): Promise<Broken | undefined> {
  const place = { file: join(folder, segmentName(first)), line: 1, offset: 0 }
  try {
    const wanted = (check.head?.seq ?? 0) + 1
    if (first !== wanted)
      throw new LineFault(first > wanted ? 'removed' : 'inserted', `event ${wanted} should come first`)
    for await (const lines of settledLines(segmentPath(folder, first), isLast)) {
      for (const [index, line] of lines.entries()) {
        place.offset = line.offset
        if (!line.whole) throw endless(line)
        count(accept(check, lines, index), line.bytes.length + 1)
        place.line += 1
      }
    }
    return undefined
  } catch (error) {
    if (!(error instanceof LineFault)) throw error
    return { ...place, damage: error.damage, why: error.message }
  }
}

const endless = ({ bytes }: Line): LineFault =>
  bytes.length < LINE_BYTES_MAX
    ? new LineFault('truncated', 'the line does not end: a crash left it so, or somebody cut it')
    : new LineFault('altered', 'the line is longer than any event')

/** Takes a line; where another one should stand, looks whether that one comes a little later. */
function accept(check: ChainCheck, lines: readonly Line[], index: number): Event {
  const wanted = (check.head?.seq ?? 0) + 1
  try {
    return check.accept((lines[index] as Line).bytes)
  } catch (error) {
    const isLater =
      error instanceof LineFault &&
      error.damage === 'removed' &&
      lines.slice(index).some((line) => decodeOr(line.bytes)?.seq === wanted)
    throw isLater ? new LineFault('reordered', `event ${wanted} should stand here, and comes later`) : error
  }
}

/** The lines of a file. A node may be writing the last one: it gets some time to end it. */
async function* settledLines(path: string, isLast: boolean): AsyncGenerator<Line[]> {
  let from = 0
  for (let tries = isLast ? LIVE_TRIES : 0; ; tries -= 1) {
    let unfinished: Line | undefined
    for await (const lines of linesOf(path, from)) {
      unfinished = lines.find(({ whole }) => !whole)
      yield unfinished && tries > 0 ? lines.filter(({ whole }) => whole) : lines
    }
    if (!unfinished || tries === 0) return
    from = unfinished.offset
    await new Promise((resolve) => setTimeout(resolve, LIVE_WAIT_MS))
  }
}

async function holds({ folder, head }: ChainReport, wanted: Head): Promise<boolean> {
  if (wanted.seq === 0) return wanted.hash === EMPTY.hash
  if (wanted.seq > head.seq) return false
  const { segments } = await listFiles(folder)
  for await (const [event] of readEvents(folder, segments, { after: wanted.seq - 1, last: wanted.seq })) {
    return event?.hash === wanted.hash
  }
  return false
}

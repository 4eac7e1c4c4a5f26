import { type FileHandle, open } from 'node:fs/promises'
import { ArchiveError } from '../errors.ts'
import type { Event } from './event.ts'
import { dropEmptyEnd, listFiles, segmentName, segmentPath } from './files.ts'
import { ChainCheck, decodeOr, LINE_BYTES_MAX } from './line.ts'

export interface Line {
  /** Without its newline. */
  bytes: Buffer
  offset: number
  /** Whether it ends in a newline. Only the last one of a file may not, or one that is longer than any event. */
  whole: boolean
}

const NEWLINE = 0x0a
/** Two reads of this size are all that is in memory of a file. */
const CHUNK_BYTES = LINE_BYTES_MAX

/** A file's lines from an offset on, some at a time. */
export async function* linesOf(path: string, from = 0): AsyncGenerator<Line[]> {
  const file = await open(path, 'r')
  try {
    let rest: Buffer = Buffer.alloc(0)
    let offset = from
    for (;;) {
      const { buffer, bytesRead } = await file.read(
        Buffer.allocUnsafe(CHUNK_BYTES),
        0,
        CHUNK_BYTES,
        offset + rest.length,
      )
      if (bytesRead === 0) break
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      const { lines, end } = split(bytes, offset)
      if (lines.length > 0) yield lines
      rest = bytes.subarray(end)
      offset += end
      if (rest.length >= LINE_BYTES_MAX) break
    }
    if (rest.length > 0) yield [{ bytes: rest, offset, whole: false }]
  } finally {
    await file.close()
  }
}

/** The lines of bytes in memory. */
export function linesIn(bytes: Buffer): Line[] {
  const { lines, end } = split(bytes, 0)
  return end === bytes.length ? lines : [...lines, { bytes: bytes.subarray(end), offset: end, whole: false }]
}

function split(bytes: Buffer, offset: number): { lines: Line[]; end: number } {
  const lines: Line[] = []
  let start = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, start)) {
    lines.push({ bytes: bytes.subarray(start, at), offset: offset + start, whole: true })
    start = at + 1
  }
  return { lines, end: start }
}

/** The last line of a file, or undefined when the file doesn't end with a whole one. */
export async function lastLine(path: string): Promise<Buffer | undefined> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const start = Math.max(0, size - LINE_BYTES_MAX - 1)
    const bytes = await readFully(file, start, size)
    if (bytes.at(-1) !== NEWLINE) return undefined
    const end = bytes.length - 1
    return bytes.subarray(end === 0 ? 0 : bytes.lastIndexOf(NEWLINE, end - 1) + 1, end)
  } finally {
    await file.close()
  }
}

/** The bytes from `start` to `end`; fewer where the file has shrunk meanwhile. */
export async function readFully(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start)
  let done = 0
  while (done < bytes.length) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

/** Below this distance reading on is cheaper than another probe. */
const SEEK_BYTES_MIN = 64 * 1024

/**
 * The offset of a line at or before the one that follows event `after`, by halving the file: a few reads, no index. What
 * is damaged counts as lying behind, so that everything before the first damage is found.
 */
async function seek(path: string, after: number): Promise<number> {
  const file = await open(path, 'r')
  try {
    let low = 0
    let high = (await file.stat()).size
    while (high - low > SEEK_BYTES_MIN) {
      const middle = low + Math.floor((high - low) / 2)
      const line = await firstLineBehind(file, middle)
      if (line && (decodeOr(line.bytes)?.seq ?? Number.POSITIVE_INFINITY) <= after) low = line.offset
      else high = middle
    }
    return low
  } finally {
    await file.close()
  }
}

const PROBE_BYTES = 4096

/** The first whole line that begins behind an offset; undefined when there is none. */
async function firstLineBehind(file: FileHandle, offset: number): Promise<Line | undefined> {
  for (let size = PROBE_BYTES; ; size *= 4) {
    const bytes = await readFully(file, offset, offset + size)
    const start = bytes.indexOf(NEWLINE) + 1
    const end = start === 0 ? -1 : bytes.indexOf(NEWLINE, start)
    if (end >= 0) return { bytes: bytes.subarray(start, end), offset: offset + start, whole: true }
    if (bytes.length < size || size > 4 * LINE_BYTES_MAX) return undefined
  }
}

/**
 * Events `after` + 1 to `last` of a chain, in order, each checked on the way: its hash, and that it follows the one
 * before. `segments` are the first numbers of the files, ascending. Throws ArchiveError `storage_failed`.
 */
export async function* readEvents(
  folder: string,
  segments: readonly number[],
  { after, last }: { after: number; last: number },
): AsyncGenerator<Event[]> {
  let done = after
  const check = new ChainCheck(undefined)
  for (const [index, first] of segments.entries()) {
    if (done >= last || first > last) break
    if ((segments[index + 1] ?? Number.POSITIVE_INFINITY) <= done + 1) continue
    try {
      const from = done >= first ? await seek(segmentPath(folder, first), done) : 0
      for await (const lines of linesOf(segmentPath(folder, first), from)) {
        const { events, fault } = take(lines, check, { after, last })
        const next = events[0]?.seq ?? done + 1
        if (next !== done + 1) throw new Error(`event ${next} comes next`)
        done += events.length
        if (events.length > 0) yield events
        if (fault) throw fault
        if (done >= last) return
      }
    } catch (error) {
      throw unreadable(`${segmentName(first)}: after event ${done}: ${(error as Error).message}`, error)
    }
  }
  if (done < last && Number.isFinite(last)) throw unreadable(`events ${done + 1} to ${last} are missing`)
}

/**
 * All events after a number, of files alone. A line that has no end yet ends it: a node may be writing it. Throws
 * ArchiveError `storage_failed`.
 */
export async function* readLog(folder: string, after: number): AsyncGenerator<Event[]> {
  const segments = await dropEmptyEnd(folder, (await listFiles(folder)).segments)
  yield* readEvents(folder, segments, { after, last: Number.POSITIVE_INFINITY })
}

/** The events among some lines, and what is wrong with the line behind them, if anything is. */
function take(lines: readonly Line[], check: ChainCheck, { after, last }: { after: number; last: number }) {
  const events: Event[] = []
  try {
    for (const line of lines) {
      if ((check.head?.seq ?? 0) >= last || !line.whole) break
      const event = check.accept(line.bytes)
      if (event.seq > after) events.push(event)
    }
    return { events }
  } catch (fault) {
    return { events, fault }
  }
}

function unreadable(message: string, cause?: unknown): ArchiveError {
  return new ArchiveError('storage_failed', `the event log can't be read: ${message}`, { cause })
}

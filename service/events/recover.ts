import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../sync-folder.ts'
import { EMPTY, type Head } from './event.ts'
import { dropEmptyEnd, listFiles, segmentName, segmentPath } from './files.ts'
import { ChainCheck, decodeOr, LineFault } from './line.ts'
import { lastLine, linesOf, readFully } from './read.ts'

/**
 * A sync serves this many bytes at the most. Only so much at a log's end can be in doubt after a crash, because each
 * batch is synced before the next is written.
 */
export const BATCH_BYTES_MAX = 1024 * 1024

export interface Recovered {
  /** Numbers of the segments' first events, ascending. */
  segments: number[]
  head: Head
  /** Why nothing may be appended; undefined when all is well. */
  trouble: string | undefined
  /** The file into which a torn tail was moved. */
  setAside: string | undefined
}

/**
 * Finds a log's head and makes its end durable. Only the last segment is read in full, and the line before it; `firn
 * events verify` reads all. A torn tail is set aside; anything else that doesn't fit is trouble, and is left as it is.
 */
export async function recover(folder: string, site: string): Promise<Recovered> {
  const segments = await dropEmptyEnd(folder, (await listFiles(folder)).segments)
  const found: Recovered = { segments, head: EMPTY, trouble: undefined, setAside: undefined }
  const first = segments.at(-1)
  if (first === undefined) return found
  try {
    found.head = await headBefore(folder, segments)
    await followLast(folder, first, site, found)
  } catch (error) {
    if (!(error instanceof LineFault)) throw error
    found.trouble = `${error.message}; \`firn events verify\` tells more`
  }
  return found
}

/** The head that the last segment must follow. Throws LineFault. */
async function headBefore(folder: string, segments: readonly number[]): Promise<Head> {
  const before = segments.at(-2)
  if (before === undefined) return EMPTY
  const line = await lastLine(segmentPath(folder, before))
  const event = line && decodeOr(line)
  if (!event) throw new LineFault('truncated', `${segmentName(before)} does not end with an event`)
  return { seq: event.seq, hash: event.hash }
}

async function followLast(folder: string, first: number, site: string, found: Recovered): Promise<void> {
  const path = segmentPath(folder, first)
  if (first !== found.head.seq + 1) {
    throw new LineFault('removed', `${segmentName(first)} follows event ${found.head.seq}`)
  }
  const check = new ChainCheck(found.head, site)
  let end = 0
  try {
    for await (const lines of linesOf(path)) {
      for (const line of lines) {
        if (!line.whole) throw new LineFault('truncated', 'it does not end')
        const { seq, hash } = check.accept(line.bytes)
        found.head = { seq, hash }
        end = line.offset + line.bytes.length + 1
      }
    }
  } catch (error) {
    if (!(error instanceof LineFault)) throw error
    const tail = await tailOf(path, end)
    if (!tail || !isTorn(tail)) throw placed(error, first, end)
    found.setAside = await setTailAside(path, end, tail)
  }
  if (end === 0) found.segments.pop()
  else await writeEndAgain(path, end)
}

const placed = (fault: LineFault, segment: number, offset: number): LineFault =>
  new LineFault(fault.damage, `${segmentName(segment)}, byte ${offset}: ${fault.message}`)

/** What is behind an offset; undefined when that is more than an append can leave. */
async function tailOf(path: string, start: number): Promise<Buffer | undefined> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    return size - start > BATCH_BYTES_MAX ? undefined : await readFully(file, start, size)
  } finally {
    await file.close()
  }
}

/** So many zeros in a row are what some file systems show where a power cut came before the data. */
const HOLE = Buffer.alloc(8)

/**
 * Whether a tail can be what a crash left of an append: a line without end, or a hole. A line that has its end and isn't
 * right was changed by something else; so was what stands before or behind a right one.
 */
function isTorn(tail: Buffer): boolean {
  const pieces = tail.toString('latin1').split('\n')
  if (pieces.length > 1 && !tail.includes(HOLE)) return false
  // The last piece may be an event that lacks nothing but its newline, but not one with another byte in place of it.
  const whole = [...pieces.slice(0, -1).map((piece) => Buffer.from(piece, 'latin1')), tail.subarray(0, -1)]
  return !whole.some(decodeOr)
}

/**
 * Moves a torn tail to a file of its own, named by where it was and its digest, so that nothing set aside before is
 * written over. It is durable in its new place before a byte of it is cut off.
 */
async function setTailAside(path: string, start: number, tail: Buffer): Promise<string> {
  const digest = createHash('sha256').update(tail).digest('hex').slice(0, 8)
  const aside = `${path}.${start}.${digest}.torn`
  const copy = await open(aside, 'w', 0o640)
  try {
    await copy.writeFile(tail)
    await copy.sync()
  } finally {
    await copy.close()
  }
  await syncFolder(dirname(path))
  const file = await open(path, 'r+')
  try {
    await file.truncate(start)
    await file.datasync()
  } finally {
    await file.close()
  }
  return aside
}

/**
 * Writes the last batch once more, the same bytes in the same place, and syncs. After a crash it may be in the page cache
 * only, and after a sync that failed there the kernel may hold its pages for clean: a sync alone would prove nothing, and
 * an event that is chained to one which then vanishes would leave a gap.
 */
async function writeEndAgain(path: string, end: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const start = Math.max(0, end - BATCH_BYTES_MAX)
    const bytes = await readFully(file, start, end)
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, start + done)
      done += bytesWritten
    }
    await file.datasync()
  } finally {
    await file.close()
  }
  await syncFolder(dirname(path))
}

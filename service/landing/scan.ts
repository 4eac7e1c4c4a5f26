import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../sync-folder.ts'
import {
  BLOCK,
  decodeMemberHeader,
  END_OF_ARCHIVE,
  END_OF_SEGMENT,
  fillerBytes,
  MEMBER_HEADER_BYTES,
  type Member,
  paddingBytes,
} from './tar.ts'

export interface Found {
  member: Member
  /** Of the first byte of the instance's file. */
  offset: number
}

/** A stretch of a segment that is no member: the tail of an append that a crash cut short, or damage. */
export interface Gap {
  start: number
  end: number
}

export type ScanStep = { found: Found; gap?: never } | { gap: Gap; found?: never }

/** Reads a segment's member headers one after the other, in order; never its data. */
export async function* scanSegment(path: string): AsyncGenerator<ScanStep> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    let at = 0
    while (at < size) {
      const member = await memberAt(file, at, size)
      if (member) {
        yield { found: { member, offset: at + MEMBER_HEADER_BYTES } }
        at += MEMBER_HEADER_BYTES + member.sizeBytes + paddingBytes(member.sizeBytes)
        continue
      }
      const filler = await fillerAt(file, at, size)
      if (filler !== undefined) {
        at += filler
        continue
      }
      if (await isEnd(file, at, size)) return
      const next = await nextMember(file, at + BLOCK, size)
      yield { gap: { start: at, end: next } }
      at = next
    }
  } finally {
    await file.close()
  }
}

/** Undefined unless header and data are there in full. */
async function memberAt(file: FileHandle, at: number, size: number): Promise<Member | undefined> {
  if (at + MEMBER_HEADER_BYTES > size) return undefined
  const { buffer } = await file.read(Buffer.alloc(MEMBER_HEADER_BYTES), 0, MEMBER_HEADER_BYTES, at)
  const member = decodeMemberHeader(buffer)
  return member && at + MEMBER_HEADER_BYTES + member.sizeBytes <= size ? member : undefined
}

async function fillerAt(file: FileHandle, at: number, size: number): Promise<number | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(BLOCK), 0, BLOCK, at)
  const bytes = fillerBytes(buffer.subarray(0, bytesRead))
  return bytes !== undefined && at + bytes <= size ? bytes : undefined
}

/** An archive's end is zeros up to the file's: two blocks at least, and no more than alignment asks for. */
const END_BYTES_MAX = END_OF_ARCHIVE.length + END_OF_SEGMENT.length

async function isEnd(file: FileHandle, at: number, size: number): Promise<boolean> {
  const bytes = size - at
  if (bytes < END_OF_ARCHIVE.length || bytes > END_BYTES_MAX) return false
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, at)
  return bytesRead === bytes && buffer.every((byte) => byte === 0)
}

const WINDOW_BYTES = 1024 * 1024
const USTAR_MAGIC = Buffer.from('ustar\x0000')
const MAGIC_OFFSET = 257

/** Members start at block boundaries: looks for the next intact header, or the file's end. */
async function nextMember(file: FileHandle, from: number, size: number): Promise<number> {
  for (let start = from; start < size; start += WINDOW_BYTES) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(WINDOW_BYTES + BLOCK), 0, WINDOW_BYTES + BLOCK, start)
    const window = buffer.subarray(0, bytesRead)
    for (let magic = window.indexOf(USTAR_MAGIC); magic >= 0; magic = window.indexOf(USTAR_MAGIC, magic + 1)) {
      const at = magic - MAGIC_OFFSET
      if (at < 0 || at >= WINDOW_BYTES || at % BLOCK !== 0) continue
      if (await memberAt(file, start + at, size)) return start + at
    }
  }
  return size
}

/** Whether a member's data still has the digest that its header names. */
export async function isIntact(path: string, { member, offset }: Found): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, member.sizeBytes))
    for (let done = 0; done < member.sizeBytes; ) {
      const want = Math.min(buffer.length, member.sizeBytes - done)
      const { bytesRead } = await file.read(buffer, 0, want, offset + done)
      if (bytesRead === 0) return false
      hash.update(buffer.subarray(0, bytesRead))
      done += bytesRead
    }
    return hash.digest('hex') === member.note.sha256
  } finally {
    await file.close()
  }
}

/** A tail longer than an append can be is no torn append. */
const TORN_BYTES_MAX = 128 * 1024 * 1024

/** Whether a segment's tail can be what a crash left of an append: a segment that was ended has none. */
export async function isTorn(path: string, { start, end }: Gap): Promise<boolean> {
  if (end - start > TORN_BYTES_MAX) return false
  const file = await open(path, 'r')
  try {
    const last = Buffer.alloc(END_OF_ARCHIVE.length)
    const { bytesRead } = await file.read(last, 0, last.length, Math.max(start, end - last.length))
    return bytesRead < last.length || last.some((byte) => byte !== 0)
  } finally {
    await file.close()
  }
}

/**
 * Moves a torn tail to a file of its own beside the segment, named by where it was, and ends the archive so that tar
 * reads it. The tail is durable in its new place before a byte of it is cut off.
 */
export async function setTailAside(path: string, { start, end }: Gap): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const tail = Buffer.alloc(end - start)
    for (let done = 0; done < tail.length; ) {
      const { bytesRead } = await file.read(tail, done, tail.length - done, start + done)
      // Nothing may be cut off that was not saved first.
      if (bytesRead === 0) throw new Error(`${path} ends before its tail at ${start + done}`)
      done += bytesRead
    }
    await writeDurably(`${path}.${start}.torn`, tail)
    await file.truncate(start)
    await file.write(END_OF_SEGMENT, 0, END_OF_SEGMENT.length, start)
    await file.datasync()
  } finally {
    await file.close()
  }
}

async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'w', 0o640)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncFolder(dirname(path))
}

import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { BLOCK, decodeMemberHeader, END_OF_ARCHIVE, MEMBER_HEADER_BYTES, type Member, paddingBytes } from './tar.ts'

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

async function isEnd(file: FileHandle, at: number, size: number): Promise<boolean> {
  if (size - at > END_OF_ARCHIVE.length) return false
  const { buffer, bytesRead } = await file.read(Buffer.alloc(END_OF_ARCHIVE.length), 0, END_OF_ARCHIVE.length, at)
  return bytesRead === END_OF_ARCHIVE.length && buffer.equals(END_OF_ARCHIVE)
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

/** Cuts a torn tail off and ends the archive, so that tar reads it without complaint. */
export async function cutTail(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.truncate(at)
    await file.write(END_OF_ARCHIVE, 0, END_OF_ARCHIVE.length, at)
    await file.datasync()
  } finally {
    await file.close()
  }
}

import { createHash } from 'node:crypto'
import { ArchiveError } from '../errors.ts'
import { BLOCK, END_OF_ARCHIVE, paddingBytes, readUstar, type Ustar } from '../tar/ustar.ts'
import { ByteReader } from './byte-reader.ts'
import { encodeHeader } from './layout.ts'
import { lookAhead } from './look-ahead.ts'
import {
  INDEX_BYTES_MAX,
  INDEX_NAME,
  MANIFEST_BYTES_MAX,
  MANIFEST_NAME,
  PACK_INSTANCES_MAX,
  type ReadRange,
} from './pack.ts'

/** A member as it is found in a pack, whatever the pack says of it. */
export interface Found {
  name: string
  offset: number
  sizeBytes: number
  sha256: string
  /** Only of the pack's index and manifest. */
  bytes: Buffer | undefined
  /** What is wrong with it as a member of a tar. */
  problem: string | undefined
}

export interface Walked {
  /** SHA-256 of all bytes. */
  sha256: string
  found: Found[]
  /** Where bytes are that belong to no member, in order. */
  strays: { start: number; end: number }[]
  /** The archive ends as it should. */
  ended: boolean
}

const MEMBERS_MAX = PACK_INSTANCES_MAX + 3
/** Members whose bytes are kept, and up to which size. */
const KEPT_BYTES_MAX = new Map([
  [INDEX_NAME, INDEX_BYTES_MAX],
  [MANIFEST_NAME, MANIFEST_BYTES_MAX],
])
const PAX_BYTES_MAX = BLOCK

/**
 * Reads a pack from end to end, member by member, trusting nothing but the headers' checksums. Behind a damaged header it
 * goes on with the next intact one. Throws ArchiveError `storage_failed` when there are more members than a pack may have.
 */
export async function walkPack(read: ReadRange, sizeBytes: number): Promise<Walked> {
  const hash = createHash('sha256')
  const reader = new ByteReader(lookAhead(read(0, sizeBytes)), (chunk) => hash.update(chunk))
  const walked: Walked = { sha256: '', found: [], strays: [], ended: false }
  try {
    while (reader.position < sizeBytes) {
      const start = reader.position
      const found = await step(reader, sizeBytes, walked)
      if (found) walked.found.push(found)
      else if (!walked.ended) addStray(walked.strays, start, reader.position)
      if (walked.found.length > MEMBERS_MAX) throw new ArchiveError('storage_failed', 'the pack has too many members')
      // The store gave fewer bytes than it had said.
      if (reader.position === start) break
    }
  } finally {
    await reader.close()
  }
  walked.sha256 = hash.digest('hex')
  return walked
}

function addStray(strays: Walked['strays'], start: number, end: number): void {
  const last = strays.at(-1)
  if (last?.end === start) last.end = end
  else strays.push({ start, end })
}

/** The member that begins here; undefined when none does, or the archive ends. */
async function step(reader: ByteReader, sizeBytes: number, walked: Walked): Promise<Found | undefined> {
  const first = await reader.take(BLOCK)
  if (first.length < BLOCK) return undefined
  const header = readUstar(first)
  if (header?.type === '0') return member(reader, first, header, header.size)
  if (header?.type === 'x' && header.size <= PAX_BYTES_MAX) {
    const rest = await reader.take(2 * BLOCK)
    const second = rest.length < 2 * BLOCK ? undefined : readUstar(rest.subarray(BLOCK))
    const size = /^\d+ size=(\d{1,15})\n/.exec(rest.toString('latin1', 0, header.size))?.[1]
    if (second?.type !== '0' || size === undefined) return undefined
    return member(reader, Buffer.concat([first, rest]), second, Number(size))
  }
  const isEnd = sizeBytes - reader.position === END_OF_ARCHIVE.length - BLOCK && isZero(first)
  if (isEnd) walked.ended = isZero(await reader.take(END_OF_ARCHIVE.length - BLOCK))
  return undefined
}

async function member(reader: ByteReader, header: Buffer, { name, mtime }: Ustar, sizeBytes: number): Promise<Found> {
  const offset = reader.position
  const hash = createHash('sha256')
  const kept: Buffer[] | undefined = sizeBytes <= (KEPT_BYTES_MAX.get(name) ?? -1) ? [] : undefined
  const whole = await reader.pass(sizeBytes, (piece) => {
    hash.update(piece)
    kept?.push(piece)
  })
  const padding = await reader.take(paddingBytes(sizeBytes))
  const asWritten = encodeHeader({ name, sizeBytes, mtime }).equals(header)
  return {
    ...{ name, offset, sizeBytes, sha256: hash.digest('hex') },
    bytes: kept && Buffer.concat(kept),
    problem: !whole ? 'it is cut off' : !asWritten ? 'its header is damaged' : paddingProblem(padding, sizeBytes),
  }
}

function paddingProblem(padding: Buffer, sizeBytes: number): string | undefined {
  const intact = padding.length === paddingBytes(sizeBytes) && isZero(padding)
  return intact ? undefined : 'the bytes behind it are not zero'
}

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0)

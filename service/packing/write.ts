import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Source } from '../../storage-adapters/contract/source.ts'
import { ArchiveError } from '../errors.ts'
import { END_OF_ARCHIVE, paddingBytes } from '../tar/ustar.ts'
import { encodeHeader } from './layout.ts'
import { lookAhead } from './look-ahead.ts'
import { METADATA_NAME, type PackedInstance } from './pack.ts'
import { membersOf, type PackPlan } from './plan.ts'

/** Where the bytes come from that a plan only speaks of; each may be opened any number of times. */
export interface PackParts {
  /** The Part 10 file, in chunks of at most a few MiB. */
  instance(instance: PackedInstance): AsyncIterable<Buffer>
  /** The compressed file, as it was when its size and digest were put into the plan. */
  metadata(): AsyncIterable<Buffer>
}

interface Piece {
  what: string
  sizeBytes: number
  sha256: string
  chunks: AsyncIterable<Buffer>
}

/**
 * A pack as something to be put into stores. Reads everything once, for the pack's digest, and compares each instance with
 * its own on the way. Throws ArchiveError `storage_failed` that names the first one that differs.
 */
export async function packSource(plan: PackPlan, parts: PackParts): Promise<Source> {
  return sourceOf(plan, parts, await digestOf(plan, parts))
}

/** The same where the pack's digest is known, or was agreed with the other site. */
export function sourceOf(plan: PackPlan, parts: PackParts, sha256: string): Source {
  const { sizeBytes } = plan
  return {
    sizeBytes,
    sha256,
    open: () => Readable.from(lookAhead(packBytes(plan, parts, ofLength)), { objectMode: false }),
  }
}

/** SHA-256 of the pack, with that of every instance, in one pass. Throws as `packSource` does. */
export async function digestOf(plan: PackPlan, parts: PackParts): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of lookAhead(packBytes(plan, parts, intact))) hash.update(chunk)
  return hash.digest('hex')
}

type Checked = (piece: Piece) => AsyncGenerator<Buffer>

async function* packBytes(plan: PackPlan, parts: PackParts, checked: Checked): AsyncGenerator<Buffer> {
  const { own, instances } = membersOf(plan)
  const [index, manifest, metadata] = own
  yield encodeHeader(index)
  yield plan.index
  yield Buffer.concat([Buffer.alloc(paddingBytes(index.sizeBytes)), encodeHeader(manifest), plan.manifest])
  // A member's padding and the next one's header go out together: small pieces are what costs.
  let padding = Buffer.alloc(paddingBytes(manifest.sizeBytes))
  yield Buffer.concat([padding, encodeHeader(metadata)])
  yield* checked({ what: METADATA_NAME, ...plan.metadata, chunks: parts.metadata() })
  padding = Buffer.alloc(paddingBytes(metadata.sizeBytes))
  for (const [at, instance] of plan.instances.entries()) {
    yield Buffer.concat([padding, encodeHeader(instances[at] as (typeof instances)[number])])
    const { sopInstanceUid, sizeBytes, sha256 } = instance
    yield* checked({ what: `instance ${sopInstanceUid}`, sizeBytes, sha256, chunks: parts.instance(instance) })
    padding = Buffer.alloc(paddingBytes(sizeBytes))
  }
  yield Buffer.concat([padding, END_OF_ARCHIVE])
}

/** Never gives a byte too many or too few: everything behind it would be misplaced. */
async function* ofLength({ what, sizeBytes, chunks }: Piece): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue
    bytes += chunk.length
    if (bytes > sizeBytes) break
    yield chunk
  }
  if (bytes !== sizeBytes) {
    const found = bytes > sizeBytes ? 'more' : bytes
    throw new ArchiveError('storage_failed', `${what} has ${found} bytes instead of ${sizeBytes}`)
  }
}

async function* intact(piece: Piece): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  for await (const chunk of ofLength(piece)) {
    hash.update(chunk)
    yield chunk
  }
  const found = hash.digest('hex')
  if (found !== piece.sha256) {
    throw new ArchiveError('storage_failed', `${piece.what} is damaged: SHA-256 ${found} instead of ${piece.sha256}`)
  }
}

import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Source } from '../../storage-adapters/contract/source.ts'
import { ArchiveError } from '../errors.ts'
import { END_OF_ARCHIVE, paddingBytes } from '../tar/ustar.ts'
import { ByteReader } from './byte-reader.ts'
import { DigestChecks, type Piece } from './digest-checks.ts'
import { encodeHeader, type Member } from './layout.ts'
import { lookAhead } from './look-ahead.ts'
import { METADATA_NAME, type PackedInstance } from './pack.ts'
import { membersOf, type PackPlan } from './plan.ts'

/** Where the bytes come from that a plan only speaks of; each may be opened any number of times. */
export interface PackParts {
  /**
   * The Part 10 files of these instances, one behind the other in this order, in chunks of at most a few MiB that end
   * anywhere: many small instances are best read together. A chunk that was given is not written to again.
   */
  instances(inOrder: readonly PackedInstance[]): AsyncIterable<Buffer>
  /** The compressed file, as it was when its size and digest were put into the plan. */
  metadata(): AsyncIterable<Buffer>
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
    // Holds one chunk at a time: several would be copied together on their way out.
    open: () => Readable.from(lookAhead(packBytes(plan, parts, ofLength)), { objectMode: false, highWaterMark: 1 }),
  }
}

/** SHA-256 of the pack, with that of every instance, in one pass. Throws as `packSource` does. */
export async function digestOf(plan: PackPlan, parts: PackParts): Promise<string> {
  const hash = createHash('sha256')
  const checks = new DigestChecks()
  const intact: Checked = (piece, from) => checks.watch(piece, ofLength(piece, from))
  for await (const chunk of lookAhead(packBytes(plan, parts, intact))) hash.update(chunk)
  await checks.done()
  return hash.digest('hex')
}

type Checked = (piece: Piece, from: ByteReader) => AsyncGenerator<Buffer>

async function* packBytes(plan: PackPlan, parts: PackParts, checked: Checked): AsyncGenerator<Buffer> {
  const { own, instances } = membersOf(plan)
  const [index, manifest, metadata] = own
  yield encodeHeader(index)
  yield plan.index
  // A member's padding and the next one's header go out together: small pieces are what costs.
  yield Buffer.concat([padding(index), encodeHeader(manifest), plan.manifest])
  yield Buffer.concat([padding(manifest), encodeHeader(metadata)])
  yield* whole(parts.metadata(), (from) => checked({ what: METADATA_NAME, ...plan.metadata }, from))
  yield* whole(parts.instances(plan.instances), async function* (from) {
    let before = metadata
    for (const [at, instance] of plan.instances.entries()) {
      const member = instances[at] as Member
      yield Buffer.concat([padding(before), encodeHeader(member)])
      const { sopInstanceUid, sizeBytes, sha256 } = instance
      yield* checked({ what: `instance ${sopInstanceUid}`, sizeBytes, sha256 }, from)
      before = member
    }
    yield Buffer.concat([padding(before), END_OF_ARCHIVE])
  })
}

const padding = ({ sizeBytes }: Member): Buffer => Buffer.alloc(paddingBytes(sizeBytes))

/** What `take` makes of the chunks, all of which it must use up. */
async function* whole(
  chunks: AsyncIterable<Buffer>,
  take: (from: ByteReader) => AsyncGenerator<Buffer>,
): AsyncGenerator<Buffer> {
  const from = new ByteReader(chunks)
  try {
    yield* take(from)
    if (!(await from.ended()))
      throw new ArchiveError('storage_failed', 'there are more bytes than the plan of a pack has')
  } finally {
    await from.close()
  }
}

/** Never gives a byte too few: everything behind it would be misplaced. */
async function* ofLength({ what, sizeBytes }: Piece, from: ByteReader): AsyncGenerator<Buffer> {
  const start = from.position
  yield* from.pieces(sizeBytes)
  const bytes = from.position - start
  if (bytes < sizeBytes) {
    throw new ArchiveError('storage_failed', `${what} has ${bytes} bytes instead of ${sizeBytes}`)
  }
}

import { ArchiveError } from '../errors.ts'
import { BLOCK, readUstar } from '../tar/ustar.ts'
import { parseIndex } from './index-file.ts'
import { memberNames } from './order.ts'
import { INDEX_BYTES_MAX, INDEX_NAME, type PackedInstance, type PackIndex, type ReadRange } from './pack.ts'
import { placesOf } from './plan.ts'

/** Read first: the whole index of a small pack, so that one read of a distant store is enough. */
const FIRST_BYTES = 64 * 1024

/** One instance is one range of its pack: from `start` to `end` (exclusive). */
export function rangeOf({ offset, sizeBytes }: Pick<PackedInstance, 'offset' | 'sizeBytes'>): {
  start: number
  end: number
} {
  return { start: offset, end: offset + sizeBytes }
}

/**
 * What a pack says of itself, from its beginning alone: form, names and places are checked, the instances' bytes are not
 * looked at.
 *
 * @param sizeBytes of the whole pack
 * @throws ArchiveError `storage_failed` when it is no pack or damaged; `unsupported` when it is of a later version
 */
export async function readIndex(read: ReadRange, sizeBytes: number): Promise<PackIndex> {
  const first = await gather(read, 0, Math.min(sizeBytes, FIRST_BYTES))
  const header = first.length < BLOCK ? undefined : readUstar(first.subarray(0, BLOCK))
  if (header?.type !== '0' || header.name !== INDEX_NAME) throw damaged(`it does not begin with ${INDEX_NAME}`)
  const end = BLOCK + header.size
  if (header.size > INDEX_BYTES_MAX || end > sizeBytes) throw damaged(`its index has ${header.size} bytes`)
  const rest = end > first.length ? await gather(read, first.length, end) : Buffer.alloc(0)
  const index = checkIndex(Buffer.concat([first.subarray(BLOCK, end), rest]))
  if (index.sizeBytes !== sizeBytes) throw damaged(`it has ${sizeBytes} bytes instead of ${index.sizeBytes}`)
  return index
}

/** The text of firn-pack.json as an index that agrees with itself. Throws as `readIndex` does. */
export function checkIndex(bytes: Buffer): PackIndex {
  const index = parseIndex(bytes)
  const names = memberNames(index.instances)
  const misnamed = index.instances.find(({ name }, i) => name !== names[i])
  if (misnamed) throw damaged(`its index names an instance ${JSON.stringify(misnamed.name)}`)
  const { offsets, sizeBytes } = placesOf(bytes.length, index)
  const [metadataOffset, ...places] = offsets.slice(2)
  const misplaced = index.instances.find(({ offset }, i) => offset !== places[i])
  if (misplaced || index.metadata.offset !== metadataOffset) {
    throw damaged(`its index misplaces ${misplaced?.name ?? 'its metadata'}`)
  }
  return { ...index, sizeBytes }
}

async function gather(read: ReadRange, start: number, end: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of read(start, end)) {
    chunks.push(chunk)
    bytes += chunk.length
  }
  if (bytes !== end - start) throw damaged(`reading ${end - start} bytes gave ${bytes}`)
  return Buffer.concat(chunks)
}

const damaged = (reason: string) => new ArchiveError('storage_failed', `the pack is damaged: ${reason}`)

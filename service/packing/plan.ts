import { createHash } from 'node:crypto'
import { ArchiveError } from '../errors.ts'
import { checkContent, IndexText } from './index-file.ts'
import { layOut, type Member, mtimeOf } from './layout.ts'
import { byPlaceInPack, memberNames } from './order.ts'
import {
  INDEX_BYTES_MAX,
  INDEX_NAME,
  MANIFEST_NAME,
  METADATA_NAME,
  PACK_INSTANCES_MAX,
  type PackContent,
  type PackIndex,
} from './pack.ts'

/** A pack of which all is known but its instances' bytes. */
export interface PackPlan extends PackIndex {
  /** firn-pack.json */
  index: Buffer
  /** manifest-sha256.txt */
  manifest: Buffer
}

/**
 * Lays out a pack. Nothing is read: offsets follow from sizes.
 * Throws ArchiveError `invalid_request` when the list is no content of a pack, `too_large` when it has too many instances.
 */
export function planPack(given: PackContent): PackPlan {
  if (given.instances.length > PACK_INSTANCES_MAX) {
    throw new ArchiveError('too_large', `${given.instances.length} instances are too many for one pack`)
  }
  const content = checkContent(given)
  const instances = [...content.instances].sort(byPlaceInPack)
  refuseTwins(instances)
  const names = memberNames(instances)
  const text = new IndexText({ ...content, instances }, names)
  const sizes = [text.sizeBytes, manifestBytes(names), content.metadata.sizeBytes, ...instances.map((i) => i.sizeBytes)]
  const { offsets, sizeBytes } = layOut(sizes)
  if (!Number.isSafeInteger(sizeBytes)) throw new ArchiveError('invalid_request', 'no pack is as large as that')
  const [metadataOffset, ...places] = offsets.slice(2) as [number, ...number[]]
  const packed = instances.map((instance, i) => ({
    ...instance,
    name: names[i] as string,
    offset: places[i] as number,
  }))
  const index = text.bytes([metadataOffset, ...places])
  if (index.length > INDEX_BYTES_MAX) throw new ArchiveError('too_large', 'the index of the pack is too long')
  const metadata = { ...content.metadata, offset: metadataOffset }
  return { ...content, instances: packed, metadata, sizeBytes, index, manifest: manifestOf(index, metadata, packed) }
}

/** The same bytes have the same instance number, so they stand side by side. */
function refuseTwins(sorted: PackContent['instances']): void {
  const twin = sorted.find((one, i) => i > 0 && byPlaceInPack(sorted[i - 1] as typeof one, one) === 0)
  if (twin) throw new ArchiveError('invalid_request', `instance ${twin.sopInstanceUid} is listed twice`)
}

/** Lines as `sha256sum` prints them; no name has a character that it would escape. */
const manifestLine = (sha256: string, name: string): string => `${sha256}  ${name}\n`
const manifestLineBytes = (name: string): number => manifestLine('0'.repeat(64), name).length

function manifestBytes(names: readonly string[]): number {
  return [INDEX_NAME, METADATA_NAME, ...names].reduce((sum, name) => sum + manifestLineBytes(name), 0)
}

/** Every member but the manifest itself. */
export function manifestOf(
  index: Buffer,
  metadata: { sha256: string },
  instances: readonly { sha256: string; name: string }[],
): Buffer {
  const lines = [
    manifestLine(createHash('sha256').update(index).digest('hex'), INDEX_NAME),
    manifestLine(metadata.sha256, METADATA_NAME),
    ...instances.map(({ sha256, name }) => manifestLine(sha256, name)),
  ]
  return Buffer.from(lines.join(''))
}

/** Where each member's data must be in a pack with this index, of this length; its own three files come first. */
export function placesOf(indexBytes: number, { metadata, instances }: Omit<PackIndex, 'sizeBytes'>) {
  const manifest = manifestBytes(instances.map(({ name }) => name))
  return layOut([indexBytes, manifest, metadata.sizeBytes, ...instances.map(({ sizeBytes }) => sizeBytes)])
}

/** The headers of a pack's members, in order. Its own files are as old as the youngest instance. */
export function membersOf(plan: PackPlan): { own: [Member, Member, Member]; instances: Member[] } {
  const instances = plan.instances.map(({ name, sizeBytes, receivedAt }) => ({
    name,
    sizeBytes,
    mtime: mtimeOf(receivedAt),
  }))
  const mtime = instances.reduce((latest, { mtime }) => Math.max(latest, mtime), 0)
  const own: [Member, Member, Member] = [
    { name: INDEX_NAME, sizeBytes: plan.index.length, mtime },
    { name: MANIFEST_NAME, sizeBytes: plan.manifest.length, mtime },
    { name: METADATA_NAME, sizeBytes: plan.metadata.sizeBytes, mtime },
  ]
  return { own, instances }
}

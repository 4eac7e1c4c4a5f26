/** Packs of random content for tests: the packing never looks into an instance, so any bytes will do. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { heldMetadata, packMetadata } from '../../service/packing/metadata.ts'
import { byPlaceInPack } from '../../service/packing/order.ts'
import type { PackContent, PackInstance, ReadRange } from '../../service/packing/pack.ts'
import { type PackPlan, planPack } from '../../service/packing/plan.ts'
import { type PackParts, sourceOf } from '../../service/packing/write.ts'
import { pseudoRandom } from '../fixtures/random.ts'
import { bytesOf } from './core.ts'

export const STUDY = '1.2.3'

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

export interface Listed extends PackInstance {
  bytes: Buffer
}

/** One instance whose bytes are pseudo-random: the same `seed` and size give the same ones. */
export function listed(seed: string, sizeBytes: number, over: Partial<PackInstance> = {}): Listed {
  const bytes = pseudoRandom(seed, sizeBytes)
  return {
    seriesUid: '1.2.3.4',
    sopInstanceUid: `1.2.3.4.${createHash('md5').update(seed).digest().readUInt32BE(0)}`,
    sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
    transferSyntaxUid: '1.2.840.10008.1.2.1',
    sha256: sha256(bytes),
    sizeBytes,
    dataSetOffset: 340,
    instanceNumber: 1,
    numberOfFrames: null,
    source: { protocol: 'dimse', name: 'CT1', address: '192.0.2.7' },
    receivedAt: '2026-11-22T12:31:05.680Z',
    ...over,
    bytes,
  }
}

export interface Made {
  plan: PackPlan
  parts: PackParts
  bytes: Buffer
  sha256: string
}

const chunked = async function* (bytes: Buffer, size = 65_536): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export function partsOf(instances: readonly Listed[], metadata: Buffer): PackParts {
  const byKey = new Map(instances.map((one) => [keyOf(one), one.bytes]))
  return {
    async *instances(inOrder) {
      for (const one of inOrder) yield* chunked(byKey.get(keyOf(one)) as Buffer)
    },
    metadata: () => chunked(metadata),
  }
}

const keyOf = ({ seriesUid, sopInstanceUid, sha256 }: PackInstance) => `${seriesUid}/${sopInstanceUid}/${sha256}`

/** A DICOM JSON object for an instance, as far as tests need one. */
export const jsonOf = ({ sopInstanceUid }: PackInstance): Buffer =>
  Buffer.from(JSON.stringify({ '00080018': { vr: 'UI', Value: [sopInstanceUid] } }))

/** A whole pack in memory. */
export async function makePack(
  instances: readonly Listed[],
  over: Partial<Omit<PackContent, 'instances'>> = {},
): Promise<Made> {
  const sorted = [...instances].sort(byPlaceInPack)
  const { bytes: metadata, ...member } = await heldMetadata(packMetadata(STUDY, sorted, async (one) => jsonOf(one)))
  const content = { studyUid: STUDY, volume: 'radiology', retention: null, metadata: member, ...over }
  const plan = planPack({ ...content, instances })
  const parts = partsOf(instances, metadata)
  const bytes = await bytesOf(sourceOf(plan, parts, '').open())
  return { plan, parts, bytes, sha256: sha256(bytes) }
}

/** Reads a pack that is in memory, in chunks whose ends fall anywhere. */
export function readerOf(pack: Buffer, chunkBytes = 1000): ReadRange {
  return (start, end) => {
    if (start < 0 || end > pack.length || start > end) throw new RangeError(`no bytes ${start} to ${end}`)
    return chunked(pack.subarray(start, end), chunkBytes)
  }
}

const uids = fc.constantFrom('1.2', '1.10', '9', 'a', 'A_b-c', 'metadata.json.gz', `2.25.${'7'.repeat(59)}`)

/** Sets of instances with UIDs that meet: conflicting copies, one UID in two series, series without numbers. */
export const instanceSets: fc.Arbitrary<Listed[]> = fc
  .uniqueArray(
    fc.record({
      seed: fc.nat(1_000_000),
      size: fc.oneof(fc.nat(3), fc.constantFrom(511, 512, 513, 1024), fc.nat(3000)),
      seriesUid: uids,
      sopInstanceUid: uids,
      instanceNumber: fc.option(fc.integer({ min: -1, max: 3 })),
      name: fc.string({ unit: 'grapheme', maxLength: 8 }),
    }),
    { minLength: 1, maxLength: 9, selector: ({ seed }) => seed },
  )
  .map((all) =>
    all.map(({ seed, size, seriesUid, sopInstanceUid, instanceNumber, name }) => {
      const source = { protocol: 'stow' as const, name, address: '::1' }
      return listed(`${seed}`, size + 8, { seriesUid, sopInstanceUid, instanceNumber, source })
    }),
  )

import { createHash } from 'node:crypto'
import { makeInstance } from '../support/instances.ts'
import { Random } from '../support/random.ts'

export interface File {
  sopInstanceUid: string
  sha256: string
  bytes: Buffer
}

const UIDS = 10
const VARIANTS = 3

/** What senders send: under each UID several files with other bytes. The same ones in every run. */
export const FILES: readonly File[] = makeFiles()
export const DIGESTS: ReadonlySet<string> = new Set(FILES.map(({ sha256 }) => sha256))

function makeFiles(): File[] {
  const random = new Random(1)
  return Array.from({ length: UIDS }, () => [random.uid(), random.uid(), random.uid()] as const).flatMap(
    ([studyUid, seriesUid, sopInstanceUid]) =>
      Array.from({ length: VARIANTS }, (_, variant) => {
        const pixelData = Buffer.alloc(64, variant)
        const { file } = makeInstance(random, { studyUid, seriesUid, sopInstanceUid, seed: String(variant), pixelData })
        return { sopInstanceUid, sha256: createHash('sha256').update(file).digest('hex'), bytes: file }
      }),
  )
}

import { it } from 'node:test'
import { newSeed, Random } from '../support/random.ts'
import { huge } from './huge.ts'

it('takes and gives an instance larger than its memory bound', async (t) => {
  const { sendSeconds, readSeconds, residentPeakBytes } = await huge(new Random(newSeed()), 512)
  t.diagnostic(`sent in ${sendSeconds} s, read in ${readSeconds} s, ${residentPeakBytes >> 20} MiB resident at most`)
})

// The long form: node --import tsx test/acceptance/huge.long.ts [--mib 4200]
import { parseArgs } from 'node:util'
import { newSeed, Random } from '../support/random.ts'
import { huge } from './huge.ts'

const { values } = parseArgs({ options: { mib: { type: 'string', default: '4200' } } })
const { sizeBytes, sendSeconds, readSeconds, residentPeakBytes } = await huge(new Random(newSeed()), Number(values.mib))
console.log(
  `huge: ${sizeBytes} bytes sent in ${sendSeconds} s, read in ${readSeconds} s, ${residentPeakBytes >> 20} MiB resident at most`,
)

// The long form: node --import tsx test/acceptance/fuzz.long.ts [--inputs 100000] [--seed N]; FIRN_CORPUS adds real files.
import { parseArgs } from 'node:util'
import { newSeed } from '../support/random.ts'
import { fuzz } from './fuzz.ts'

const { values } = parseArgs({ options: { inputs: { type: 'string', default: '100000' }, seed: { type: 'string' } } })
const seed = values.seed === undefined ? newSeed() : Number(values.seed)
console.log(`seed ${seed}`)
const summary = await fuzz(Number(values.inputs), seed, (line) => console.log(line))
for (const problem of summary.problems) console.log(problem)
const { inputs, slowestHealthMs, residentPeakBytes, problems } = summary
console.log(
  `fuzz: ${inputs} inputs, slowest /health/live ${slowestHealthMs} ms, ${residentPeakBytes >> 20} MiB resident at most, ${problems.length} problems (seed ${seed})`,
)
process.exitCode = problems.length === 0 ? 0 : 1

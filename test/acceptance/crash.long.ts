// The long form: node --import tsx test/acceptance/crash.long.ts [--rounds 200] [--seed N]
import { parseArgs } from 'node:util'
import { newSeed } from '../support/random.ts'
import { crashRounds } from './crash.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '200' }, seed: { type: 'string' } } })
const seed = values.seed === undefined ? newSeed() : Number(values.seed)
console.log(`seed ${seed}`)
const summary = await crashRounds(Number(values.rounds), seed, (line) => console.log(line))
const { rounds, sent, acknowledged, problems } = summary
console.log(
  `crash: ${rounds} rounds of kill -9, ${sent} instances sent, ${acknowledged} acknowledged, ${problems.length} problems (seed ${seed})`,
)
process.exitCode = problems.length === 0 && acknowledged > 0 ? 0 : 1

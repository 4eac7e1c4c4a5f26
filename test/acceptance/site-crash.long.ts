// The long form: node --import tsx test/acceptance/site-crash.long.ts [--rounds 500] [--seed N]
import { parseArgs } from 'node:util'
import { newSeed } from '../support/random.ts'
import { siteCrashRounds } from './site-crash.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '500' }, seed: { type: 'string' } } })
const seed = values.seed === undefined ? newSeed() : Number(values.seed)
console.log(`seed ${seed}`)
const { rounds, sent, acknowledged, problems } = await siteCrashRounds(Number(values.rounds), seed, (line) =>
  console.log(line),
)
console.log(
  `site crash: ${rounds} rounds, ${sent} instances sent, ${acknowledged} acknowledged, ${problems.length} problems (seed ${seed})`,
)
process.exitCode = problems.length === 0 && acknowledged > 0 ? 0 : 1

// The long form: node --import tsx test/simulation/long.ts [--seeds 100000] [--from 0] [--trace] [--without safeguard]
import { parseArgs } from 'node:util'
import { runSeed } from './run.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100000' },
    from: { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
    without: { type: 'string' },
  },
})
const [seeds, from] = [Number(values.seeds), Number(values.from)]
const safeguards = values.without === undefined ? {} : { [values.without]: false }
const began = performance.now()
let broken = 0
let both = 0
let local = 0
for (let seed = from; seed < from + seeds; seed++) {
  const outcome = await runSeed(seed, { safeguards, keepTrace: values.trace })
  both += outcome.acknowledged.both
  local += outcome.acknowledged.local
  if (values.trace) console.log(outcome.lines.join('\n'))
  if (outcome.broken) {
    broken += 1
    console.log(`seed ${seed}: ${outcome.broken.stack}`)
  }
  if ((seed - from + 1) % 1000 === 0) console.log(`${seed - from + 1} seeds, ${broken} broken`)
}
const minutes = (performance.now() - began) / 60_000
console.log(
  `simulation: ${seeds} seeds from ${from}, ${broken} broken, ${both} acknowledged by both and ${local} by one, ` +
    `${(seeds / minutes).toFixed(0)} seeds a minute`,
)
process.exitCode = broken === 0 && both > 0 ? 0 : 1

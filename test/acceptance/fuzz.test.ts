import assert from 'node:assert/strict'
import { it } from 'node:test'
import { newSeed } from '../support/random.ts'
import { fuzz } from './fuzz.ts'

it('survives malformed input over HTTP and DIMSE', async (t) => {
  const summary = await fuzz(4_000, newSeed(), (line) => t.diagnostic(line))
  t.diagnostic(`seed ${summary.seed}: ${summary.inputs} inputs, slowest health ${summary.slowestHealthMs} ms`)
  assert.deepEqual(summary.problems, [], `seed ${summary.seed}`)
})

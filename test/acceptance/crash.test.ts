import assert from 'node:assert/strict'
import { it } from 'node:test'
import { newSeed } from '../support/random.ts'
import { crashRounds } from './crash.ts'

it('loses nothing acknowledged and shows nothing half-stored after kill -9 under load', async (t) => {
  const summary = await crashRounds(4, newSeed(), (line) => t.diagnostic(line))
  t.diagnostic(`seed ${summary.seed}: ${summary.sent} sent, ${summary.acknowledged} acknowledged`)
  assert.deepEqual(summary.problems, [], `seed ${summary.seed}`)
  assert.ok(summary.acknowledged > 0, 'something was acknowledged')
})

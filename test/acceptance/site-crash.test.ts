import assert from 'node:assert/strict'
import { it } from 'node:test'
import { newSeed } from '../support/random.ts'
import { siteCrashRounds } from './site-crash.ts'

it('two sites hold what either acknowledged after kill -9 of one or both under load', async (t) => {
  const summary = await siteCrashRounds(3, newSeed(), (line) => t.diagnostic(line))
  t.diagnostic(`seed ${summary.seed}: ${summary.sent} sent, ${summary.acknowledged} acknowledged`)
  assert.deepEqual(summary.problems, [], `seed ${summary.seed}`)
  assert.ok(summary.acknowledged > 0, 'something was acknowledged')
})

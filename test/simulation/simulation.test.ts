import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runSeed } from './run.ts'
import type { Safeguards } from './safeguards.ts'

const SEEDS = 300
/** A safeguard that is off is noticed within so many seeds. */
const CAUGHT_WITHIN = 400

/** Not `sessionsDoubted`: a site that starts compares by itself, and what it finds makes the other one doubt too. */
const NOTICED: readonly (keyof Safeguards)[] = [
  'syncedBeforeAck',
  'oldSitesFenced',
  'removedRemembered',
  'digestsCompared',
  'localAcksNoted',
]

describe('the simulation of two sites', () => {
  // The same ones each time: what new seeds find is the long form's to say.
  const from = 289_531_358

  it(`finds no broken promise (seeds ${from} to ${from + SEEDS - 1})`, { timeout: 300_000 }, async () => {
    const acknowledged = { both: 0, local: 0 }
    const began = performance.now()
    let seeds = 0
    for (; seeds < SEEDS && performance.now() - began < 20_000; seeds++) {
      const outcome = await runSeed(from + seeds)
      assert.equal(outcome.broken, undefined, `seed ${from + seeds}: ${outcome.broken?.message}`)
      acknowledged.both += outcome.acknowledged.both
      acknowledged.local += outcome.acknowledged.local
    }
    // Worlds in which nothing happened would prove nothing.
    assert.ok(acknowledged.both > seeds && acknowledged.local > seeds, JSON.stringify({ seeds, acknowledged }))
  })

  it('gives the same trace for the same seed', async () => {
    for (const seed of [1, 2, 3]) {
      const [one, two] = [await runSeed(seed), await runSeed(seed)]
      assert.equal(one.trace, two.trace)
      assert.equal(one.steps, two.steps)
    }
    assert.notEqual((await runSeed(1)).trace, (await runSeed(2)).trace)
  })

  for (const safeguard of NOTICED) {
    it(`notices when this is off: ${safeguard}`, { timeout: 300_000 }, async (t) => {
      for (let seed = 0; seed < CAUGHT_WITHIN; seed++) {
        const { broken } = await runSeed(seed, { safeguards: { [safeguard]: false } })
        if (!broken) continue
        t.diagnostic(`seed ${seed}: ${broken.message}`)
        assert.equal(broken.name, 'Broken')
        return
      }
      assert.fail(`not noticed within ${CAUGHT_WITHIN} seeds`)
    })
  }
})

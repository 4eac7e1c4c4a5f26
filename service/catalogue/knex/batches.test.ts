import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Batches } from './batches.ts'

function gathering(patienceMs: number, itemsMax = 100) {
  const sizes: number[] = []
  const batches = new Batches<number, number>(
    itemsMax,
    async (batch) => {
      sizes.push(batch.length)
      await sleep(1)
      for (const { item, resolve } of batch) resolve(item)
    },
    patienceMs,
  )
  return { batches, sizes }
}

describe('batches', () => {
  test('what nobody waits for is gathered', async () => {
    const { batches, sizes } = gathering(50)
    const first = batches.add(1, false)
    await sleep(5)
    const second = batches.add(2, false)
    assert.deepEqual(sizes, [])
    assert.deepEqual(await Promise.all([first, second]), [1, 2])
    assert.deepEqual(sizes, [2])
  })

  test('somebody who waits, or a full batch, ends the gathering', async () => {
    const { batches, sizes } = gathering(60_000, 3)
    batches.add(1, false)
    await batches.add(2)
    batches.add(3, false)
    await sleep(1)
    await batches.settled()
    await Promise.all([4, 5, 6].map((item) => batches.add(item, false)))
    assert.deepEqual(sizes, [2, 1, 3])
  })

  test('who waits for what there is does not wait for what comes later', async () => {
    const { batches, sizes } = gathering(60_000)
    let done = 0
    batches.add(0, false).then(() => (done += 1))
    const waiting = batches.settled()
    let more = true
    const flood = (async () => {
      while (more) {
        batches.add(1, false)
        await new Promise(setImmediate)
      }
    })()
    await waiting
    assert.equal(done, 1)
    assert.ok(sizes.length <= 2, `${sizes.length} batches`)
    more = false
    await flood
    await batches.settled()
  })
})

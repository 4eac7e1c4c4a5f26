import assert from 'node:assert/strict'
import { describe, mock, test } from 'node:test'
import { described, MemoryCatalogue } from '../../test/property/core.ts'
import type { NewInstance } from '../catalogue/ports.ts'
import { isArchiveError } from '../errors.ts'
import { Ledger } from './ledger.ts'

const MIB = 1024 * 1024
const RETRY_MS = 1000
const instance = (n: number) => described({ seed: `ledger/${n}`, rows: 0 })

async function turns(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

function makeLedger() {
  const catalogue = new MemoryCatalogue()
  const settled: NewInstance[] = []
  const warnings: string[] = []
  const ledger = new Ledger({
    catalogue,
    settled: (one) => settled.push(one),
    warn: (message) => warnings.push(message),
  })
  return { catalogue, settled, warnings, ledger }
}

describe('ledger', () => {
  test('what the catalogue fails to take is offered until it is in; nothing new is admitted meanwhile', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { catalogue, settled, warnings, ledger } = makeLedger()
    catalogue.gone = true
    await Promise.all([1, 2].map((n) => ledger.record(instance(n))))
    const closed = (error: unknown) => isArchiveError(error, 'unavailable') && error.retry === 'later'
    assert.throws(() => ledger.assertOpen(), closed)
    assert.equal(settled.length, 0)
    for (let retry = 0; retry < 10; retry++) {
      t.mock.timers.tick(RETRY_MS)
      await turns()
      assert.throws(() => ledger.assertOpen(), closed)
    }
    catalogue.gone = false
    catalogue.fails = 0
    t.mock.timers.tick(RETRY_MS)
    await turns()
    ledger.assertOpen()
    assert.equal(ledger.trouble, undefined)
    assert.deepEqual(
      settled.map(({ sopInstanceUid }) => sopInstanceUid),
      [1, 2].map((n) => instance(n).sopInstanceUid),
    )
    assert.equal(catalogue.digestsKnown.length, 2)
    assert.equal(warnings.filter((text) => text.includes('caught up')).length, 1)
    t.mock.timers.tick(10 * RETRY_MS)
    await turns()
    assert.equal(settled.length, 2, 'nothing is settled twice')
  })

  test("what a working catalogue keeps refusing stands in nobody else's way", async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { catalogue, settled, ledger } = makeLedger()
    const record = catalogue.record.bind(catalogue)
    const bad = instance(1)
    catalogue.record = async (one) => {
      if (one.sopInstanceUid === bad.sopInstanceUid) throw new Error('no such text')
      return record(one)
    }
    await ledger.record(bad)
    for (let retry = 0; retry < 3; retry++) {
      t.mock.timers.tick(RETRY_MS)
      await turns()
    }
    ledger.assertOpen()
    assert.equal(ledger.setAside, 1)
    await ledger.record(instance(2))
    assert.equal(settled.length, 1, 'only what was recorded is settled: the segment of the other is looked at again')
  })

  test('a second failure after it has caught up is made good too', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { catalogue, settled, ledger } = makeLedger()
    for (const n of [1, 2]) {
      catalogue.fails = 1
      await ledger.record(instance(n))
      t.mock.timers.tick(RETRY_MS)
      await turns()
      assert.equal(settled.length, n)
      ledger.assertOpen()
    }
  })

  test('one that a working catalogue keeps refusing is set aside, and the others go on', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { catalogue, settled, ledger } = makeLedger()
    const poison = instance(1)
    const record = catalogue.record.bind(catalogue)
    t.mock.method(catalogue, 'record', async (one: NewInstance) => {
      if (one.sha256 === poison.sha256) throw new Error('no such text')
      return record(one)
    })
    await ledger.record(poison)
    assert.throws(() => ledger.assertOpen())
    for (let retry = 0; retry < 5; retry++) {
      t.mock.timers.tick(RETRY_MS)
      await turns()
    }
    ledger.assertOpen()
    assert.equal(ledger.setAside, 1)
    await ledger.record(instance(2))
    assert.equal(settled.length, 1, 'what is set aside is not settled: its segment is looked at again')
  })

  test('a closed ledger is silent', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { catalogue, ledger } = makeLedger()
    catalogue.fails = 1
    await ledger.record(instance(1))
    const record = mock.method(catalogue, 'record')
    ledger.close()
    t.mock.timers.tick(5 * RETRY_MS)
    await turns()
    assert.equal(record.mock.callCount(), 0)
  })
  test('who has a long header waits while those of others fill the memory for them', async () => {
    const { catalogue, ledger } = makeLedger()
    const releases: (() => void)[] = []
    catalogue.record = () => new Promise((resolve) => releases.push(() => resolve('stored')))
    const [long, short] = [8 * MIB, 64 * 1024]
    const admitted: number[] = []
    const arrive = async (n: number, headerBytes: number) => {
      await ledger.room(headerBytes)
      admitted.push(n)
      void ledger.record(instance(n), headerBytes)
    }
    for (let n = 1; n <= 7; n++) {
      void arrive(n, n === 7 ? short : long)
      await turns()
    }
    assert.deepEqual(admitted, [1, 2, 3, 4])
    while (releases.length > 0) {
      releases.shift()?.()
      await turns()
    }
    assert.deepEqual([...admitted].sort(), [1, 2, 3, 4, 5, 6, 7])
    await arrive(8, 64 * MIB)
    assert.equal(admitted.at(-1), 8, 'one alone always has room')
  })
})

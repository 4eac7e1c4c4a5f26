import assert from 'node:assert/strict'
import { afterEach, describe, mock, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Sealing, type SealingOptions } from './sealing.ts'

const QUIET = { quietMs: 0, lastArrival: () => 0, info: () => undefined, warn: () => undefined }
const NOTHING = { packs: [], leftOut: [] }

/** Studies `1` and `2` are unsealed until `seal` leaves nothing out. */
function make(seal: (studyUid: string) => Promise<typeof NOTHING>, over: Partial<SealingOptions> = {}) {
  const unsealed = new Set(['1', '2'])
  const sealing = new Sealing({
    ...QUIET,
    catalogue: {
      async *unsealedStudies() {
        yield* [...unsealed]
      },
    },
    sealer: {
      async seal(studyUid: string) {
        const sealed = await seal(studyUid)
        if (sealed.leftOut.length === 0) unsealed.delete(studyUid)
        return sealed
      },
    },
    retirer: { run: async () => 0 },
    ...over,
  })
  return { sealing, unsealed }
}

describe('sealing in the background', () => {
  afterEach(() => mock.restoreAll())

  test('says why a study stays in the landing for as long as it stays', async () => {
    const { sealing, unsealed } = make(async (studyUid) => {
      if (studyUid === '1') throw new Error('no store can take the pack')
      return NOTHING
    })
    for (let pass = 0; pass < 3; pass++) {
      await sealing.run()
      assert.equal(sealing.trouble, 'no store can take the pack')
    }
    unsealed.delete('1')
    await sealing.run()
    assert.equal(sealing.trouble, undefined)
  })

  test('a damaged instance is spoken of, and not read again in every pass', async () => {
    const seal = mock.fn(async (studyUid: string) => ({ packs: [], leftOut: studyUid === '1' ? ['digest'] : [] }))
    const { sealing } = make(seal as never)
    for (let pass = 0; pass < 3; pass++) await sealing.run()
    assert.equal(seal.mock.callCount(), 2)
    assert.equal(sealing.trouble, '1 damaged instances of a study are in no pack')
    const later = Date.now() + 600_000
    mock.method(Date, 'now', () => later)
    await sealing.run()
    assert.equal(seal.mock.callCount(), 3)
  })

  test('says that it was broken off, until it comes to an end again', async () => {
    let fails = true
    const run = async () => {
      if (fails) throw new Error('the catalogue is away')
      return 0
    }
    const { sealing } = make(async () => NOTHING, { retirer: { run } })
    await sealing.run()
    assert.equal(sealing.trouble, 'the catalogue is away')
    fails = false
    await sealing.run()
    assert.equal(sealing.trouble, undefined)
  })
  test('a stop does not wait for the pause that leaves time to senders', async () => {
    const { sealing } = make(
      async () => {
        await sleep(300)
        return NOTHING
      },
      { lastArrival: () => Date.now() },
    )
    const pass = sealing.run()
    await sleep(330)
    const asked = performance.now()
    await sealing.stop()
    assert.ok(performance.now() - asked < 150)
    await pass
  })
})

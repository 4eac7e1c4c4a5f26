import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DAY, LOCK, type Locking, locking, STUDIES, site, studyUid } from '../../../test/property/worm.ts'
import { isArchiveError } from '../../errors.ts'
import { whyNotWorm } from '../../stores/worm.ts'

describe('locks of packs', () => {
  test('brief when a pack is written, then to the house minimum, read back and recorded', async () => {
    const a = locking('a')
    const { worm, sealAll, yearsOf, said, dueNow, packOf } = await site([a])
    await sealAll()
    assert.ok(Math.abs((await yearsOf(a, 0)) * 365.25 - 7) < 0.1)
    assert.equal(await dueNow('a'), STUDIES)
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 30) < 0.01)
    assert.equal(await dueNow('a'), 0)
    const locked = await said('pack.locked')
    assert.equal(locked.length, STUDIES)
    const pack = await packOf(0)
    const event = locked.find(({ subject }) => subject.pack === pack.sha256)
    assert.deepEqual(event?.subject, { study: studyUid(0), pack: pack.sha256, store: 'a' })
    const { mode, until, wanted, legalHold } = event?.data ?? {}
    assert.deepEqual([mode, until, legalHold], ['compliance', wanted, false])
    assert.equal((await a.objects.getLock(pack.key)).until?.toISOString(), until)
  })

  test('what was decided counts, and what grows is followed, at once when it is told', async () => {
    const a = locking('a')
    const { worm, sealAll, yearsOf, decided, clock, said } = await site([a])
    await sealAll()
    decided.set(studyUid(0), new Date(clock.nowMs + 10 * 365.25 * DAY))
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 10) < 0.01)
    assert.ok(Math.abs((await yearsOf(a, 1)) - 30) < 0.01)
    const before = (await said('pack.locked')).length
    decided.set(studyUid(0), new Date(clock.nowMs + 40 * 365.25 * DAY))
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 10) < 0.01, 'nobody has said so')
    await worm.changed(studyUid(0))
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 40) < 0.01)
    assert.equal((await said('pack.locked')).length, before + 1, 'nothing is said of the others')
    decided.set(studyUid(0), new Date(clock.nowMs + DAY))
    await worm.changed(studyUid(0))
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 40) < 0.01, 'never shorter')
  })

  test('a decision that is on its way is waited for, though not for ever', async () => {
    const a = locking('a')
    const { worm, sealAll, yearsOf, decided, clock, dueNow } = await site([a], [], { graceMs: 60_000 })
    await sealAll()
    await worm.run()
    assert.ok((await yearsOf(a, 0)) < 0.1)
    assert.equal(await dueNow('a'), 0)
    decided.set(studyUid(0), new Date(clock.nowMs + 10 * 365.25 * DAY))
    await worm.changed(studyUid(0))
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 10) < 0.01)
    assert.ok((await yearsOf(a, 1)) < 0.1)
    clock.nowMs += 61_000
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 1)) - 30) < 0.01)
    assert.ok(Math.abs((await yearsOf(a, 0)) - 10) < 0.01)
  })

  test('growth that nobody told of is found by the scrub', async () => {
    const a = locking('a')
    const { worm, sealAll, yearsOf, decided, clock, scrub } = await site([a])
    await sealAll()
    await worm.run()
    decided.set(studyUid(0), new Date(clock.nowMs + 50 * 365.25 * DAY))
    const { relocked, findings } = await scrub()
    assert.deepEqual([relocked, findings], [0, []])
    assert.ok(Math.abs((await yearsOf(a, 0)) - 50) < 0.01)
  })

  test('a maker who allows less gets less, and it is extended as time goes by', async () => {
    const a = locking('a', { lock: { ...LOCK, yearsMax: 5 } })
    const { worm, sealAll, yearsOf, clock, dueNow } = await site([a])
    await sealAll()
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 5) < 0.01)
    clock.nowMs += 300 * DAY
    assert.equal(await dueNow('a'), 0)
    clock.nowMs += 100 * DAY
    assert.equal(await dueNow('a'), STUDIES)
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 5) < 0.01)
  })

  test('a store that fails keeps the lock due, also where it had done it, and others are not kept waiting', async () => {
    const [a, b] = [locking('a'), locking('b')]
    const { worm, sealAll, yearsOf, clock, said } = await site([a, b], [], { copies: 2 })
    await sealAll()
    a.faults.inject('error_before', { operation: 'extend_lock', times: 100 })
    await worm.run()
    assert.ok((await yearsOf(a, 0)) < 1)
    for (let n = 0; n < STUDIES; n++) assert.ok(Math.abs((await yearsOf(b, n)) - 30) < 0.01)
    assert.match(worm.troubles.join(), /locks of 3 packs in store a can't be kept/)
    a.faults.heal()
    a.faults.inject('error_after', { operation: 'extend_lock', times: STUDIES })
    clock.nowMs += 20 * 60_000
    await worm.run()
    clock.nowMs += 20 * 60_000
    await worm.run()
    for (let n = 0; n < STUDIES; n++) assert.ok(Math.abs((await yearsOf(a, n)) - 30) < 0.01)
    assert.deepEqual(worm.troubles, [])
    assert.equal((await said('pack.locked')).length, 2 * STUDIES)
  })

  test('other bytes under the key are not locked', async () => {
    const a = locking('a')
    const { worm, sealAll, yearsOf } = await site([a])
    await sealAll()
    a.faults.inject('stale_size', { operation: 'stat', times: STUDIES })
    await worm.run()
    assert.ok((await yearsOf(a, 0)) < 1)
    assert.match(worm.troubles.join(), /holds other bytes/)
  })
})

describe('locks that have become less', () => {
  const weaken: [string, (where: Locking, key: string) => void, RegExp][] = [
    ['missing', (a, key) => Object.assign(a.objects.find(key), { lockedUntil: undefined }), /has no lock/],
    [
      'shorter',
      (a, key) => Object.assign(a.objects.find(key), { lockedUntil: new Date(Date.now() + DAY) }),
      /is only until/,
    ],
    [
      'weaker',
      (a, key) => {
        const { getLock, extendLock } = a.objects
        const weak = async (which: string, signal?: AbortSignal) => ({
          ...(await getLock(which, signal)),
          ...(which === key && { mode: 'governance' as const }),
        })
        const restore = async (which: string, until: Date, signal?: AbortSignal) => {
          a.objects.getLock = getLock
          return extendLock(which, until, signal)
        }
        Object.assign(a.objects, { getLock: weak, extendLock: restore })
      },
      /in mode governance now/,
    ],
  ]
  for (const [what, act, words] of weaken) {
    test(`${what}: found by the scrub, told, and set again`, async () => {
      const a = locking('a')
      const { worm, sealAll, yearsOf, lockOf, scrub, said, packOf } = await site([a])
      await sealAll()
      await worm.run()
      act(a, (await packOf(1)).key)
      const report = await scrub()
      assert.deepEqual([report.state, report.relocked, report.intact], ['done', 1, STUDIES], report.findings.join())
      assert.match(report.findings.join(), words)
      assert.ok(Math.abs((await yearsOf(a, 1)) - 30) < 0.01)
      assert.equal((await lockOf(a, 1)).mode, 'compliance')
      assert.match(worm.troubles.join(), /1 locks in store a had become less/)
      const [alarm] = await said('store.alarm')
      assert.deepEqual([alarm?.data.alarm, alarm?.data.raised, alarm?.subject.store], ['lock-drift', true, 'a'])
      assert.equal((await said('pack.locked')).length, STUDIES + 1)
      assert.equal((await scrub()).relocked, 0)
    })
  }

  test('it is set again to where it was, also where less would do by now', async () => {
    const a = locking('a')
    const { worm, sealAll, scrub, packOf, yearsOf, decided, clock } = await site([a])
    await sealAll()
    decided.set(studyUid(1), new Date(clock.nowMs + 40 * 365.25 * DAY))
    await worm.run()
    decided.set(studyUid(1), new Date(clock.nowMs + 20 * 365.25 * DAY))
    Object.assign(a.objects.find((await packOf(1)).key), { lockedUntil: undefined })
    assert.equal((await scrub()).relocked, 1)
    assert.ok(Math.abs((await yearsOf(a, 1)) - 40) < 0.01)
  })

  test('one that can not be set again is told of once, and tried on', async () => {
    const a = locking('a')
    const { worm, sealAll, scrub, said, packOf, clock, yearsOf } = await site([a])
    await sealAll()
    await worm.run()
    Object.assign(a.objects.find((await packOf(1)).key), { lockedUntil: undefined })
    a.faults.inject('error_before', { operation: 'extend_lock', times: 3 })
    const report = await scrub()
    assert.match(report.findings.join(), /can't be kept/)
    await worm.run()
    clock.nowMs += 20 * 60_000
    await worm.run()
    clock.nowMs += 20 * 60_000
    await worm.run()
    assert.ok(Math.abs((await yearsOf(a, 1)) - 30) < 0.01)
    assert.equal((await said('store.alarm')).length, 1)
  })
})

describe('legal holds of stores', () => {
  test('follow those of studies, come with later packs, and go', async () => {
    const [a, b] = [locking('a'), locking('b', { lock: 'none' })]
    const { worm, sealAll, held, lockOf, receive, sealer, catalogue, said } = await site([a, b], [], { copies: 2 })
    await sealAll()
    await worm.run()
    held.set(studyUid(0), true)
    assert.deepEqual(await worm.on(studyUid(0), true), { done: 1, pending: 0 })
    assert.equal((await lockOf(a, 0)).legalHold, true)
    assert.equal((await lockOf(a, 1)).legalHold, false)
    assert.equal((await said('pack.locked')).at(-1)?.data.legalHold, true)
    // A later instance of the held study.
    await receive(0, 'worm/more')
    await sealer.seal(studyUid(0))
    await worm.run()
    const packs = await catalogue.packs({ limit: 10, studyUid: studyUid(0) })
    assert.equal(packs.length, 2)
    for (const { key } of packs) assert.equal((await a.objects.getLock(key)).legalHold, true)
    held.set(studyUid(0), false)
    assert.deepEqual(await worm.on(studyUid(0), false), { done: 2, pending: 0 })
    for (const { key } of packs) assert.equal((await a.objects.getLock(key)).legalHold, false)
  })

  test('a store that fails follows later', async () => {
    const a = locking('a')
    const { worm, sealAll, held, lockOf, clock } = await site([a])
    await sealAll()
    await worm.run()
    held.set(studyUid(0), true)
    a.faults.inject('error_before', { operation: 'set_legal_hold', times: 1 })
    assert.deepEqual(await worm.on(studyUid(0), true), { done: 0, pending: 1 })
    clock.nowMs += 20 * 60_000
    await worm.run()
    assert.equal((await lockOf(a, 0)).legalHold, true)
  })
})

describe('the label of write-once storage', () => {
  test('goes when a canary can be deleted, with an alarm, and comes back', async () => {
    const a = locking('a')
    const { worm, sealAll, said } = await site([a])
    await sealAll()
    await worm.probe()
    assert.deepEqual(worm.troubles, [])
    a.finds('a locked object could be deleted')
    await worm.probe()
    assert.match(worm.troubles.join(), /store a is no write-once storage.*could be deleted/)
    assert.deepEqual((await worm.report())[0], {
      store: 'a',
      asked: 'compliance',
      enforced: 'none',
      immutableFiles: false,
      reason: 'a locked object could be deleted',
      due: 0,
    })
    a.finds(undefined)
    await worm.probe()
    assert.deepEqual(worm.troubles, [])
    assert.equal(a.probes, 3)
    const alarms = (await said('store.alarm')).map(({ data }) => [data.alarm, data.raised])
    assert.deepEqual(alarms, [
      ['object-lock', true],
      ['object-lock', false],
    ])
  })

  test('where packs must be in such a store, they go to no other, and a study waits in the landing', async () => {
    const [a, b, plain] = [locking('a'), locking('b'), locking('plain', { lock: 'none' })]
    a.finds('a locked object could be deleted by bypassing governance')
    const { worm, sealAll, packOf } = await site([a, b, plain], [], { required: true })
    await worm.probe()
    await sealAll()
    for (let n = 0; n < STUDIES; n++)
      assert.deepEqual(
        (await packOf(n)).copies.map(({ store }) => store),
        ['b'],
      )
    const other = await site([a, plain], [], { required: true })
    await other.receive(9)
    await assert.rejects(other.sealer.seal(studyUid(9)), (error) => {
      assert.match(
        (error as Error).message,
        /a: a locked object could be deleted by bypassing.*plain: it has no compliance/,
      )
      return isArchiveError(error, 'unavailable')
    })
    a.finds(undefined)
    await other.worm.probe()
    assert.equal((await other.sealer.seal(studyUid(9))).packs.length, 1)
  })

  test('governance is not what is required', async () => {
    assert.match(whyNotWorm(locking('a', { lock: { ...LOCK, mode: 'governance' } }).store) ?? '', /no compliance lock/)
  })

  test('without it packs are written without a lock, and get theirs when it is back', async () => {
    const a = locking('a')
    a.finds('the bucket was made without object lock')
    const { worm, sealAll, lockOf, yearsOf } = await site([a])
    await worm.probe()
    await sealAll()
    assert.equal((await lockOf(a, 0)).mode, 'none')
    a.finds(undefined)
    await worm.probe()
    assert.ok(Math.abs((await yearsOf(a, 0)) - 30) < 0.01)
  })
})

describe('what is locked and to be moved', () => {
  test('is copied elsewhere and stays known where it is, until its lock has run out', async () => {
    const [a, b] = [locking('a'), locking('b', { lock: 'none' })]
    const { drainer, sealAll, packOf, said, scrub } = await site([a], [b])
    await sealAll()
    await drainer.start('a')
    await drainer.settled('a')
    const report = drainer.report('a')
    assert.deepEqual([report?.moved, report?.stayed], [0, STUDIES])
    assert.match(report?.reasons.join() ?? '', /the store locks it until/)
    assert.deepEqual(
      (await packOf(0)).copies.map(({ store }) => store),
      ['a', 'b'],
    )
    assert.deepEqual(await said('pack.freed'), [])
    assert.equal((await scrub()).intact, 2 * STUDIES)
    for (let n = 0; n < STUDIES; n++) {
      Object.assign(a.objects.find((await packOf(n)).key), { lockedUntil: new Date(Date.now() - 1000) })
    }
    await drainer.start('a')
    await drainer.settled('a')
    assert.equal(drainer.report('a')?.moved, STUDIES)
    assert.deepEqual(
      (await packOf(0)).copies.map(({ store }) => store),
      ['b'],
    )
    assert.equal((await said('pack.freed')).length, STUDIES)
  })

  test('is said before a study is destroyed, of each of its packs', async () => {
    const a = locking('a')
    const { worm, sealAll, packOf, receive, sealer, catalogue } = await site([a])
    await sealAll()
    await receive(0, 'worm/more')
    await sealer.seal(studyUid(0))
    assert.match((await worm.blocks(studyUid(0))) ?? '', /store a locks packs.* until 20/)
    const both = await catalogue.packs({ limit: 10, studyUid: studyUid(0) })
    const [first, last] = both.map(({ key }) => a.objects.find(key))
    Object.assign(first ?? {}, { lockedUntil: undefined })
    assert.match((await worm.blocks(studyUid(0))) ?? '', /until 20/)
    Object.assign(last ?? {}, { lockedUntil: undefined, legalHold: true })
    assert.match((await worm.blocks(studyUid(0))) ?? '', /by a legal hold/)
    Object.assign(last ?? {}, { legalHold: false })
    assert.equal(await worm.blocks(studyUid(0)), undefined)
    assert.match((await worm.blocks((await packOf(1)).studyUid)) ?? '', /until 20/)
  })

  test('a legal hold keeps it too', async () => {
    const [a, b] = [locking('a', { lock: 'none' }), locking('b')]
    const { copies, sealAll, packOf } = await site([b], [a])
    await sealAll()
    const pack = await packOf(0)
    await copies.add(pack, new Set())
    Object.assign(b.objects.find(pack.key), { lockedUntil: undefined, legalHold: true })
    await assert.rejects(copies.free(await packOf(0), 'b', 1, 'a test'), /by a legal hold/)
    assert.equal((await packOf(0)).copies.length, 2)
  })
})

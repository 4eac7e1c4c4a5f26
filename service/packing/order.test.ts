import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { instanceSets, listed } from '../../test/property/packs.ts'
import { byPlaceInPack, memberNames, splitIntoPacks } from './order.ts'

describe('the order of a pack', () => {
  test('is series by series, each by number, those without one first', () => {
    const set = [
      listed('d', 1, { seriesUid: '2', instanceNumber: 1 }),
      listed('c', 1, { seriesUid: '10', instanceNumber: 10 }),
      listed('b', 1, { seriesUid: '10', instanceNumber: 9 }),
      listed('a', 1, { seriesUid: '10', instanceNumber: null }),
    ]
    const sorted = [...set].sort(byPlaceInPack).map(({ seriesUid, instanceNumber }) => [seriesUid, instanceNumber])
    assert.deepEqual(sorted, [
      ['10', null],
      ['10', 9],
      ['10', 10],
      ['2', 1],
    ])
  })

  test('names copies with other bytes apart, and the same UID in two series by its series', () => {
    const set = [
      listed('a', 1, { seriesUid: '1', sopInstanceUid: '5' }),
      listed('b', 1, { seriesUid: '1', sopInstanceUid: '6' }),
      listed('c', 1, { seriesUid: '1', sopInstanceUid: '6' }),
      listed('d', 1, { seriesUid: '2', sopInstanceUid: '5' }),
    ]
    assert.deepEqual(memberNames(set), ['1/5.dcm', '1/6+1.dcm', '1/6+2.dcm', '2/5.dcm'])
  })

  test("a series cannot take the place of the pack's own files", () => {
    for (const seriesUid of ['firn-pack.json', 'manifest-sha256.txt', 'metadata.json.gz']) {
      assert.deepEqual(memberNames([listed('a', 1, { seriesUid, sopInstanceUid: '5' })]), [`${seriesUid}+/5.dcm`])
    }
  })

  test('a study is split the same way whatever the order, within the limits, and loses nothing', () => {
    const limits = fc.record({
      instancesMax: fc.integer({ min: 1, max: 4 }),
      bytesMax: fc.integer({ min: 1, max: 4000 }),
    })
    fc.assert(
      fc.property(instanceSets, limits, fc.infiniteStream(fc.nat()), (set, { instancesMax, bytesMax }, random) => {
        const packs = splitIntoPacks(set, { instancesMax, bytesMax })
        const shuffled = set
          .map((one) => ({ one, at: random.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ one }) => one)
        assert.deepEqual(splitIntoPacks(shuffled, { instancesMax, bytesMax }), packs)
        assert.deepEqual(packs.flat(), [...set].sort(byPlaceInPack))
        for (const [i, pack] of packs.entries()) {
          const bytes = pack.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
          assert.ok(pack.length >= 1 && pack.length <= instancesMax)
          assert.ok(bytes <= bytesMax || pack.length === 1)
          // A pack ends only where the next instance would not fit.
          const next = packs[i + 1]?.[0]
          assert.ok(!next || pack.length === instancesMax || bytes + next.sizeBytes > bytesMax)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('nothing makes no pack', () => {
    assert.deepEqual(splitIntoPacks([]), [])
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseOptions } from './options.ts'
import { asJson, Results, rows, table } from './results.ts'
import { median, percentile } from './stats.ts'

describe('benchmark results', () => {
  test('medians and percentiles', () => {
    assert.equal(median([3, 1, 2]), 2)
    assert.equal(median([1, 2]), 1.5)
    assert.equal(percentile([0, 10], 0.95), 9.5)
    assert.ok(Number.isNaN(median([])))
  })

  test('a ratio above 1 means that Firn is better, for rates and for times', () => {
    const results = new Results()
    for (const [subject, rate] of [
      ['firn', 600],
      ['orthanc', 200],
      ['raw', 1000],
    ] as const) {
      results.add('ct.stow', subject, rate)
    }
    results.add('qido.exact', 'firn', 2)
    results.add('qido.exact', 'orthanc', 8)
    const [stow, exact] = rows(results)
    assert.deepEqual(stow?.ratios, { orthanc: 3, raw: 0.6 })
    assert.deepEqual(
      stow?.targets.map(({ over, met }) => [over, met]),
      [
        ['orthanc', true],
        ['raw', false],
      ],
    )
    assert.deepEqual(exact?.ratios, { orthanc: 4 })
    assert.deepEqual(
      exact?.targets.map(({ met }) => met),
      [false],
    )
  })

  test('the table shows what was measured and leaves the rest open', () => {
    const results = new Results()
    results.add('ct.stow', 'orthanc', 250)
    results.addMemory('CT', 'firn', 100e6)
    results.addMemory('CT', 'firn', 400e6)
    const text = table(results)
    assert.match(text, /CT STOW.* 250 /)
    assert.match(text, /CT +MB +400 +- +< 350 NO/)
    assert.equal(JSON.parse(asJson(results, { node: 'x' })).figures.length, 1)
  })

  test('unknown parts and options are refused by name', () => {
    assert.throws(() => parseOptions(['--only', 'ct,xx']), /there is no xx/)
    assert.throws(() => parseOptions(['--fast']), /--fast/)
    assert.deepEqual(parseOptions(['--only', 'qido', '--short']).only, ['qido'])
  })
})

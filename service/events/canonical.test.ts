import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { canonical, isCanonical } from './canonical.ts'

const key = fc.stringMatching(/^[A-Za-z][\w.:/-]{0,12}$/)
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\\ud', '\\ud800', '\u2028', '"', '\u007f', '\u0000'),
)
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}))

describe('canonical JSON', () => {
  test('sorts keys, has no white space and escapes as little as may be', () => {
    const object = { b: [1, null, true], aB: 'x"\\\n\u0001\u007f\u2028ä🧊', a: -0, A: { z: 1, y: undefined } }
    assert.equal(canonical(object), '{"A":{"z":1},"a":0,"aB":"x\\"\\\\\\n\\u0001\u007f\u2028ä🧊","b":[1,null,true]}')
  })

  test('every value comes back from its text, which is the only one', () => {
    fc.assert(
      fc.property(value, (one) => {
        const encoded = canonical(one)
        const parsed = JSON.parse(encoded)
        assert.deepEqual(JSON.stringify(parsed), encoded)
        assert.equal(canonical(parsed), encoded)
        assert.ok(isCanonical(encoded, parsed))
      }),
    )
  })

  test('the fast check agrees with encoding again, whatever the text', () => {
    const texts = fc
      .tuple(value.map(canonical), fc.nat(), fc.constantFrom(...'{}[]",:0159eE.+- \\uda'))
      .map(([text, at, piece]) => text.slice(0, at % (text.length + 1)) + piece + text.slice(at % (text.length + 1)))
    const odd = [
      '{"b":1,"a":2}',
      '{"a":1,"a":2}',
      '1.0',
      '1.5',
      '1e3',
      '-0',
      '"\\u0041"',
      '"\\ud800"',
      '{"1":2}',
      '{"é":1}',
    ]
    const check = (encoded: string): void => {
      let parsed: unknown
      try {
        parsed = JSON.parse(encoded)
      } catch {
        return
      }
      let expected = false
      try {
        expected = canonical(parsed) === encoded
      } catch {}
      assert.equal(isCanonical(encoded, parsed), expected, encoded)
    }
    for (const encoded of odd) {
      check(encoded)
      assert.ok(!isCanonical(encoded, JSON.parse(encoded)), encoded)
    }
    fc.assert(fc.property(texts, check), { numRuns: 2000 })
  })

  test('what nests without end is refused, and overflows nothing', () => {
    const endless = '['.repeat(100_000) + ']'.repeat(100_000)
    assert.equal(isCanonical(endless, JSON.parse(endless)), false)
    assert.equal(isCanonical(`${endless}\\ud`, JSON.parse(endless)), false)
  })

  test('what has no one text is refused', () => {
    const deep = Array.from({ length: 20 }).reduce((inner) => [inner], 1 as unknown)
    const bad: unknown[] = [1.5, Number.NaN, 2 ** 53, 10n, undefined, () => 1, Symbol('x'), '\ud800', 'x\udc00', deep]
    bad.push(new Date(), Buffer.from('x'), new Map(), [undefined], new Array(2), { é: 1 }, { '': 1 }, { 1: 1 })
    for (const one of bad) assert.throws(() => canonical(one), RangeError)
    for (const one of bad.slice(0, -3)) assert.throws(() => canonical({ a: [one] }), RangeError)
  })
})

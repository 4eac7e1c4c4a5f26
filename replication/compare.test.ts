import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compare, LIST_MAX } from './compare.ts'
import type { CopyId, DigestAnswer, DigestEntry, DigestRange } from './ports.ts'
import { Sums } from './sums.ts'

const entry = (n: number, served = true): DigestEntry => ({
  sopInstanceUid: `1.2.${n}`,
  sha256: createHash('sha256').update(String(n)).digest('hex'),
  served,
})

/** What a site answers that holds these, and how often it was asked. */
function site(entries: readonly DigestEntry[]) {
  let asked = 0
  const digests = async ({ prefix, list }: DigestRange): Promise<DigestAnswer> => {
    asked += 1
    const inside = entries.filter(({ sha256 }) => sha256.startsWith(prefix))
    if (list) return { copies: inside }
    const sums = new Sums(prefix)
    for (const one of inside) sums.add(one)
    return { parts: sums.parts() }
  }
  const keys = new Set(entries.map(keyOf))
  const lacked = async (wanted: DigestEntry[]) => wanted.map((one) => !keys.has(keyOf(one)))
  return { digests, lacked, asked: () => asked }
}

const keyOf = ({ sopInstanceUid, sha256, served }: DigestEntry): string => `${sopInstanceUid} ${sha256} ${served}`

async function compared(mine: readonly DigestEntry[], theirs: readonly DigestEntry[]) {
  const [here, there] = [site(mine), site(theirs)]
  const only = { here: [] as CopyId[], there: [] as CopyId[] }
  const found = await compare({
    mine: here.digests,
    theirs: there.digests,
    lackedThere: there.lacked,
    lackedHere: here.lacked,
    onlyHere: async (copies) => void only.here.push(...copies),
    onlyThere: async (copies) => void only.there.push(...copies),
    clock: { now: () => 0, sleep: async () => undefined },
    signal: new AbortController().signal,
  })
  return { found, only, asked: there.asked() }
}

const uids = (copies: readonly CopyId[]): string[] => copies.map(({ sopInstanceUid }) => sopInstanceUid).sort()

describe('comparing two sites', () => {
  it('asks sites that are equal for one set of sums', async () => {
    const all = Array.from({ length: 500 }, (_, n) => entry(n))
    const { found, asked } = await compared(all, [...all].reverse())
    assert.deepEqual(found, { compared: 500, onlyHere: 0, onlyThere: 0 })
    assert.equal(asked, 1)
  })

  it('finds exactly what only one of them has, whatever that is', async () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 0, max: 400 }), { maxLength: 200 })
    await fc.assert(
      fc.asyncProperty(numbers, numbers, async (a, b) => {
        const { found, only } = await compared(
          a.map((n) => entry(n)),
          b.map((n) => entry(n)),
        )
        const onlyA = a.filter((n) => !b.includes(n)).map((n) => `1.2.${n}`)
        const onlyB = b.filter((n) => !a.includes(n)).map((n) => `1.2.${n}`)
        assert.deepEqual(uids(only.here), onlyA.sort())
        assert.deepEqual(uids(only.there), onlyB.sort())
        assert.deepEqual(found, { compared: a.length, onlyHere: onlyA.length, onlyThere: onlyB.length })
      }),
      { numRuns: 60 },
    )
  })

  it('sees that the same copies are served differently', async () => {
    const { only } = await compared([entry(1), entry(2, false)], [entry(1, false), entry(2)])
    assert.deepEqual(uids(only.here), ['1.2.1', '1.2.2'])
    assert.deepEqual(uids(only.there), ['1.2.1', '1.2.2'])
  })

  it('never asks for a list that is longer than one that crosses the line', async () => {
    const all = Array.from({ length: LIST_MAX * 4 }, (_, n) => {
      // All in one part of the sums.
      const one = entry(n)
      return { ...one, sha256: `ab${one.sha256.slice(2)}` }
    })
    const here = site(all)
    let longest = 0
    const theirs = site(all.slice(1))
    await compare({
      mine: here.digests,
      theirs: async (range) => {
        const answer = await theirs.digests(range)
        if ('copies' in answer) longest = Math.max(longest, answer.copies.length)
        return answer
      },
      lackedThere: theirs.lacked,
      lackedHere: here.lacked,
      onlyHere: async (copies) => assert.equal(copies.length, 1),
      onlyThere: async () => assert.fail('nothing is only there'),
      clock: { now: () => 0, sleep: async () => undefined },
      signal: new AbortController().signal,
    })
    assert.ok(longest > 0 && longest <= LIST_MAX, String(longest))
  })
})

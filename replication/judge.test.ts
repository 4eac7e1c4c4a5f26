import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { judge, PROTOCOL } from './judge.ts'
import type { EventChain, Head, Hello } from './ports.ts'

const head = (seq: number, of = 'a'): Head => ({ seq, hash: of.repeat(64) })

/** A chain whose events up to `seq` have the hash of `of`. */
const chain = (seq: number, of = 'a'): EventChain => ({
  head: head(seq, of),
  has: async (one) => one.seq <= seq && one.hash === head(one.seq, of).hash,
})

const mine = { site: 'north', chain: chain(10) }
const known = { site: 'south', chain: chain(20, 'b'), removed: [] as string[] }
const hello = (changes: Partial<Hello> = {}): Hello => ({
  protocol: PROTOCOL,
  version: '1',
  name: 'south',
  site: 'south',
  generation: 'south',
  session: 's',
  head: head(20, 'b'),
  parted: false,
  sees: { site: 'north', head: head(10) },
  ...changes,
})

describe('what a site makes of a greeting', () => {
  const verdict = async (theirs: Hello, memory: Parameters<typeof judge>[1] = known) =>
    (await judge(mine, memory, theirs)).verdict

  it('all is well where both logs go on where they were', async () => {
    assert.equal(await verdict(hello()), 'well')
    assert.equal(await verdict(hello({ head: head(25, 'b'), sees: { site: 'north', head: head(4) } })), 'well')
  })

  it('two sites that know nobody meet', async () => {
    const nobody = { site: undefined, chain: undefined, removed: [] }
    assert.equal(await verdict(hello({ sees: null }), nobody), 'new')
    assert.equal(await verdict(hello(), nobody), 'new')
  })

  it('who has less of its own log than the other remembers is old, and so is who has another one', async () => {
    assert.equal(await verdict(hello({ sees: { site: 'north', head: head(11) } })), 'we-are-old')
    assert.equal(await verdict(hello({ sees: { site: 'north', head: head(9, 'c') } })), 'we-are-old')
    assert.equal(await verdict(hello({ head: head(19, 'b') })), 'they-are-old')
    assert.equal(await verdict(hello({ head: head(20, 'c') })), 'they-are-old')
  })

  it('another storage, a removed one, a copy of this one and another protocol are refused', async () => {
    for (const changes of [
      { site: 'elsewhere' },
      { site: 'north' },
      { protocol: PROTOCOL + 1 },
      { sees: { site: 'elsewhere', head: head(1) } },
    ]) {
      assert.equal(await verdict(hello(changes)), 'refused', JSON.stringify(changes))
    }
    assert.equal(await verdict(hello(), { ...known, removed: ['south'] }), 'refused')
  })

  it('one that went back is told so, whatever it says of this site', async () => {
    const theirs = hello({ head: head(3, 'b'), sees: null })
    assert.equal(await verdict(theirs), 'they-are-old')
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pair, type PairOptions } from './pair.ts'
import type { Hello } from './ports.ts'

const EMPTY = { seq: 0, hash: '0'.repeat(64) }
const chain = { head: EMPTY, has: async () => true, import: async () => ({ outcome: 'replay' as const }) }
const hello = (site: string): Hello => {
  const of = { protocol: 1, version: '1', name: site, site, generation: site, session: 's', head: EMPTY, parted: false }
  return { ...of, sees: { site: 'us', head: EMPTY } }
}

test('a removed site that calls again disturbs nobody', async () => {
  const unused = undefined as never
  const pair = new Pair({
    mine: { site: 'us', name: 'us', version: '1', generation: 'us', session: 's', chain },
    memory: { site: 'other', name: 'other', removed: ['lost'], pairWith: async () => assert.fail('it is paired') },
    link: unused,
    local: unused,
    openPeerChain: async () => chain,
    clock: { now: () => 0, sleep: async () => undefined },
    isStrict: () => false,
    isBusy: () => false,
    resyncBytesPerSecond: 0,
    notify: () => undefined,
    onFenced: () => assert.fail('fenced'),
    warn: () => undefined,
  } satisfies PairOptions)
  await pair.greeted(hello('other'))
  pair.assertAdmits('other')
  await pair.greeted(hello('lost'))
  pair.assertAdmits('other')
  assert.throws(() => pair.assertAdmits('lost'), /paired with other/)
})

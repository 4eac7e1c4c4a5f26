import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Hello, PeerLink } from '../../replication/ports.ts'
import { tempDir } from '../../test/support/host.ts'
import { PeerMemory } from './memory.ts'
import { rejoinIfOld } from './rejoin.ts'

it('a fence is not lifted by a site that does not work with this one, only by one that finds all well', async () => {
  const folder = tempDir('fence')
  const memory = await PeerMemory.open(folder)
  await memory.pairWith('other', 'b')
  await memory.setFenced(true)
  const EMPTY = { seq: 0, hash: '0'.repeat(64) }
  let protocol = 99
  const hello = async (): Promise<Hello> => {
    const of = { version: '1', name: 'b', site: 'other', generation: 'other', session: 's', head: EMPTY }
    return { ...of, protocol, parted: false, sees: { site: 'us', head: EMPTY } }
  }
  const link = { hello } as unknown as PeerLink
  const options = { eventsFolder: join(folder, 'events'), site: 'us', name: 'a', memory, link, info: () => undefined }
  let isOver = false
  const rejoining = rejoinIfOld(options).then(() => {
    isOver = true
  })
  await sleep(300)
  assert.equal(isOver, false)
  assert.equal((await PeerMemory.open(folder)).fenced, true)
  protocol = 1
  await rejoining
  assert.equal((await PeerMemory.open(folder)).fenced, false)
})

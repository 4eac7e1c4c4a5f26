import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { SYSTEM } from './event.ts'
import { EventLog } from './log.ts'
import { cutBehind } from './set-aside.ts'

const folderOf = () => join(mkdtempSync(join(tmpdir(), 'firn-aside-')), 'events')

async function write(folder: string, count: number): Promise<string[]> {
  const log = await EventLog.open({ folder, site: 'north', generation: 'north', segmentBytes: 1500 })
  const hashes: string[] = []
  for (let n = 0; n < count; n++) {
    const [head] = await log.append({ kind: 'site.started', actor: SYSTEM, subject: {}, data: { version: String(n) } })
    hashes.push(head?.hash ?? '')
  }
  await log.close()
  return hashes
}

for (const last of [0, 1, 7, 19, 20]) {
  it(`a log of 20 events ends at ${last} afterwards, and what was behind is kept beside it`, async () => {
    const folder = folderOf()
    const hashes = await write(folder, 20)
    await cutBehind(folder, last)
    const log = await EventLog.open({ folder, site: 'north', generation: 'north' })
    assert.equal(log.trouble, undefined)
    assert.equal(log.head.seq, last)
    if (last > 0) assert.equal(log.head.hash, hashes[last - 1])
    await log.close()
    const aside = readdirSync(folder).filter((name) => name.endsWith('.aside'))
    const kept = aside.map((name) => readFileSync(join(folder, name), 'utf8')).join('')
    assert.equal(kept.split('\n').length - 1, 20 - last)
    for (const hash of hashes.slice(last)) assert.ok(kept.includes(hash))
  })
}

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import type { Head } from '../events/event.ts'
import type { Officer } from '../retention/officer.ts'

const anna: Officer = { name: 'anna', role: 'records', from: '', roles: ['records'] }
const STUDY = '1.2.3.4'
const file = dicomFile({ seed: 'rejoin', studyUid: STUDY, rows: 16, columns: 16 })
const EMPTY = { seq: 0, hash: '0'.repeat(64) }

/** What the other site has of a site's log. */
interface Remembered {
  site: string
  head: Head
  lines: Buffer
}

const settings = (address: string) => ({ peer: { name: 'a', listen: { port: 0 }, addresses: [address] } })
const DEAD = 'http://127.0.0.1:9'

async function hold(dir: string, reason: string): Promise<Remembered> {
  return withSite(dir, settings(DEAD), async ({ archive, retention }) => {
    await retention.holds.place({ studyUid: STUDY, caseReference: 'C', reason, holder: 'court' }, anna)
    const { site, head } = archive.events
    return { site, head, lines: await archive.events.lines(0) }
  })
}

/** The other site, which remembers; `failures` of its answers about our events never come. */
async function withPeer(remembered: Remembered, failures: number, use: (address: string) => Promise<void>) {
  let left = failures
  const server = http.createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://peer')
    if (url.pathname === '/peer/v1/hello') {
      const { site, head } = remembered
      const hello = {
        protocol: 1,
        version: '1',
        name: 'b',
        site: 'other',
        generation: 'other',
        session: 's',
        head: EMPTY,
      }
      return void req.resume().on('end', () => res.end(JSON.stringify({ ...hello, sees: { site, head } })))
    }
    const after = Number(url.searchParams.get('after'))
    const rest = remembered.lines.toString().split('\n').slice(after).join('\n')
    // What is wanted to its end is what was lost.
    if (rest.includes('true hold') && after > 0 && left-- > 0) return res.destroy()
    return res.end(rest)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

async function holdsIn(dir: string, address: string): Promise<string[]> {
  return withSite(dir, settings(address), async ({ retention, archive }) => {
    await archive.projector.upTo(archive.events.site, archive.events.head.seq)
    const holds = await retention.holds.list('active', { limit: 10 })
    return holds.map(({ placed }) => placed.reason).sort()
  })
}

/** A site that placed a hold, went back to before that, and placed another one. */
async function restored(paired: boolean): Promise<{ dir: string; remembered: Remembered }> {
  const dir = tempDir('rejoin')
  const backup = tempDir('rejoin-backup')
  await withSite(dir, settings(DEAD), ({ send }) => send(file))
  if (paired) writeFileSync(join(dir, 'peer.json'), JSON.stringify({ site: 'other', name: 'b' }))
  cpSync(dir, backup, { recursive: true })
  const remembered = await hold(dir, 'true hold')
  rmSync(dir, { recursive: true })
  cpSync(backup, dir, { recursive: true })
  await hold(dir, 'late hold')
  return { dir, remembered }
}

describe('a site that went back to an earlier state', () => {
  test('has what it had, and what it was told since, though its catalogue knew other events by these numbers', async () => {
    const { dir, remembered } = await restored(true)
    await withPeer(remembered, 0, async (address) => {
      assert.deepEqual(await holdsIn(dir, address), ['late hold', 'true hold'])
    })
  })

  test('so it has when it is broken off in between', async () => {
    const { dir, remembered } = await restored(true)
    await withPeer(remembered, 1, async (address) => {
      await assert.rejects(holdsIn(dir, address))
      assert.deepEqual(await holdsIn(dir, address), ['late hold', 'true hold'])
      assert.deepEqual(await holdsIn(dir, address), ['late hold', 'true hold'], 'and it is at its end')
    })
  })

  test('and when it went back to before it was paired', async () => {
    const { dir, remembered } = await restored(false)
    await withPeer(remembered, 0, async (address) => {
      assert.deepEqual(await holdsIn(dir, address), ['late hold', 'true hold'])
    })
  })
})

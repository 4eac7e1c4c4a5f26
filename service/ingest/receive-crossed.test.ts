import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { inChunks, landingIn, openSite, openSqlite, SOURCE } from '../../test/property/core.ts'
import { withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import { within } from '../../test/support/until.ts'
import type { MirrorPort, Receive } from './ports.ts'

const file = dicomFile({ seed: 'crossed', rows: 16, columns: 16 })

/** Gives everything to another receiver of this process, which is told as late as can be. */
function mirrorTo(other: () => Receive): MirrorPort {
  return {
    refusal: () => undefined,
    isStrict: () => false,
    owing: () => undefined,
    isOwed: async () => true,
    paid: async () => undefined,
    oweUs: async () => undefined,
    begin: ({ source }) => {
      const chunks: Buffer[] = []
      return {
        write: async (chunk) => void chunks.push(chunk),
        abandon: () => undefined,
        finish: async (last) => {
          await new Promise((resolve) => setTimeout(resolve, 100))
          await other().receive({ body: inChunks(Buffer.concat(chunks)), source, fromPeer: { proof: () => last } })
          return 'both'
        },
      }
    },
  }
}

describe('what is sent again to a site of two', () => {
  test('the same, owed by both, comes to both at once: neither waits for the other', async () => {
    const dirs = [tempDir('crossed'), tempDir('crossed')]
    const sites: { receiver: Receive; close(): Promise<void> }[] = []
    for (const [n, dir] of dirs.entries()) {
      const mirror = mirrorTo(() => (sites[1 - n] as { receiver: Receive }).receiver)
      const { receiver, landing, ledger, catalogue } = await openSite(landingIn(dir), await openSqlite(dir), { mirror })
      const close = async (): Promise<void> => {
        ledger.close()
        await landing.close()
        await catalogue.close()
      }
      sites.push({ receiver, close })
    }
    const send = ({ receiver }: { receiver: Receive }) => receiver.receive({ body: inChunks(file), source: SOURCE })
    await within('both to have it', 5000, send(sites[0] as { receiver: Receive }))
    const again = await within('answers', 5000, Promise.all(sites.map(send)))
    assert.deepEqual(
      again.map(({ outcome, durability }) => `${outcome} ${durability}`),
      ['duplicate both', 'duplicate both'],
    )
    for (const { close } of sites) await close()
  })

  test('a site that was alone before says of nothing that both have it until that is so', async () => {
    const dir = tempDir('crossed')
    await withSite(dir, {}, ({ send }) => send(file))
    const peer = { name: 'a', listen: { port: 0 }, addresses: ['http://127.0.0.1:9'] }
    await withSite(dir, { peer }, async ({ send }) => {
      const { outcome, durability } = await send(file)
      assert.deepEqual([outcome, durability], ['duplicate', 'local'])
    })
  })
})

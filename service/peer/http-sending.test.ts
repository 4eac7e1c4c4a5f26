import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { HttpLink } from './http-link.ts'

const SHA256 = 'a'.repeat(64)
const LAST = { sha256: SHA256, sizeBytes: 4, receivedAt: '2026-01-01T00:00:00.000Z', served: true }
const COPY = { sopInstanceUid: '1.2', source: { protocol: 'stow', name: '', address: '' } }
/** Nothing listens there. */
const DEAD = 'http://127.0.0.1:9'

/** A site at the first address, and nobody at the second. */
async function withPeer(answer: RequestListener, use: (link: HttpLink) => Promise<void>): Promise<void> {
  const server = http.createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const link = new HttpLink({
    addresses: [address, DEAD],
    site: 'us',
    tls: undefined,
    timeoutMs: 1000,
    connectionsMax: 2,
  })
  try {
    await use(link)
  } finally {
    link.close()
    server.closeAllConnections()
    server.close()
  }
}

const takes: RequestListener = (req, res) => {
  req.resume().on('end', () => res.end(JSON.stringify({ sha256: SHA256 })))
}
const refuses: RequestListener = (_req, res) => {
  res.writeHead(422, { 'content-type': 'application/json', connection: 'close' })
  res.end(JSON.stringify({ code: 'never', message: 'no such thing here' }))
}

describe('an instance on its way to the other site', () => {
  test('an address that works is used again', async () => {
    await withPeer(takes, async (link) => {
      for (let n = 0; n < 4; n++) {
        const sending = link.send(COPY)
        await sending.write(Buffer.from('DICM'))
        await sending.finish(LAST)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })
  })

  test('so it is after one was given up on the way', async () => {
    await withPeer(takes, async (link) => {
      const given = link.send(COPY)
      await given.write(Buffer.from('DI'))
      given.abandon()
      await new Promise((resolve) => setTimeout(resolve, 50))
      const sending = link.send(COPY)
      await sending.write(Buffer.from('DICM'))
      await sending.finish(LAST)
    })
  })

  test('a refusal that comes before the end is heard as what it is, and nobody waits for the rest', {
    timeout: 5000,
  }, async () => {
    await withPeer(refuses, async (link) => {
      const sending = link.send(COPY)
      const chunk = Buffer.alloc(256 * 1024)
      for (let n = 0; n < 100; n++) await sending.write(chunk)
      await assert.rejects(sending.finish(LAST), { code: 'never', message: 'no such thing here' })
    })
  })

  test('many chunks that nobody takes yet wait together, and a site that never answers has failed in time', async () => {
    const warned: string[] = []
    const note = ({ name }: Error): void => void warned.push(name)
    process.on('warning', note)
    // Takes everything, says nothing.
    await withPeer(
      (req) => void req.resume(),
      async (link) => {
        const sending = link.send(COPY)
        for (let n = 0; n < 64; n++) void sending.write(Buffer.alloc(65_536))
        const started = performance.now()
        await assert.rejects(sending.finish(LAST), /no answer in time/)
        assert.ok(performance.now() - started < 5000)
      },
    )
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', note)
    assert.deepEqual(warned, [])
  })
})

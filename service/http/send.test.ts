import assert from 'node:assert/strict'
import { PassThrough, Writable } from 'node:stream'
import { describe, test } from 'node:test'
import type { Request, Response } from 'express'
import { within } from '../../test/support/until.ts'
import { acceptsGzip, notModified, sendChunks } from './send.ts'

const MIB = 1024 * 1024

/** Chunks on demand; says how many were asked for and whether reading was stopped. */
function source(count: number, failAt = -1) {
  const state = { given: 0, stopped: false }
  const chunks = async function* () {
    try {
      for (let n = 0; n < count; n++) {
        if (n === failAt) throw new Error('the disk broke')
        state.given += 1
        yield Buffer.alloc(MIB, n)
      }
    } finally {
      state.stopped = true
    }
  }
  return { state, chunks }
}

describe('sending chunks', () => {
  test('all of them, in order', async () => {
    const { chunks } = source(5)
    const to = new PassThrough()
    const received: Buffer[] = []
    to.on('data', (chunk: Buffer) => received.push(chunk))
    await within('sending', 5_000, sendChunks(to, chunks()))
    assert.equal(Buffer.concat(received).length, 5 * MIB)
    assert.deepEqual(
      received.map((chunk) => chunk[0]),
      [0, 1, 2, 3, 4],
    )
  })

  test('a slow client is waited for: little more is read than it took', async () => {
    const { state, chunks } = source(1000)
    const to = new Writable({ highWaterMark: 1, write: () => undefined })
    const sending = sendChunks(to, chunks())
    await new Promise((resolve) => setTimeout(resolve, 100))
    // What is on its way is bounded by bytes, not by the client's patience.
    assert.ok(state.given <= 80, `${state.given} MiB were read ahead`)
    to.destroy()
    await within('giving up', 5_000, sending)
    assert.ok(state.stopped)
  })

  test('a client that has gone stops the work', async () => {
    const { state, chunks } = source(1000)
    const to = new PassThrough()
    to.once('data', () => to.destroy())
    await within('giving up', 5_000, sendChunks(to, chunks()))
    assert.ok(state.stopped && state.given < 100)
  })

  test('a failure of the source is passed on', async () => {
    const { chunks } = source(10, 3)
    const to = new PassThrough()
    to.resume()
    await assert.rejects(within('failing', 5_000, sendChunks(to, chunks())), /the disk broke/)
  })
})

const request = (headers: Record<string, string>): Request =>
  ({ get: (name: string) => headers[name.toLowerCase()] }) as Request

test('gzip is for those who ask for it', () => {
  const table: readonly [accepted: string | undefined, expected: boolean][] = [
    ['gzip, deflate, br', true],
    ['br;q=1.0, gzip;q=0.8', true],
    ['GZIP', true],
    ['gzip;q=0', false],
    ['gzip; q=0.000, br', false],
    ['identity', false],
    ['', false],
    [undefined, false],
  ]
  for (const [accepted, expected] of table) {
    assert.equal(
      acceptsGzip(request(accepted === undefined ? {} : { 'accept-encoding': accepted })),
      expected,
      accepted,
    )
  }
})

test('a copy that is current is not sent again', () => {
  const table: readonly [known: string | undefined, expected: boolean][] = [
    ['"v1"', true],
    ['W/"v1"', true],
    ['"v0", "v1"', true],
    ['*', true],
    ['"v2"', false],
    ['v1', false],
    [undefined, false],
  ]
  for (const [known, expected] of table) {
    const sent = { status: 200, etag: '' }
    const res = {
      set(_: string, value: string) {
        sent.etag = value
        return res
      },
      status(code: number) {
        sent.status = code
        return res
      },
      end: () => res,
    }
    const req = request(known === undefined ? {} : { 'if-none-match': known })
    assert.equal(notModified(req, res as unknown as Response, '"v1"'), expected, known)
    assert.deepEqual(sent, { status: expected ? 304 : 200, etag: '"v1"' })
  }
})

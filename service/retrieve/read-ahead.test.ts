import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import type { LandingLocation } from '../catalogue/ports.ts'
import { ReadAhead, type Stretch } from './read-ahead.ts'

const MIB = 1024 * 1024

/** A landing whose byte at an offset of a segment is a function of both; notes what is read. */
function landing() {
  const reads: { segment: number; from: number; bytes: number }[] = []
  const byteAt = (segment: number, at: number): number => (segment * 31 + at * 7 + (at >> 8)) & 0xff
  const bytesAt = ({ segment, offset }: LandingLocation, start: number, end: number): Buffer =>
    Buffer.from(Uint8Array.from({ length: end - start }, (_, index) => byteAt(segment, offset + start + index)))
  async function* read(at: LandingLocation, start: number, end: number): AsyncGenerator<Buffer> {
    reads.push({ segment: at.segment, from: at.offset + start, bytes: end - start })
    await turn()
    for (let from = start; from < end; from += MIB) yield bytesAt(at, from, Math.min(end, from + MIB))
  }
  return { reads, read, bytesAt }
}

const stretch = (owner: number, segment: number, offset: number, start: number, end: number): Stretch<number> => ({
  owner,
  location: { segment, offset },
  start,
  end,
})

async function joined(ahead: ReadAhead, stretches: readonly Stretch<number>[]): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer[]>()
  for await (const pieces of ahead.windows(stretches)) {
    for (const { owner, start, bytes } of pieces) {
      const before = found.get(owner) ?? []
      const first = (stretches.find((one) => one.owner === owner) as Stretch<number>).start
      assert.equal(
        start - first,
        before.reduce((sum, one) => sum + one.length, 0),
        'pieces come in order',
      )
      found.set(owner, [...before, bytes])
    }
  }
  return new Map([...found].map(([owner, pieces]) => [owner, Buffer.concat(pieces)]))
}

describe('reading ahead', () => {
  it('gives exactly the bytes of any stretches, with plenty of memory and with none', async () => {
    const one = fc.record({
      segment: fc.integer({ min: 1, max: 3 }),
      offset: fc.integer({ min: 0, max: 40_000 }),
      start: fc.integer({ min: 0, max: 300 }),
      length: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 200_000 })),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 20 }), fc.constantFrom(0, 64 * MIB), async (wanted, bytesMax) => {
        const { read, bytesAt } = landing()
        const ahead = new ReadAhead(read, bytesMax)
        const stretches = wanted.map((each, owner) =>
          stretch(owner, each.segment, each.offset, each.start, each.start + each.length),
        )
        const found = await joined(ahead, stretches)
        assert.equal(found.size, stretches.length)
        for (const { owner, location, start, end } of stretches) {
          assert.ok(found.get(owner)?.equals(bytesAt(location, start, end)), `stretch ${owner}`)
        }
        assert.equal(ahead.bytesUsed, 0)
      }),
      { numRuns: 60 },
    )
  })

  it('reads neighbours of a segment together, though they are wanted in another order', async () => {
    const { reads, read } = landing()
    const member = (n: number) => stretch(n, 1 + (n % 2), Math.floor(n / 2) * (10_000 + 2048), 0, 10_000)
    await joined(new ReadAhead(read), [5, 0, 3, 4, 1, 2].map(member))
    assert.equal(reads.length, 2, 'one read for each segment')
  })

  it('cuts what is larger than a window, and reads the next window before this one is done with', async () => {
    const { reads, read } = landing()
    const windows = new ReadAhead(read).windows([stretch(0, 1, 0, 0, 9 * MIB)])
    const { value } = await windows.next()
    assert.equal(value?.[0]?.bytes.length, 2 * MIB)
    await turn()
    assert.equal(reads.length, 2)
    await windows.return(undefined)
  })

  it('holds no more than its memory, and 64 KiB for each reader beyond, however many stall', async () => {
    const { reads, read } = landing()
    const ahead = new ReadAhead(read, 8 * MIB)
    const stalled = Array.from({ length: 40 }, (_, n) => ahead.windows([stretch(n, n, 0, 0, 9 * MIB)]))
    const first = await Promise.all(stalled.map((windows) => windows.next()))
    await turn()
    assert.ok(ahead.bytesUsed <= 8 * MIB)
    const bytesRead = reads.reduce((sum, { bytes }) => sum + bytes, 0)
    assert.ok(bytesRead <= 8 * MIB + 40 * 64 * 1024, `${bytesRead} bytes`)
    for (const { value, done } of first) assert.ok(!done && value !== undefined && value.length > 0)
    // Who comes now isn't kept waiting by them.
    const late = await joined(ahead, [stretch(0, 50, 0, 0, 300_000)])
    assert.equal(late.get(0)?.length, 300_000)
    await Promise.all(stalled.map((windows) => windows.return(undefined)))
    assert.equal(ahead.bytesUsed, 0)
  })

  it('gives its memory back when a read fails, and when a reader leaves at any time', async () => {
    const { read } = landing()
    const failing = new ReadAhead(async function* (at, start, end) {
      if (at.segment === 2) throw new Error('unreadable')
      yield* read(at, start, end)
    })
    const windows = failing.windows([stretch(0, 1, 0, 0, 2 * MIB), stretch(1, 2, 0, 0, 2 * MIB)])
    assert.equal((await windows.next()).done, false)
    await assert.rejects(windows.next(), /unreadable/)
    assert.equal(failing.bytesUsed, 0)
    const left = failing.windows([stretch(0, 1, 0, 0, 2 * MIB), stretch(1, 2, 0, 0, 2 * MIB)])
    await left.next()
    await left.return(undefined)
    await failing.windows([stretch(0, 1, 0, 0, 9)]).return(undefined)
    assert.equal(failing.bytesUsed, 0)
  })

  it('leaves the list of what is wanted when its reader leaves', async () => {
    const { read } = landing()
    let left = false
    async function* wanted(): AsyncGenerator<Stretch<number>> {
      try {
        for (let n = 0; ; n++) yield stretch(n, 1, n * 1000, 0, 1000)
      } finally {
        left = true
      }
    }
    for await (const _ of new ReadAhead(read).windows(wanted())) break
    assert.ok(left)
  })
})

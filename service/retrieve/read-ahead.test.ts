import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { isPacked, type Location, type PackLocation } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import { ReadAhead, type Stretch } from './read-ahead.ts'

const MIB = 1024 * 1024

/** Segments by their numbers, packs by theirs and 1,000. */
const fileOf = (at: Location): number => (isPacked(at) ? 1000 + at.pack : at.segment)

/** A landing whose byte at an offset of a segment is a function of both; notes what is read. */
function landing() {
  const reads: { segment: number; from: number; bytes: number }[] = []
  const byteAt = (segment: number, at: number): number => (segment * 31 + at * 7 + (at >> 8)) & 0xff
  const bytesAt = (at: Location, start: number, end: number): Buffer =>
    Buffer.from(Uint8Array.from({ length: end - start }, (_, index) => byteAt(fileOf(at), at.offset + start + index)))
  async function* read(at: Location, start: number, end: number): AsyncGenerator<Buffer> {
    reads.push({ segment: fileOf(at), from: at.offset + start, bytes: end - start })
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

  it('reads neighbours of a pack together, and one by one where the file that has them both fails', async () => {
    const { reads, read, bytesAt } = landing()
    const packed = (n: number): Stretch<number> => ({
      owner: n,
      // In the pack they stand in another order than in the segment.
      location: { pack: 7, offset: 600_000 - n * 20_000, landed: { segment: 3, offset: n * 12_048 } },
      start: 0,
      end: 10_000,
    })
    const wanted = [0, 1, 2].map(packed)
    const fromLanding = await joined(new ReadAhead(read), wanted)
    assert.equal(reads.length, 1)
    const noLanding = new ReadAhead(async function* (at, start, end) {
      if (!isPacked(at)) throw new ArchiveError('storage_failed', 'no such segment')
      yield* read({ pack: at.pack, offset: at.offset }, start, end)
    })
    const fromPack = await joined(noLanding, wanted)
    for (const { owner, location } of wanted) {
      const { pack, offset, landed } = location as PackLocation
      assert.ok(fromLanding.get(owner)?.equals(bytesAt(landed as Location, 0, 10_000)))
      assert.ok(fromPack.get(owner)?.equals(bytesAt({ pack, offset }, 0, 10_000)))
    }
  })

  it('cuts what is larger than a window, and reads the next two windows before this one is done with', async () => {
    const { reads, read } = landing()
    const windows = new ReadAhead(read).windows([stretch(0, 1, 0, 0, 9 * MIB)])
    const { value } = await windows.next()
    assert.equal(value?.[0]?.bytes.length, 2 * MIB)
    await turn()
    assert.equal(reads.length, 3)
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
      if (fileOf(at) === 2) throw new Error('unreadable')
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

import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, mock, test } from 'node:test'
import fc from 'fast-check'
import { eventsOf, linesIn, makeLog, numberOf, openLog, SITE, segmentsIn, stored } from '../../test/property/events.ts'
import { failNth } from '../../test/property/file-handle.ts'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { EMPTY, type Head } from './event.ts'
import { peerFolder } from './files.ts'
import { PeerLog } from './peer-log.ts'
import { verifyLog } from './verify.ts'

const COUNT = 8

async function made() {
  const folder = tempDir('events')
  const heads = await makeLog(folder, COUNT)
  const copy = peerFolder(tempDir('events'), SITE)
  return { folder, heads, lines: linesIn(folder), copy, peer: await open(copy) }
}

const open = (folder: string, segmentBytes = 1500) => PeerLog.open({ folder, site: SITE, segmentBytes })
const bytesOf = (lines: readonly string[]): Buffer => Buffer.from(lines.join(''))

describe("another site's event log", () => {
  afterEach(() => mock.restoreAll())

  test('is kept byte for byte, whatever pieces it comes in', async () => {
    const { folder, heads, copy, peer } = await made()
    const log = await openLog(folder)
    for (let bytesMax = 1; peer.head.seq < COUNT; bytesMax += 600) {
      const before = peer.head.seq
      const lines = await log.lines(before, bytesMax)
      const outcome = await peer.import(lines)
      assert.deepEqual(outcome, { outcome: 'appended', events: peer.head.seq - before, head: peer.head })
      assert.ok(peer.head.seq > before)
    }
    assert.equal((await log.lines(COUNT)).length, 0)
    assert.deepEqual(peer.head, heads.at(-1))
    assert.deepEqual(linesIn(copy), linesIn(folder))
    assert.deepEqual((await eventsOf(peer)).map(numberOf), [1, 2, 3, 4, 5, 6, 7, 8])
    await peer.close()
    await log.close()
    assert.ok((await verifyLog(copy)).intact)
  })

  test('in any pieces, doubled, overlapping and out of order, it never becomes anything but a part of the log', async () => {
    const { lines, copy, peer } = await made()
    await peer.close()
    const piece = fc.tuple(fc.nat(COUNT - 1), fc.integer({ min: 1, max: COUNT }))
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 12 }), async (pieces) => {
        rmSync(copy, { recursive: true })
        const log = await open(copy)
        for (const [from, count] of pieces) {
          const before = log.head.seq
          const until = Math.min(COUNT, from + count)
          const { outcome } = await log.import(bytesOf(lines.slice(from, until)))
          assert.equal(outcome, from > before ? 'gap' : until <= before ? 'replay' : 'appended')
          assert.equal(log.head.seq, outcome === 'appended' ? until : before)
        }
        await log.close()
        assert.deepEqual(linesIn(copy), lines.slice(0, log.head.seq))
      }),
      { numRuns: 25 },
    )
  })

  test('a gap, a fork, damage and a stranger each get a clear answer, and change nothing', async () => {
    const { heads, lines, copy, peer } = await made()
    const [, , , fourth, fifth] = heads as [Head, Head, Head, Head, Head]
    await peer.import(bytesOf(lines.slice(0, 4)))
    const forkFolder = tempDir('events')
    const forkHeads = await makeLog(forkFolder, COUNT, { generation: 'g2' })
    const fork = linesIn(forkFolder)
    const strangerFolder = tempDir('events')
    await makeLog(strangerFolder, 5, { site: 'site-b' })
    const offer = async (...some: string[]) => peer.import(bytesOf(some))
    assert.deepEqual(await offer(...lines.slice(5)), { outcome: 'gap', head: fourth })
    assert.deepEqual(await offer(...lines.slice(1, 4)), { outcome: 'replay', head: fourth })
    assert.deepEqual(await offer(), { outcome: 'replay', head: fourth })
    assert.deepEqual(await offer(...fork), { outcome: 'fork', ours: heads[0], theirs: forkHeads[0] })
    assert.deepEqual(await offer(...fork.slice(2, 4)), { outcome: 'fork', ours: heads[2], theirs: forkHeads[2] })
    assert.deepEqual(await offer(...fork.slice(4)), { outcome: 'fork', ours: fourth, theirs: forkHeads[3] })
    for (const some of [
      [(lines[4] as string).slice(0, -1)],
      [(lines[4] as string).replace('dimse', 'DIMSE')],
      [lines[4], lines[6]],
      [lines[4], lines[4]],
      [lines[4], fork[5]],
      linesIn(strangerFolder).slice(4),
      ['\n'],
    ]) {
      const outcome = await offer(...(some as string[]))
      assert.equal(outcome.outcome, 'broken', JSON.stringify(some))
    }
    assert.deepEqual(peer.head, fourth)
    assert.deepEqual(linesIn(copy), lines.slice(0, 4))
    assert.deepEqual(await offer(lines[4] as string), { outcome: 'appended', events: 1, head: fifth })
    await assert.rejects(peer.import(Buffer.alloc(2 << 20)), RangeError)
    await peer.close()
  })

  test('calls at once are done one after the other', async () => {
    const { lines, copy, peer } = await made()
    const outcomes = await Promise.all(
      lines.flatMap((line) => [line, line]).map((line) => peer.import(bytesOf([line]))),
    )
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      lines.flatMap(() => ['appended', 'replay']),
    )
    await peer.close()
    assert.deepEqual(linesIn(copy), lines)
    await assert.rejects(peer.import(bytesOf(lines)), (error) => isArchiveError(error, 'unavailable'))
  })

  test('a disk that fails: it can be sent again', async () => {
    const { lines, copy, peer } = await made()
    await peer.import(bytesOf(lines.slice(0, 2)))
    failNth('datasync', 1, 'EIO')
    await assert.rejects(peer.import(bytesOf(lines.slice(2, 5))), (error) => isArchiveError(error, 'storage_failed'))
    assert.equal(peer.head.seq, 2)
    const { outcome } = await peer.import(bytesOf(lines))
    assert.equal(outcome, 'appended')
    await peer.close()
    const again = await open(copy)
    assert.deepEqual([again.trouble, again.head.seq], [undefined, COUNT])
    await again.close()
    assert.deepEqual(linesIn(copy), lines)
  })

  test('gives a restored site back what it has lost, after which its log goes on', async () => {
    const { folder, heads, lines, copy, peer } = await made()
    await peer.import(bytesOf(lines))
    const lost = segmentsIn(folder).slice(1)
    for (const name of lost) rmSync(join(folder, name))
    const known = peer.head
    const fenced = await openLog(folder, { known })
    assert.match(fenced.trouble ?? '', /old copy/)
    assert.ok(!(await fenced.has(known)))
    await fenced.close()
    const own = await open(folder)
    assert.equal((await own.import(await peer.lines(own.head.seq))).outcome, 'appended')
    await own.close()
    const log = await openLog(folder, { known, generation: 'g2' })
    assert.deepEqual([log.trouble, log.head], [undefined, heads.at(-1)])
    await log.append(stored(9))
    await log.close()
    assert.deepEqual(linesIn(folder).slice(0, COUNT), lines)
    assert.equal((await peer.import(bytesOf(linesIn(folder)))).outcome, 'appended')
    await peer.close()
    assert.equal(
      readFileSync(join(copy, segmentsIn(copy).at(-1) as string), 'utf8').includes('"generation":"g2"'),
      true,
    )
  })

  test('nothing is where nothing came', async () => {
    const { peer } = await made()
    assert.deepEqual(peer.head, EMPTY)
    assert.equal((await peer.lines(0)).length, 0)
    await peer.close()
    assert.throws(() => peerFolder('x', '../y'), RangeError)
  })
})

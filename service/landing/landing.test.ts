import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, mock, test } from 'node:test'
import { pseudoRandom } from '../../test/fixtures/random.ts'
import { all, bytesOf, inChunks, RECEIVED, SOURCE, sha256 } from '../../test/property/core.ts'
import { intercept } from '../../test/property/file-handle.ts'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { listSegments, segmentPath } from './files.ts'
import { Landing, type LandingOptions } from './landing.ts'
import { isIntact, scanSegment } from './scan.ts'
import { END_OF_SEGMENT, type Member } from './tar.ts'

const received = '2026-11-22T12:00:00.000Z'

/** Instance `n`; its bytes are no DICOM file, which the landing doesn't mind. */
function instance(n: number, sizeBytes = 1000 + n): { member: Member; bytes: Buffer } {
  const bytes = pseudoRandom(`landing/${n}`, sizeBytes)
  const note = { firn: 1 as const, sha256: sha256(bytes), received, source: SOURCE }
  return { member: { name: `1.2/1.3/1.4.${n}.dcm`, sizeBytes, note }, bytes }
}

const open = (folder: string, options: Partial<LandingOptions> = {}) =>
  Landing.open({ folder, lanes: 1, segmentBytes: 1 << 24, reserveBytes: 0, ...options })

const put = (landing: Landing, n: number, sizeBytes?: number) => {
  const { member, bytes } = instance(n, sizeBytes)
  return landing.append(member, [bytes.subarray(0, 10), bytes.subarray(10)])
}

/** Names of the intact members of a segment; anything else in it fails. */
async function membersOf(folder: string, segment: number): Promise<string[]> {
  const path = segmentPath(folder, segment)
  const names: string[] = []
  for (const { found } of await all(scanSegment(path))) {
    assert.ok(found && (await isIntact(path, found)))
    names.push(found.member.name)
  }
  return names
}

describe('landing', () => {
  afterEach(() => mock.restoreAll())

  test('many appends share a sync, keep their order, and read back as they came', async () => {
    const folder = tempDir('landing')
    const landing = await open(folder)
    const syncs = intercept('datasync', (original) => original())
    const done: number[] = []
    const places = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        put(landing, n).then((at) => {
          done.push(n)
          return at
        }),
      ),
    )
    assert.equal(syncs.mock.callCount(), 1)
    assert.deepEqual(
      done,
      Array.from({ length: 100 }, (_, n) => n),
    )
    for (const [n, at] of places.entries()) {
      const { bytes } = instance(n)
      assert.ok((await bytesOf(landing.read(at, 0, bytes.length))).equals(bytes), `instance ${n}`)
      assert.ok((await bytesOf(landing.read(at, 7, 99))).equals(bytes.subarray(7, 99)))
    }
    await landing.close()
    const listing = execFileSync('tar', ['-tf', segmentPath(folder, 1)], { encoding: 'utf8', stdio: 'pipe' })
    assert.deepEqual(
      listing.trim().split('\n'),
      places.map((_, n) => instance(n).member.name),
    )
  })

  test('nothing is acknowledged before its sync has returned', async () => {
    const landing = await open(tempDir('landing'))
    let allow = (): void => undefined
    const allowed = new Promise<void>((resolve) => {
      allow = resolve
    })
    const started = new Promise<void>((resolve) => {
      intercept('datasync', async (original) => {
        resolve()
        await allowed
        return original()
      })
    })
    let acknowledged = 0
    const work = [0, 1, 2].map((n) => put(landing, n).then(() => (acknowledged += 1)))
    await started
    // These gather behind the sync that is under way.
    work.push(...[3, 4].map((n) => put(landing, n).then(() => (acknowledged += 1))))
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    assert.equal(acknowledged, 0)
    allow()
    await Promise.all(work)
    assert.equal(acknowledged, 5)
    await landing.close()
  })

  test("a new segment's name is synced before anything in it is acknowledged", async () => {
    const landing = await open(tempDir('landing'))
    const order: string[] = []
    intercept('sync', (original) => original().then(() => order.push('folder')))
    intercept('datasync', (original) => original().then(() => order.push('data')))
    await put(landing, 1).then(() => order.push('acknowledged'))
    assert.deepEqual(order, ['folder', 'data', 'acknowledged'])
    await landing.close()
  })

  test('a batch is bounded, so that a small instance does not wait for hundreds of MB', async () => {
    const landing = await open(tempDir('landing'))
    const syncs = intercept('datasync', (original) => original())
    await Promise.all(Array.from({ length: 6 }, (_, n) => put(landing, n, 3 << 20)))
    assert.equal(syncs.mock.callCount(), 3)
    await landing.close()
  })

  test('segments roll, each a whole archive that is complete once all its entries are settled', async () => {
    const folder = tempDir('landing')
    const completed: number[] = []
    const landing = await open(folder, { segmentBytes: 20_000, onComplete: (segment) => completed.push(segment) })
    const places = []
    for (let n = 0; n < 20; n++) places.push(await put(landing, n, 4000))
    await landing.close()
    const segments = [...new Set(places.map(({ segment }) => segment))]
    assert.deepEqual(segments, [1, 2, 3, 4, 5, 6, 7])
    const names = []
    for (const segment of segments) {
      const path = segmentPath(folder, segment)
      assert.ok(readFileSync(path).subarray(-END_OF_SEGMENT.length).equals(END_OF_SEGMENT))
      execFileSync('tar', ['-tf', path], { stdio: 'pipe' })
      names.push(...(await membersOf(folder, segment)))
    }
    assert.deepEqual(
      names,
      places.map((_, n) => instance(n).member.name),
    )
    assert.deepEqual(completed, [])
    for (const at of places.slice(0, -1)) landing.settled(at)
    assert.deepEqual(completed, [1, 2, 3, 4, 5, 6])
    landing.settled(places.at(-1) as (typeof places)[0])
    assert.deepEqual(completed, [1, 2, 3, 4, 5, 6, 7])
  })

  test('lanes work side by side and lose nothing to each other', async () => {
    const folder = tempDir('landing')
    const landing = await open(folder, { lanes: 4, segmentBytes: 50_000 })
    const places = await Promise.all(Array.from({ length: 200 }, (_, n) => put(landing, n)))
    assert.ok(new Set(places.map(({ segment }) => segment)).size >= 4)
    assert.equal(new Set(places.map(({ segment, offset }) => `${segment}/${offset}`)).size, 200)
    for (const [n, at] of places.entries()) {
      const { bytes } = instance(n)
      assert.ok((await bytesOf(landing.read(at, 0, bytes.length))).equals(bytes), `instance ${n}`)
    }
    await landing.close()
  })

  test('a start removes unfinished streams and never appends to an old segment', async () => {
    const folder = tempDir('landing')
    const first = await open(folder)
    await put(first, 1)
    await first.close()
    const before = readFileSync(segmentPath(folder, 1))
    writeFileSync(`${segmentPath(folder, 2)}.partial`, 'half an instance')
    const second = await open(folder)
    assert.deepEqual(readdirSync(folder), ['0000000001.tar'])
    assert.deepEqual((await put(second, 2)).segment, 2)
    await second.close()
    assert.ok(readFileSync(segmentPath(folder, 1)).equals(before))
  })

  test('a range beyond the segment is an error, never a short read', async () => {
    const landing = await open(tempDir('landing'))
    const at = await put(landing, 1)
    const failed = (error: unknown) => isArchiveError(error, 'storage_failed')
    await assert.rejects(bytesOf(landing.read(at, 0, 1 << 20)), failed)
    await assert.rejects(bytesOf(landing.read({ segment: 77, offset: 0 }, 0, 1)), failed)
    assert.equal((await bytesOf(landing.read(at, 0, 1001))).length, 1001)
    await landing.close()
  })

  test('in reserve is refused, and nothing is written', async () => {
    const folder = tempDir('landing')
    const landing = await open(folder, { reserveBytes: Number.MAX_SAFE_INTEGER })
    const { member, bytes } = instance(1)
    const full = (error: unknown) => isArchiveError(error, 'out_of_space')
    await assert.rejects(put(landing, 1), full)
    await assert.rejects(landing.stream({ name: member.name, source: SOURCE }, inChunks(bytes), 1 << 20), full)
    assert.deepEqual(readdirSync(folder), [])
    await landing.close()
  })
})

describe('streaming into a segment of its own', () => {
  const { member, bytes } = instance(1, (3 << 20) + 17)
  const bytesMax = 1 << 23

  test('reads back as it came, and tar restores it', async () => {
    const folder = tempDir('landing')
    const completed: number[] = []
    const landing = await open(folder, { onComplete: (segment) => completed.push(segment) })
    const draft = await landing.stream({ name: member.name, source: SOURCE }, inChunks(bytes, 65_521), bytesMax)
    assert.deepEqual([draft.sha256, draft.sizeBytes], [member.note.sha256, bytes.length])
    assert.deepEqual(await listSegments(folder), [], 'a draft is no segment')
    const at = await draft.publish(RECEIVED)
    assert.ok((await bytesOf(landing.read(at, 0, bytes.length))).equals(bytes))
    assert.deepEqual(await membersOf(folder, at.segment), [member.name])
    execFileSync('tar', ['-xf', segmentPath(folder, at.segment)], { cwd: folder, stdio: 'pipe' })
    assert.ok(readFileSync(join(folder, member.name)).equals(bytes))
    assert.deepEqual(completed, [])
    landing.settled(at)
    assert.deepEqual(completed, [at.segment])
    await landing.close()
  })

  test('keeps nothing of a draft that is discarded, of too many bytes, or of a body cut short', async () => {
    const folder = tempDir('landing')
    const landing = await open(folder)
    await (await landing.stream({ name: member.name, source: SOURCE }, inChunks(bytes), bytesMax)).discard()
    const tooLarge = (error: unknown) => isArchiveError(error, 'too_large')
    await assert.rejects(
      landing.stream({ name: member.name, source: SOURCE }, inChunks(bytes), bytes.length - 1),
      tooLarge,
    )
    await assert.rejects(
      landing.stream({ name: member.name, source: SOURCE }, inChunks(bytes, 4096, 2 << 20), bytesMax),
    )
    assert.deepEqual(readdirSync(folder), [])
    assert.ok(
      await (await landing.stream({ name: member.name, source: SOURCE }, inChunks(bytes), bytes.length)).publish(
        RECEIVED,
      ),
    )
    await landing.close()
  })
})

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { afterEach, describe, mock, test } from 'node:test'
import { pseudoRandom } from '../../test/fixtures/random.ts'
import { all, bytesOf, inChunks, RECEIVED, SOURCE, sha256 } from '../../test/property/core.ts'
import { failNth, intercept, ioError } from '../../test/property/file-handle.ts'
import { tempDir } from '../../test/support/host.ts'
import { newSeed, Random } from '../../test/support/random.ts'
import type { LandingLocation } from '../catalogue/ports.ts'
import { ArchiveError, type ArchiveErrorCode, isArchiveError } from '../errors.ts'
import { listSegments, segmentPath } from './files.ts'
import { Landing } from './landing.ts'
import { isIntact, scanSegment } from './scan.ts'
import { ALIGNMENT_BYTES } from './slabs.ts'
import type { Member } from './tar.ts'

const received = '2026-11-22T12:00:00.000Z'
const bytesFor = (n: number, sizeBytes = 3000) => pseudoRandom(`faults/${n}`, sizeBytes)

function memberFor(n: number, bytes: Buffer): Member {
  const note = { firn: 1 as const, sha256: sha256(bytes), received, source: SOURCE }
  return { name: `1.2/1.3/1.4.${n}.dcm`, sizeBytes: bytes.length, note }
}

const open = (folder: string) => Landing.open({ folder, lanes: 1, segmentBytes: 1 << 24, reserveBytes: 0 })
const put = (landing: Landing, n: number, bytes = bytesFor(n)) => landing.append(memberFor(n, bytes), [bytes])
const refused = (code: ArchiveErrorCode) => (error: unknown) => isArchiveError(error, code)

async function assertReads(landing: Landing, at: LandingLocation, n: number, sizeBytes?: number): Promise<void> {
  const bytes = bytesFor(n, sizeBytes)
  assert.ok((await bytesOf(landing.read(at, 0, bytes.length))).equals(bytes), `instance ${n}`)
}

/** What a restart would find: names of intact members; anything else in the folder fails. */
async function visible(folder: string): Promise<string[]> {
  const segments = await listSegments(folder)
  assert.deepEqual(
    readdirSync(folder).sort(),
    segments.map((segment) => segmentPath('', segment).replace('/', '')),
  )
  const names: string[] = []
  for (const segment of segments) {
    const path = segmentPath(folder, segment)
    for (const { found } of await all(scanSegment(path))) {
      assert.ok(found && (await isIntact(path, found)), `segment ${segment}`)
      names.push(found.member.name)
    }
  }
  return names.sort()
}

const namesOf = (...numbers: number[]) => numbers.map((n) => `1.2/1.3/1.4.${n}.dcm`).sort()

describe('landing on a disk that fails', () => {
  afterEach(() => mock.restoreAll())

  for (const call of ['writev', 'datasync'] as const) {
    test(`${call} fails with EIO: that batch is refused, what was acknowledged stays, the next works`, async () => {
      const folder = tempDir('faults')
      const landing = await open(folder)
      const first = await put(landing, 1)
      failNth(call, 1, 'EIO')
      const batch = await Promise.allSettled([put(landing, 2), put(landing, 3)])
      for (const one of batch) assert.ok(one.status === 'rejected' && refused('storage_failed')(one.reason))
      const after = await put(landing, 4)
      assert.notEqual(after.segment, first.segment, 'a second sync may lie about pages that the first one lost')
      await assertReads(landing, first, 1)
      await assertReads(landing, after, 4)
      mock.restoreAll()
      await landing.close()
      assert.deepEqual(await visible(folder), namesOf(1, 4))
    })
  }

  test('a full disk refuses what does not fit, and takes the others of the batch', async () => {
    const folder = tempDir('faults')
    const landing = await open(folder)
    const first = await put(landing, 1)
    intercept('writev', (original, [buffers]) => {
      const bytes = (buffers as Buffer[]).reduce((sum, one) => sum + one.length, 0)
      return bytes > 50_000 ? Promise.reject(ioError('ENOSPC')) : original()
    })
    const sizes = [3000, 60_000, 3000]
    const batch = await Promise.allSettled(sizes.map((size, i) => put(landing, 2 + i, bytesFor(2 + i, size))))
    const [small, large, other] = batch
    assert.ok(large?.status === 'rejected' && refused('out_of_space')(large.reason))
    assert.ok(small?.status === 'fulfilled' && other?.status === 'fulfilled')
    await assertReads(landing, first, 1)
    await assertReads(landing, small.value, 2)
    await assertReads(landing, other.value, 4)
    mock.restoreAll()
    await landing.close()
    assert.deepEqual(await visible(folder), namesOf(1, 2, 4))
  })

  test('writes that come to less than asked for are gone on with', async () => {
    const folder = tempDir('faults')
    const landing = await open(folder)
    const random = new Random(7)
    intercept('writev', (_original, [buffers, position], again) => {
      const [bytes] = buffers as [Buffer]
      return again([bytes.subarray(0, ALIGNMENT_BYTES * random.between(1, bytes.length / ALIGNMENT_BYTES))], position)
    })
    const places = await Promise.all([1, 2, 3].map((n) => put(landing, n)))
    mock.restoreAll()
    for (const [index, at] of places.entries()) await assertReads(landing, at, index + 1)
    await landing.close()
    assert.deepEqual(await visible(folder), namesOf(1, 2, 3))
  })

  test('half a batch on disk is cut off when the rest of it fails', async () => {
    const folder = tempDir('faults')
    const landing = await open(folder)
    const first = await put(landing, 1)
    let calls = 0
    intercept('writev', (_original, [buffers, position], again) => {
      calls += 1
      const [bytes] = buffers as [Buffer]
      return calls === 1 ? again([bytes.subarray(0, ALIGNMENT_BYTES)], position) : Promise.reject(ioError('EIO'))
    })
    await assert.rejects(put(landing, 2), refused('storage_failed'))
    mock.restoreAll()
    assert.equal(statSync(segmentPath(folder, first.segment)).size, 2 * ALIGNMENT_BYTES)
    await landing.close()
    assert.deepEqual(await visible(folder), namesOf(1))
  })

  test('a segment that cannot be made refuses its batch only', async () => {
    const folder = tempDir('faults')
    const landing = await open(folder)
    mkdirSync(segmentPath(folder, 1))
    await assert.rejects(put(landing, 1), refused('storage_failed'))
    rmdirSync(segmentPath(folder, 1))
    failNth('sync', 1, 'ENOSPC')
    await assert.rejects(put(landing, 2), refused('out_of_space'))
    const at = await put(landing, 3)
    await assertReads(landing, at, 3)
    mock.restoreAll()
    await landing.close()
    assert.deepEqual(await visible(folder), namesOf(3))
  })

  for (const [call, code, expected] of [
    ['sync', 'EIO', 'storage_failed'],
    ['writev', 'ENOSPC', 'out_of_space'],
    ['writev', 'EIO', 'storage_failed'],
    ['datasync', 'EDQUOT', 'out_of_space'],
  ] as const) {
    test(`a streamed instance whose ${call} fails with ${code} leaves nothing`, async () => {
      const folder = tempDir('faults')
      const landing = await open(folder)
      const bytes = bytesFor(1, 3 << 20)
      const stream = async () =>
        (await landing.stream({ name: memberFor(1, bytes).name, source: SOURCE }, inChunks(bytes), 1 << 23)).publish(
          RECEIVED,
        )
      failNth(call, 1, code)
      await assert.rejects(stream(), refused(expected))
      assert.deepEqual(await listSegments(folder), [])
      await assertReads(landing, await stream(), 1, bytes.length)
      await landing.close()
    })
  }

  test('under any faults exactly the acknowledged instances survive', async () => {
    const random = new Random(newSeed())
    const folder = tempDir('faults')
    const landing = await open(folder)
    const calls = ['writev', 'datasync', 'sync'] as const
    for (const call of calls) {
      intercept(call, (original) =>
        random.below(8) === 0 ? Promise.reject(ioError(random.pick(['EIO', 'ENOSPC']))) : original(),
      )
    }
    const acknowledged = new Map<number, LandingLocation>()
    for (let round = 0; round < 60; round++) {
      const batch = Array.from({ length: random.between(1, 5) }, (_, i) => round * 10 + i)
      await Promise.all(
        batch.map(async (n) => {
          await put(landing, n).then(
            (at) => acknowledged.set(n, at),
            (error) => assert.ok(error instanceof ArchiveError, `seed ${random.seed}: ${error}`),
          )
        }),
      )
    }
    mock.restoreAll()
    assert.ok(acknowledged.size > 40, `seed ${random.seed}: only ${acknowledged.size}`)
    for (const [n, at] of acknowledged) await assertReads(landing, at, n)
    await landing.close()
    assert.deepEqual(await visible(folder), namesOf(...acknowledged.keys()), `seed ${random.seed}`)
  })
})

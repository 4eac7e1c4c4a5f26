import assert from 'node:assert/strict'
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, mock, test } from 'node:test'
import { eventsOf, makeLog, numberOf, openLog, segmentsIn, stored, tornIn } from '../../test/property/events.ts'
import { type FileCall, failNth, intercept, ioError } from '../../test/property/file-handle.ts'
import { tempDir } from '../../test/support/host.ts'
import { newSeed, Random } from '../../test/support/random.ts'
import { ArchiveError, type ArchiveErrorCode, isArchiveError } from '../errors.ts'
import { EventOutcomeUnknown } from './chain.ts'
import type { EventLog } from './log.ts'
import { verifyLog } from './verify.ts'

const refused = (code: ArchiveErrorCode) => (error: unknown) =>
  isArchiveError(error, code) && !(error instanceof EventOutcomeUnknown)
const put = (log: EventLog, n: number) => log.append(stored(n))

/** What a restart finds: an intact chain of exactly these. */
async function assertHolds(folder: string, numbers: readonly number[]): Promise<void> {
  const { intact, chains } = await verifyLog(folder)
  assert.ok(intact, JSON.stringify(chains))
  const log = await openLog(folder)
  assert.equal(log.trouble, undefined)
  assert.deepEqual((await eventsOf(log)).map(numberOf), numbers)
  await log.close()
}

describe('event log on a disk that fails', () => {
  afterEach(() => mock.restoreAll())

  for (const [call, code, expected] of [
    ['write', 'EIO', 'storage_failed'],
    ['write', 'ENOSPC', 'out_of_space'],
    ['datasync', 'EIO', 'storage_failed'],
    ['datasync', 'EDQUOT', 'out_of_space'],
  ] as const) {
    test(`${call} fails with ${code}: that batch is refused, its place taken by the next, in a new file`, async () => {
      const folder = tempDir('events')
      const log = await openLog(folder)
      await put(log, 1)
      failNth(call, 1, code)
      const batch = await Promise.allSettled([put(log, 2), put(log, 3)])
      for (const one of batch) assert.ok(one.status === 'rejected' && refused(expected)(one.reason))
      assert.equal(log.head.seq, 1)
      const [after] = await put(log, 4)
      assert.equal(after?.seq, 2)
      assert.deepEqual((await eventsOf(log)).map(numberOf), [1, 4])
      mock.restoreAll()
      await log.close()
      assert.deepEqual(segmentsIn(folder), ['0000000001.jsonl', '0000000002.jsonl'])
      await assertHolds(folder, [1, 4])
    })
  }

  test('the first batch of a file fails: nothing of it is left, and the file is used by the next', async () => {
    for (const call of ['write', 'datasync', 'sync'] as const) {
      const folder = tempDir('events')
      const log = await openLog(folder)
      failNth(call, 1, 'EIO')
      await assert.rejects(put(log, 1), refused('storage_failed'))
      await put(log, 2)
      mock.restoreAll()
      await log.close()
      await assertHolds(folder, [2])
    }
  })

  test('a file that cannot be made refuses its batch only', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder)
    const path = join(folder, '0000000001.jsonl')
    mkdirSync(path)
    await assert.rejects(put(log, 1), refused('storage_failed'))
    rmdirSync(path)
    await put(log, 2)
    await log.close()
    await assertHolds(folder, [2])
  })

  test('writes that come to less than asked for are gone on with', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder)
    const random = new Random(7)
    intercept('write', (_original, [buffer, offset, length], again) =>
      again(buffer, offset, random.between(1, length as number)),
    )
    await Promise.all([1, 2, 3].map((n) => put(log, n)))
    mock.restoreAll()
    await log.close()
    await assertHolds(folder, [1, 2, 3])
  })

  test('half a batch on disk is cut off when the rest of it fails', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder)
    await put(log, 1)
    let calls = 0
    intercept('write', (_original, [buffer, offset], again) => {
      calls += 1
      return calls === 1 ? again(buffer, offset, 700) : Promise.reject(ioError('EIO'))
    })
    const batch = await Promise.allSettled([put(log, 2), put(log, 3)])
    assert.ok(batch.every(({ status }) => status === 'rejected'))
    mock.restoreAll()
    await log.close()
    await assertHolds(folder, [1])
    assert.deepEqual(tornIn(folder), [])
  })

  for (const call of ['truncate', 'datasync'] as const) {
    test(`${call} fails when a batch is taken back: the outcome is unknown, and known after a restart`, async () => {
      const folder = tempDir('events')
      const log = await openLog(folder)
      await put(log, 1)
      intercept(call, () => Promise.reject(ioError('EIO')))
      if (call === 'truncate') failNth('datasync', 1, 'EIO')
      await assert.rejects(put(log, 2), (error) => error instanceof EventOutcomeUnknown && error.retry === 'reconcile')
      mock.restoreAll()
      assert.equal(log.head.seq, 1)
      assert.deepEqual((await eventsOf(log)).map(numberOf), [1])
      await assert.rejects(put(log, 3), refused('unavailable'))
      assert.match(log.trouble ?? '', /in doubt/)
      await log.close()
      const again = await openLog(folder)
      const left = (await eventsOf(again)).map(numberOf)
      assert.deepEqual(left, call === 'truncate' ? [1, 2] : [1])
      await put(again, 4)
      await again.close()
      await assertHolds(folder, [...left, 4])
    })
  }

  test('an end that cannot be synced at the start is not gone on from', async () => {
    const folder = tempDir('events')
    await makeLog(folder, 2)
    intercept('datasync', () => Promise.reject(ioError('EIO')))
    await assert.rejects(openLog(folder), /EIO/)
    mock.restoreAll()
    await assertHolds(folder, [1, 2])
  })

  test('under any faults exactly the acknowledged events are in the log, in their order', async () => {
    const random = new Random(newSeed())
    const folder = tempDir('events')
    let log = await openLog(folder, { segmentBytes: 8000 })
    const acknowledged = new Map<number, number>()
    const doubtful = new Map<number, number>()
    const faulty = (): void => {
      for (const call of ['write', 'datasync', 'sync', 'truncate'] satisfies FileCall[]) {
        intercept(call, (original) =>
          random.below(10) === 0 ? Promise.reject(ioError(random.pick(['EIO', 'ENOSPC']))) : original(),
        )
      }
    }
    faulty()
    for (let round = 0; round < 80; round++) {
      const batch = Array.from({ length: random.between(1, 5) }, (_, i) => round * 10 + i)
      const next = log.head.seq + 1
      await Promise.all(
        batch.map((n, i) =>
          put(log, n).then(
            ([at]) => acknowledged.set(at?.seq ?? 0, n),
            (error) => {
              assert.ok(error instanceof ArchiveError, `seed ${random.seed}: ${error}`)
              if (error instanceof EventOutcomeUnknown) doubtful.set(next + i, n)
            },
          ),
        ),
      )
      if (log.trouble === undefined) continue
      mock.restoreAll()
      await log.close()
      log = await openLog(folder, { segmentBytes: 8000 })
      assert.equal(log.trouble, undefined, `seed ${random.seed}`)
      for (const [seq, n] of doubtful) if (seq <= log.head.seq) acknowledged.set(seq, n)
      doubtful.clear()
      faulty()
    }
    mock.restoreAll()
    await log.close()
    assert.ok(acknowledged.size > 60, `seed ${random.seed}: only ${acknowledged.size}`)
    const inOrder = [...acknowledged].sort(([a], [b]) => a - b).map(([, n]) => n)
    await assertHolds(folder, inOrder)
  })
})

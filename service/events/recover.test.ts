import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, mock, test } from 'node:test'
import {
  eventsOf,
  linesIn,
  makeLog,
  numberOf,
  openLog,
  segmentsIn,
  stored,
  tornIn,
} from '../../test/property/events.ts'
import { failNth, intercept } from '../../test/property/file-handle.ts'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import type { Head } from './event.ts'
import { verifyLog } from './verify.ts'

const ALL = { segmentBytes: 1 << 20 }
const FIRST = '0000000001.jsonl'

/** A log of three events in one file. */
async function threeEvents() {
  const folder = tempDir('events')
  const heads = await makeLog(folder, 3, ALL)
  const path = join(folder, FIRST)
  return { folder, heads, path, bytes: readFileSync(path) }
}

/** Some places in so many bytes, among them the last ones. */
const places = (bytes: number): number[] =>
  Array.from({ length: bytes }, (_, at) => at).filter((at) => at % 37 === 0 || at > bytes - 5)

/** Opens for reading only, and changes nothing. */
async function assertTrouble(folder: string, pattern: RegExp, known?: Head): Promise<void> {
  const before = linesIn(folder).join('')
  const log = await openLog(folder, known ? { known } : {})
  assert.match(log.trouble ?? '', pattern)
  await assert.rejects(log.append(stored(99)), (error) => isArchiveError(error, 'unavailable'))
  await log.close()
  assert.equal(linesIn(folder).join(''), before)
  assert.deepEqual(tornIn(folder), [])
}

/** Opens, goes on, and is intact. */
async function assertGoesOn(folder: string, events: number): Promise<void> {
  const log = await openLog(folder)
  assert.equal(log.trouble, undefined)
  assert.equal(log.head.seq, events)
  await log.append(stored(events + 1))
  assert.deepEqual(
    (await eventsOf(log)).map(numberOf),
    Array.from({ length: events + 1 }, (_, n) => n + 1),
  )
  await log.close()
  assert.ok((await verifyLog(folder)).intact)
}

describe('event log after a crash', () => {
  afterEach(() => mock.restoreAll())

  test('cut at any byte: whole events stay, the piece of one is set aside', async () => {
    const { folder, path, bytes } = await threeEvents()
    for (const at of places(bytes.length + 1)) {
      for (const name of [...segmentsIn(folder), ...tornIn(folder)]) rmSync(join(folder, name))
      writeFileSync(path, bytes.subarray(0, at))
      const whole = bytes.subarray(0, at).filter((byte) => byte === 0x0a).length
      const rest = bytes.subarray(bytes.subarray(0, at).lastIndexOf(0x0a) + 1, at)
      await assertGoesOn(folder, whole)
      const torn = tornIn(folder)
      assert.equal(torn.length, rest.length > 0 ? 1 : 0, `cut at ${at}`)
      for (const name of torn) assert.ok(readFileSync(join(folder, name)).equals(rest))
    }
  })

  test('a hole in place of a batch that never came is set aside too', async () => {
    const { folder, path } = await threeEvents()
    appendFileSync(path, Buffer.concat([Buffer.alloc(700), Buffer.from('"the":"end"}\n')]))
    await assertGoesOn(folder, 3)
    assert.equal(tornIn(folder).length, 1)
  })

  test('a piece in a new file leaves that file to whatever comes next', async () => {
    const folder = tempDir('events')
    await makeLog(folder, 3)
    assert.deepEqual(segmentsIn(folder), [FIRST])
    writeFileSync(join(folder, '0000000004.jsonl'), '{"actor":{"from":""')
    await assertGoesOn(folder, 3)
    assert.deepEqual(segmentsIn(folder), [FIRST, '0000000004.jsonl'])
    assert.equal(tornIn(folder).length, 1)
  })

  test('torn twice at one place: both pieces are kept', async () => {
    const { folder, path } = await threeEvents()
    for (const piece of ['{"actor":1', '{"actor":22']) {
      appendFileSync(path, piece)
      await (await openLog(folder)).close()
    }
    assert.equal(tornIn(folder).length, 2)
  })

  test('a tail that could not be saved is not cut off', async () => {
    const { folder, path, bytes } = await threeEvents()
    appendFileSync(path, '{"actor":1')
    // The first sync is that of the log's own name; the others are those of the copy and of its name.
    for (const nth of [2, 3]) {
      failNth('sync', nth, 'ENOSPC')
      await assert.rejects(openLog(folder), /ENOSPC/)
      mock.restoreAll()
      assert.equal(statSync(path).size, bytes.length + 10)
    }
    await assertGoesOn(folder, 3)
  })

  test('the last batch is written and synced once more before anything is chained to it', async () => {
    const { folder, bytes } = await threeEvents()
    const written: Buffer[] = []
    let synced = false
    intercept('write', (original, [buffer]) => {
      written.push(Buffer.from(buffer as Buffer))
      return original()
    })
    intercept('datasync', (original) => {
      synced = true
      return original()
    })
    const log = await openLog(folder)
    assert.ok(Buffer.concat(written).equals(bytes))
    assert.ok(synced)
    await log.close()
  })
})

describe('event log that was damaged', () => {
  test('any byte of the last file changed: it opens for reading only, up to the damage', async () => {
    const { folder, path, bytes } = await threeEvents()
    for (const at of places(bytes.length)) {
      const changed = Buffer.from(bytes)
      changed.writeUInt8(bytes.readUInt8(at) ^ 0x01, at)
      writeFileSync(path, changed)
      await assertTrouble(folder, /0000000001[.]jsonl, byte \d+: .*`firn events verify`/)
      const log = await openLog(folder)
      assert.equal(log.head.seq, bytes.subarray(0, at).filter((byte) => byte === 0x0a).length)
      assert.equal((await eventsOf(log)).length, log.head.seq)
      await log.close()
    }
  })

  test('a hole in front of whole lines is no torn append', async () => {
    const { folder, path, bytes } = await threeEvents()
    const end = bytes.indexOf(0x0a) + 1
    const hole = Buffer.alloc(bytes.indexOf(0x0a, end) - end)
    writeFileSync(path, Buffer.concat([bytes.subarray(0, end), hole, bytes.subarray(end + hole.length)]))
    await assertTrouble(folder, /0000000001[.]jsonl, byte \d+/)
  })

  test('damage that a start does not see is found by whoever reads', async () => {
    const folder = tempDir('events')
    const heads = await makeLog(folder, 8)
    const path = join(folder, FIRST)
    const bytes = readFileSync(path)
    const assertUnreadable = async (before: number, pattern: RegExp): Promise<void> => {
      const log = await openLog(folder)
      assert.equal(log.trouble, undefined)
      const seen: number[] = []
      const failed = (error: unknown) => isArchiveError(error, 'storage_failed') && pattern.test(error.message)
      await assert.rejects(
        log.project({ after: 0, handle: async (some) => void seen.push(...some.map(numberOf)) }),
        failed,
      )
      assert.deepEqual(seen, [1, 2, 3].slice(0, before))
      assert.ok(await log.has(heads[5] as Head))
      await assert.rejects(log.has(heads[1] as Head), failed)
      await log.close()
    }
    bytes.write('#', bytes.indexOf(0x0a) + 100)
    writeFileSync(path, bytes)
    await assertUnreadable(1, /0000000001[.]jsonl: after event 1: it is not/)
    rmSync(path)
    await assertUnreadable(0, /0000000004[.]jsonl: after event 0: event 4 comes next|events 2 to 2 are missing/)
    const log = await openLog(folder, { known: heads[1] as Head })
    assert.match(log.trouble ?? '', /can't be read/)
    await log.close()
  })

  test('a line of the last file is missing', async () => {
    const { folder, path } = await threeEvents()
    const [one, , three] = linesIn(folder)
    writeFileSync(path, `${one}${three}`)
    await assertTrouble(folder, /event 2 should come before 3/)
  })

  test('a file in the middle, or the end of one, is missing', async () => {
    const folder = tempDir('events')
    await makeLog(folder, 8)
    const [, middle = ''] = segmentsIn(folder).map((name) => join(folder, name))
    const bytes = readFileSync(middle)
    truncateSync(middle, bytes.length - 5)
    await assertTrouble(folder, /does not end with an event/)
    truncateSync(middle, bytes.indexOf(0x0a) + 1)
    await assertTrouble(folder, /follows event 4/)
    rmSync(middle)
    await assertTrouble(folder, /follows event 3/)
    writeFileSync(middle, bytes)
    renameSync(middle, join(folder, '0000000005.jsonl'))
    await assertTrouble(await renamedLast(), /0000000004[.]jsonl follows event 2/)
  })

  test('a log that lacks what is known was cut, or is an old copy', async () => {
    const folder = tempDir('events')
    const heads = await makeLog(folder, 8)
    const known = heads[7] as Head
    rmSync(join(folder, '0000000007.jsonl'))
    await assertTrouble(folder, /lacks event 8/, known)
    await assertTrouble(folder, /lacks event 2 /, { seq: 2, hash: known.hash })
    const log = await openLog(folder, { known: heads[5] as Head })
    assert.equal(log.trouble, undefined)
    await log.close()
  })

  test("another site's log is not gone on with", async () => {
    const { folder } = await threeEvents()
    const log = await openLog(folder, { site: 'site-b' })
    assert.match(log.trouble ?? '', /it is of site site-a, not site-b/)
    await log.close()
  })
})

/** The last of two files has the wrong name. */
async function renamedLast(): Promise<string> {
  const folder = tempDir('events')
  await makeLog(folder, 2, ALL)
  const log = await openLog(folder)
  await log.append(stored(3))
  await log.close()
  renameSync(join(folder, '0000000003.jsonl'), join(folder, '0000000004.jsonl'))
  return folder
}

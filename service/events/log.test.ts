import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, mock, test } from 'node:test'
import { all, sha256 } from '../../test/property/core.ts'
import {
  eventsOf,
  linesIn,
  makeLog,
  numberOf,
  openLog,
  SITE,
  segmentsIn,
  started,
  stored,
} from '../../test/property/events.ts'
import { intercept } from '../../test/property/file-handle.ts'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { canonical, type Json } from './canonical.ts'
import { type Event, GENESIS, SYSTEM } from './event.ts'
import { type KnownEvent, known } from './kinds.ts'
import { verifyLog } from './verify.ts'

const first = async (events: AsyncIterable<Event>): Promise<Event | undefined> => (await all(events))[0]

describe('event log', () => {
  afterEach(() => mock.restoreAll())

  test('numbers events from 1 and chains each to the one before', async () => {
    const log = await openLog(tempDir('events'))
    assert.deepEqual(log.head, { seq: 0, hash: GENESIS })
    const places = await log.append(stored(1), stored(2))
    places.push(...(await log.append(stored(3))))
    const events = await eventsOf(log)
    assert.deepEqual(events.map(numberOf), [1, 2, 3])
    assert.deepEqual(
      events.map(({ seq, hash }) => ({ seq, hash })),
      places,
    )
    assert.deepEqual(
      events.map(({ prev }) => prev),
      [GENESIS, places[0]?.hash, places[1]?.hash],
    )
    assert.deepEqual(log.head, places[2])
    await log.close()
  })

  test('a line is canonical JSON, and its hash the SHA-256 of the line without it', async () => {
    const folder = tempDir('events')
    await makeLog(folder, 2)
    for (const line of linesIn(folder)) {
      const event = JSON.parse(line)
      assert.equal(`${canonical(event)}\n`, line)
      const { hash, ...rest } = event
      assert.equal(sha256(Buffer.from(canonical(rest))), hash)
      assert.deepEqual([event.site, event.generation], [SITE, 'g1'])
      assert.match(event.at, /^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/)
    }
  })

  test('many at once come in the order of their calls, with few syncs', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder)
    let syncs = 0
    intercept('datasync', (original) => {
      syncs += 1
      return original()
    })
    const places = await Promise.all(Array.from({ length: 300 }, (_, n) => log.append(stored(n))))
    assert.deepEqual(
      places.flat().map(({ seq }) => seq),
      Array.from({ length: 300 }, (_, n) => n + 1),
    )
    assert.ok(syncs <= 3, `${syncs} syncs`)
    const events = await eventsOf(log)
    assert.deepEqual(
      events.map(numberOf),
      Array.from({ length: 300 }, (_, n) => n),
    )
    await log.close()
  })

  test('nothing is acknowledged, or read by anyone, before its sync', async () => {
    const log = await openLog(tempDir('events'))
    await log.append(stored(1))
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let reached = (): void => undefined
    const syncing = new Promise<void>((resolve) => {
      reached = resolve
    })
    intercept('datasync', async (original) => {
      reached()
      await held
      return original()
    })
    let acknowledged = false
    const appended = log.append(stored(2)).then(() => {
      acknowledged = true
    })
    await syncing
    assert.equal(acknowledged, false)
    assert.equal(log.head.seq, 1)
    assert.equal((await eventsOf(log)).length, 1)
    release()
    await appended
    assert.equal((await eventsOf(log)).length, 2)
    await log.close()
  })

  test('goes on after a restart, in a new file; the chain spans all of them', async () => {
    const folder = tempDir('events')
    const heads = await makeLog(folder, 8)
    const before = segmentsIn(folder)
    assert.deepEqual(before, ['0000000001.jsonl', '0000000004.jsonl', '0000000007.jsonl'])
    const sealed = before.map((name) => readFileSync(join(folder, name), 'utf8'))
    const log = await openLog(folder)
    assert.deepEqual(
      log.sealed,
      before.slice(0, 2).map((name) => join(folder, name)),
    )
    assert.equal(log.trouble, undefined)
    assert.deepEqual(log.head, heads.at(-1))
    assert.deepEqual(segmentsIn(folder), before, 'a start alone writes nothing')
    await log.append(stored(9))
    assert.deepEqual((await eventsOf(log)).map(numberOf), [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert.equal(log.sealed.length, 3)
    await log.close()
    assert.deepEqual(segmentsIn(folder), [...before, '0000000009.jsonl'])
    assert.deepEqual(
      before.map((name) => readFileSync(join(folder, name), 'utf8')),
      sealed,
    )
    assert.ok((await verifyLog(folder)).intact)
  })

  test('reads from any event on, found without reading what is before it', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder, { segmentBytes: 300_000 })
    for (let n = 0; n < 10; n++) {
      await log.append(...Array.from({ length: 300 }, (_, i) => stored(n * 300 + i + 1, '1.2.3'.repeat(1 + (i % 20)))))
    }
    assert.ok(segmentsIn(folder).length > 3)
    for (const after of [0, 1, 299, 300, 301, 1234, 2345, 2999]) {
      assert.equal((await first(log.read({ after, limit: 1 })))?.seq, after + 1)
      const some = await all(log.read({ after, limit: 700 }))
      assert.deepEqual(
        some.map(({ seq }) => seq),
        Array.from({ length: Math.min(700, 3000 - after) }, (_, n) => after + n + 1),
      )
    }
    assert.deepEqual(await all(log.read({ after: 3000 })), [])
    assert.deepEqual(await all(log.read({ after: 5000 })), [])
    let reads = 0
    const probe = intercept('read', (original) => {
      reads += 1
      return original()
    })
    await first(log.read({ after: 2345, limit: 1 }))
    assert.ok(reads > 0 && reads < 12, `${reads} reads`)
    probe.mock.restore()
    await log.close()
  })

  test('has() knows its own events from those of another history', async () => {
    const folder = tempDir('events')
    const heads = await makeLog(folder, 8)
    const other = await makeLog(tempDir('events'), 8, { generation: 'g2' })
    const log = await openLog(folder)
    assert.ok(await log.has({ seq: 0, hash: GENESIS }))
    for (const head of heads) assert.ok(await log.has(head))
    for (const head of other) assert.ok(!(await log.has(head)))
    assert.ok(!(await log.has({ seq: 9, hash: heads[7]?.hash ?? '' })))
    await log.close()
  })

  test('what is no event is refused before anything is written, and concerns nobody else', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder)
    const good = stored(1)
    const bad = [
      { ...good, kind: 'instance.invented' },
      { ...good, data: { ...good.data, sizeBytes: 1.5 } },
      { ...good, data: { ...good.data, more: 1 } },
      { ...good, data: {} },
      { ...good, actor: { name: 'x' } },
      { ...good, actor: { ...good.actor, name: '\ud800' } },
      { ...good, subject: { study: 'x'.repeat(300) } },
      { ...good, subject: { 'no key': 'x' } },
      {
        kind: 'store.added',
        actor: SYSTEM,
        subject: {},
        data: { adapter: 'x', tier: 'y', capabilities: { big: 'x'.repeat(300_000) } },
      },
    ] as KnownEvent[]
    const refused = bad.map((one) => assert.rejects(log.append(one)))
    await Promise.all([...refused, log.append(good), assert.rejects(log.append(good, bad[0] as KnownEvent))])
    assert.deepEqual((await eventsOf(log)).map(numberOf), [1])
    assert.deepEqual(await log.append(), [])
    await log.close()
    await assert.rejects(log.append(good), (error) => isArchiveError(error, 'unavailable'))
    for (const site of ['../x', '', 'a b']) await assert.rejects(openLog(folder, { site }), RangeError)
  })

  test('whatever it takes it gives back, however deep', async () => {
    const log = await openLog(tempDir('events'))
    const taken: unknown[] = []
    for (let depth = 8; depth < 20; depth++) {
      const inputs = { x: Array.from({ length: depth }).reduce((inner) => [inner], depth as Json) as Json }
      const data = { rule: 'r', policy: 'p', inputs }
      await log.append({ kind: 'retention.decided', actor: SYSTEM, subject: {}, data }).then(
        () => taken.push(inputs),
        (error) => assert.ok(error instanceof RangeError),
      )
    }
    assert.ok(taken.length > 2 && taken.length < 10)
    const events = await eventsOf(log)
    assert.deepEqual(
      events.map(({ data }) => data.inputs),
      taken,
    )
    await log.close()
  })

  test('members that are undefined are left out', async () => {
    const log = await openLog(tempDir('events'))
    await log.append({ ...started, subject: { study: undefined, site: 'b' } as never })
    const [event] = await eventsOf(log)
    assert.deepEqual(event?.subject, { site: 'b' })
    await log.close()
  })

  test('kinds that are known are typed, others can be read all the same', async () => {
    const log = await openLog(tempDir('events'))
    await log.append(stored(1))
    const [event] = await eventsOf(log)
    assert.ok(event)
    const typed = known(event)
    assert.ok(typed?.kind === 'instance.stored' && typed.data.sizeBytes === 1)
    assert.ok(known({ ...event, data: { ...event.data, newer: 1 } }), 'a newer version adds a member')
    assert.equal(known({ ...event, kind: 'instance.dreamt' }), undefined)
    assert.equal(known({ ...event, data: {} }), undefined)
    await log.close()
  })

  test('close finishes what was appended', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder)
    const appended = log.append(stored(1))
    await log.close()
    assert.equal(log.head.seq, 1)
    assert.deepEqual(await appended, [log.head])
    assert.equal(linesIn(folder).length, 1)
  })

  test('a log that nobody wrote to is an empty one', async () => {
    const folder = join(tempDir('events'), 'events')
    const log = await openLog(folder)
    assert.deepEqual(await eventsOf(log), [])
    await log.close()
    assert.ok(existsSync(folder))
    assert.deepEqual(segmentsIn(folder), [])
  })
})

describe('projection of the event log', () => {
  test('gets every event once, in order, those to come too, and ends at close', async () => {
    const folder = tempDir('events')
    await makeLog(folder, 10)
    const log = await openLog(folder)
    const seen: number[] = []
    let most = 0
    let enough = (): void => undefined
    const until = new Promise<void>((resolve) => {
      enough = resolve
    })
    const projecting = log.project({
      after: 4,
      batchMax: 3,
      handle: async (events) => {
        await new Promise(setImmediate)
        most = Math.max(most, events.length)
        seen.push(...events.map(({ seq }) => seq))
        if (seen.at(-1) === 30) enough()
      },
    })
    for (let n = 11; n <= 30; n++) await log.append(stored(n))
    await until
    await log.close()
    await projecting
    assert.deepEqual(
      seen,
      Array.from({ length: 26 }, (_, n) => n + 5),
    )
    assert.equal(most, 3)
  })

  test('ends at the head where it is not to follow, and at its signal', async () => {
    const folder = tempDir('events')
    await makeLog(folder, 10)
    const log = await openLog(folder)
    const seen: number[] = []
    const handle = async (events: readonly Event[]) => void seen.push(...events.map(({ seq }) => seq))
    await log.project({ after: 8, follow: false, handle })
    assert.deepEqual(seen, [9, 10])
    const stop = new AbortController()
    const projecting = log.project({ after: 10, handle, signal: stop.signal })
    stop.abort()
    await projecting
    await log.close()
  })

  test('ends with what its handler throws, and can be resumed', async () => {
    const folder = tempDir('events')
    await makeLog(folder, 5)
    const log = await openLog(folder)
    const seen: number[] = []
    let failed = false
    const handle = async ([event]: readonly Event[]) => {
      if (event?.seq === 3 && !failed) {
        failed = true
        throw new Error('the database went away')
      }
      seen.push(event?.seq ?? 0)
    }
    const project = () => log.project({ after: seen.length, batchMax: 1, follow: false, handle })
    await assert.rejects(project(), /went away/)
    assert.deepEqual(seen, [1, 2])
    await project()
    assert.deepEqual(seen, [1, 2, 3, 4, 5])
    await log.close()
  })
})

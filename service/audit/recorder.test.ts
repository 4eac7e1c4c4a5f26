import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../test/support/until.ts'
import { ArchiveError } from '../errors.ts'
import type { Head } from '../events/event.ts'
import { assertKnown, type KnownEvent } from '../events/kinds.ts'
import { Recorder, type RecorderOptions } from './recorder.ts'
import { Trail } from './trail.ts'

/** A log that can be full. */
function fakeLog() {
  const log = {
    full: false,
    events: [] as KnownEvent[],
    calls: 0,
    async append(...events: readonly KnownEvent[]): Promise<Head[]> {
      log.calls += 1
      for (const event of events) assertKnown(event)
      if (log.full) throw new ArchiveError('out_of_space', 'the event log has no room')
      log.events.push(...events)
      return []
    },
  }
  return log
}

const WHO = { name: 'm.huber', role: 'read', from: '10.0.0.7', token: '0123456789ab' }
const query = (n: number): KnownEvent => ({
  kind: 'access.query',
  actor: { name: 'a', role: '', from: '' },
  subject: {},
  data: { service: 'qido-rs', level: 'study', keys: [], matches: n },
})
const numbers = (events: readonly KnownEvent[]) =>
  events.flatMap((event) => (event.kind === 'access.query' ? [event.data.matches] : []))

function recorderOf(options: Partial<RecorderOptions> = {}) {
  const warnings: string[] = []
  const recorder = new Recorder({
    gatherMs: 5,
    pauseMs: 5,
    pauseMsMax: 20,
    warn: (text) => warnings.push(text),
    ...options,
  })
  return { recorder, warnings }
}

test('events share a call, keep their order, and wait for the log to be opened', async () => {
  const { recorder } = recorderOf()
  const log = fakeLog()
  for (let n = 0; n < 100; n++) recorder.record(query(n))
  recorder.attach(log)
  await until('all', () => log.events.length === 100)
  assert.deepEqual(
    numbers(log.events),
    Array.from({ length: 100 }, (_, n) => n),
  )
  assert.equal(log.calls, 1)
  recorder.record(query(100))
  await until('one more', () => log.events.length === 101)
  await recorder.close()
})

test('while the log can not be written events wait, within bounds; what had to be given up is itself recorded', async () => {
  const { recorder, warnings } = recorderOf({ queueMax: 10 })
  const log = fakeLog()
  log.full = true
  recorder.attach(log)
  for (let n = 0; n < 25; n++) recorder.record(query(n))
  await until('trouble', () => recorder.trouble !== undefined)
  assert.match(recorder.trouble ?? '', /no room/)
  assert.deepEqual([recorder.waiting, recorder.lost, warnings.length], [10, 15, 1])
  log.full = false
  await until('well again', () => recorder.trouble === undefined && recorder.waiting === 0)
  assert.deepEqual(numbers(log.events), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  const lost = log.events.filter(({ kind }) => kind === 'audit.lost').map(({ data }) => data)
  assert.equal((lost[0] as { events: number }).events, 15)
  assert.equal(recorder.lost, 0)
  await recorder.close()
})

test('an event that is none keeps no other back', async () => {
  const { recorder, warnings } = recorderOf()
  const log = fakeLog()
  recorder.attach(log)
  recorder.record(query(1))
  recorder.record({ ...query(2), data: { nonsense: true } } as unknown as KnownEvent)
  recorder.record(query(3))
  await until('both', () => numbers(log.events).length === 2)
  assert.match(warnings.join(), /could not be written/)
  await recorder.close()
})

test('closing writes what waits', async () => {
  const { recorder } = recorderOf({ gatherMs: 60_000 })
  const log = fakeLog()
  recorder.attach(log)
  recorder.record(query(7))
  await recorder.close()
  assert.deepEqual(numbers(log.events), [7])
})

test('the trail writes events that the log takes, whatever is in the names', () => {
  const events: KnownEvent[] = []
  const trail = new Trail({ record: (event) => void events.push(event), windowMs: 1000, refusal: () => undefined })
  const who = { ...WHO, name: `\ud800${'x'.repeat(300)}` }
  trail.read(who, {
    service: 'frames',
    studyUid: '1.2',
    instances: 1,
    bytes: 2,
    frames: 3,
    complete: true,
    status: 206,
  })
  trail.read(who, {
    service: 'frames',
    studyUid: '1.2',
    instances: 1,
    bytes: 2,
    frames: 3,
    complete: false,
    status: 206,
  })
  trail.query(who, {
    service: 'c-find',
    level: 'study',
    keys: Array(500).fill('00100010'),
    matches: 1,
    complete: true,
    sopClass: '1.2',
  })
  trail.denied(who, { service: 'dimse', reason: 'x' })
  trail.began(who, { service: 'c-move', studyUid: '1.2', instances: 3, destination: 'A' })
  trail.received(who, {
    service: 'c-store',
    instances: 1,
    bytes: 1,
    duplicates: 0,
    conflicts: 0,
    refused: 0,
    complete: true,
  })
  trail.called(who, { method: 'POST', route: '/x/{study}', status: 200, subject: { study: '1.2' } })
  trail.logRead(who, { service: 'api', filter: ['study'], events: 3 })
  trail.close()
  assert.equal(events.length, 8)
  for (const event of events) assertKnown(event)
  for (const { actor } of events) assert.ok(actor.name.length <= 256 && !/[\ud800-\udfff]/u.test(actor.name))
})

test('whoever knocks under many names is counted, and told of a few times a minute', () => {
  const events: KnownEvent[] = []
  const clock = { now: 60_000_000 }
  const record = (event: KnownEvent): void => void events.push(event)
  const trail = new Trail({ record, windowMs: 1000, refusal: () => undefined, now: () => clock.now })
  for (let n = 0; n < 5000; n++)
    trail.denied({ name: `AE${n}`, role: 'dimse', from: '10.0.0.9' }, { service: 'dimse', reason: 'x' })
  assert.equal(events.length, 61)
  clock.now += 60_000
  trail.sweep()
  trail.close()
  const attempts = events.reduce((sum, { data }) => sum + ((data as { requests?: number }).requests ?? 1), 0)
  assert.deepEqual([events.length, attempts], [62, 5000])
})

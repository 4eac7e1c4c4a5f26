import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Event } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { ProjectedLog } from '../events/projector.ts'
import { type ConfirmHoldsOptions, confirmHolds } from './confirm-holds.ts'

it('a hold that could not be confirmed is confirmed later, once', { timeout: 30_000 }, async () => {
  const placed = {
    seq: 7,
    kind: 'hold.placed',
    subject: { hold: 'h', study: '1.2' },
    data: { case: 'C', reason: 'R', holder: 'H' },
  } as unknown as Event
  let saved = 0
  const log: ProjectedLog = {
    site: 'other',
    head: { seq: 7 },
    project: async ({ after, handle }) => {
      if (after < 7) await handle([placed])
    },
  }
  const said: KnownEvent[] = []
  const ended = new AbortController()
  let failures = 1
  const options: ConfirmHoldsOptions = {
    site: 'us',
    generation: 'us',
    catalogue: { holdEvents: async () => [] },
    events: {
      append: async (...events) => {
        if (failures-- > 0) throw new Error('the disk is full')
        said.push(...events)
        return []
      },
    },
    cursor: {
      get seq() {
        return saved
      },
      save: async (seq) => {
        saved = seq
        ended.abort()
      },
    },
    projected: async () => undefined,
    warn: () => undefined,
    signal: ended.signal,
  }
  await confirmHolds(log, options)
  assert.deepEqual(
    said.map(({ kind }) => kind),
    ['hold.confirmed'],
  )
  assert.equal(saved, 7)
})

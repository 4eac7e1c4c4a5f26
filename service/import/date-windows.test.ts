import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { listByDates } from './list-by-dates.ts'
import type { FoundStudy } from './ports.ts'

interface Study extends FoundStudy {
  /** Empty: none. */
  date: string
}

/** A source that gives at most `cap` studies at a time, the newest first, and those without date only when no date is asked for. */
function source(studies: readonly Study[], cap: number, knowsOffset: boolean) {
  const inOrder = [...studies].sort((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : 0))
  return async (dates: string | undefined, offset: number) => {
    const [from = '', to = ''] = dates?.split('-') ?? []
    const found = inOrder.filter(({ date }) => dates === undefined || (date !== '' && date >= from && date <= to))
    const at = knowsOffset ? offset : 0
    return { studies: found.slice(at, at + cap), more: found.length > at + cap }
  }
}

const studiesOf = fc
  .array(fc.constantFrom('', '19991231', '20000101', '20240229', '20240301', '20240301', '20240302', '20260101'), {
    maxLength: 40,
  })
  .map((dates) => dates.map((date, n): Study => ({ studyUid: `1.2.${n}`, patientId: '', attributes: {}, date })))

describe('listing by dates', () => {
  test('finds every study, however few the source gives at a time, broken off and gone on with anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(
        studiesOf,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 5 }),
        async (all, cap, pages) => {
          const ask = source(all, cap, true)
          const seen = new Set<string>()
          let cursor: string | undefined
          for (let over = false; !over; ) {
            over = true
            let n = 0
            for await (const page of listByDates(cursor, { ask })) {
              for (const { studyUid } of page.studies) seen.add(studyUid)
              cursor = page.cursor
              n += 1
              // As if it had been killed here.
              if (n >= pages * 10) {
                over = false
                break
              }
            }
          }
          assert.deepEqual([...seen].sort(), all.map(({ studyUid }) => studyUid).sort())
        },
      ),
      { numRuns: 60 },
    )
  })

  test('the newest come first', async () => {
    const all = ['20200101', '20260101', '20230101'].map((date, n) => ({
      studyUid: `1.2.${n}`,
      patientId: '',
      attributes: {},
      date,
    }))
    const order: string[] = []
    for await (const { studies } of listByDates(undefined, { ask: source(all, 2, true) })) {
      for (const { studyUid } of studies) if (!order.includes(studyUid)) order.push(studyUid)
    }
    assert.deepEqual(order, ['1.2.1', '1.2.2', '1.2.0'])
  })

  test('a source that knows no offset ends all the same, and the report says that studies may be missing', async () => {
    const all = Array.from({ length: 5 }, (_, n) => ({
      studyUid: `1.2.${n}`,
      patientId: '',
      attributes: {},
      date: '20240301',
    }))
    const findings: string[] = []
    for await (const page of listByDates(undefined, { ask: source(all, 2, false) })) {
      findings.push(...(page.findings ?? []).map(({ object }) => object))
    }
    assert.deepEqual(findings, ['study date 20240301', 'studies without date'])
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { birthday, completion, latestBirthInBand } from './age.ts'
import {
  addDays,
  addYears,
  compareDates,
  dayNumber,
  endOfYear,
  formatDate,
  fromDayNumber,
  isCivilDate,
  isLeapYear,
  parseDate,
} from './civil.ts'
import { laterSpan, onDay, parseDa } from './span.ts'
import { civilDateAt, endOfDayMs, isOver, isTimeZone } from './zone.ts'

const day = parseDate
const anyDay = fc.integer({ min: dayNumber(day('1800-01-01')), max: dayNumber(day('2400-12-31')) }).map(fromDayNumber)
const spanText = (value: string) => {
  const span = parseDa(value)
  return span && `${formatDate(span.from)}..${formatDate(span.to)}`
}

describe('calendar', () => {
  test('leap years are those of the Gregorian rule', () => {
    assert.deepEqual([1900, 2000, 2023, 2024, 2100, 2400].map(isLeapYear), [false, true, false, true, false, true])
  })

  test('days are numbered without a gap, and as the platform counts them', () => {
    for (let n = dayNumber(day('1899-12-25')); n < dayNumber(day('2101-01-05')); n++) {
      const date = fromDayNumber(n)
      assert.ok(isCivilDate(date))
      assert.equal(dayNumber(date), n)
      assert.equal(Date.UTC(date.y, date.m - 1, date.d) / 86_400_000, n - 719_468)
    }
  })

  test('29 February plus years is the last of February or the first of March, as the rule says, else the later', () => {
    const leapDay = day('2012-02-29')
    assert.equal(formatDate(addYears(leapDay, 10, 'feb-28')), '2022-02-28')
    assert.equal(formatDate(addYears(leapDay, 10, 'mar-01')), '2022-03-01')
    assert.equal(formatDate(addYears(leapDay, 10)), '2022-03-01')
    assert.equal(formatDate(addYears(leapDay, 12, 'feb-28')), '2024-02-29')
    assert.equal(formatDate(addYears(day('2011-02-28'), 1)), '2012-02-28')
  })

  test('days and years can be added across months, years and centuries', () => {
    assert.equal(formatDate(addDays(day('1999-12-31'), 1)), '2000-01-01')
    assert.equal(formatDate(addDays(day('2100-02-28'), 1)), '2100-03-01')
    assert.equal(formatDate(addDays(day('2024-03-01'), -1)), '2024-02-29')
    assert.equal(formatDate(endOfYear(day('2024-02-29'))), '2024-12-31')
  })

  test('adding years keeps the order of days', () => {
    fc.assert(
      fc.property(
        anyDay,
        anyDay,
        fc.integer({ min: 0, max: 60 }),
        fc.constantFrom('feb-28', 'mar-01'),
        (a, b, n, leap) => {
          if (compareDates(a, b) > 0) return
          assert.ok(compareDates(addYears(a, n, leap), addYears(b, n, leap)) <= 0)
        },
      ),
    )
  })

  test('only dates that exist are read', () => {
    for (const text of ['2023-02-29', '2023-13-01', '2023-00-10', '2023-1-1', '20230101', '', '2023-04-31']) {
      assert.throws(() => parseDate(text), RangeError, text)
    }
  })
})

describe('dates of DICOM', () => {
  test('whole dates in the forms that are found in the field', () => {
    for (const value of ['20240229', '2024.02.29', '2024-02-29', '20240229 ', '20240229\0', '20240229120000.5+0100']) {
      assert.equal(spanText(value), '2024-02-29..2024-02-29', value)
    }
  })

  test('a partial or impossible part leaves the span of what can be read', () => {
    assert.equal(spanText('1980'), '1980-01-01..1980-12-31')
    assert.equal(spanText('198002'), '1980-02-01..1980-02-29')
    assert.equal(spanText('19800000'), '1980-01-01..1980-12-31')
    assert.equal(spanText('19800200'), '1980-02-01..1980-02-29')
    assert.equal(spanText('20230231'), '2023-02-01..2023-02-28')
    assert.equal(spanText('20231301'), '2023-01-01..2023-12-31')
    assert.equal(spanText('2023.7.4'), '2023-07-04..2023-07-04')
  })

  test('what has no readable year is unknown', () => {
    for (const value of [
      '',
      ' ',
      'UNKNOWN',
      '00000000',
      '99991231',
      '17991231',
      '0',
      '20',
      '2024/01/01',
      '20240101-20240201',
    ]) {
      assert.equal(parseDa(value), undefined, value)
    }
    assert.equal(parseDa(undefined), undefined)
  })

  test('the later of two spans keeps what is certain of both', () => {
    const later = laterSpan(parseDa('2015') ?? assert.fail(), onDay(day('2015-05-05')))
    assert.equal(formatDate(later.from), '2015-05-05')
    assert.equal(formatDate(later.to), '2015-12-31')
  })
})

describe('ages', () => {
  test('a year of life is completed at the end of the day before the birthday', () => {
    assert.equal(formatDate(completion(day('1969-03-27'), 50)), '2019-03-26')
    assert.equal(formatDate(completion(day('1969-04-01'), 50)), '2019-03-31')
    assert.equal(formatDate(completion(day('2000-01-01'), 28)), '2027-12-31')
  })

  test('who was born on 29 February completes a year on 28 February, in every year', () => {
    assert.equal(formatDate(completion(day('1996-02-29'), 28)), '2024-02-28')
    assert.equal(formatDate(completion(day('1996-02-29'), 18)), '2014-02-28')
    assert.equal(formatDate(completion(day('2072-02-29'), 28)), '2100-02-28')
    assert.equal(formatDate(birthday(day('1996-02-29'), 18)), '2014-03-01')
  })

  test('the worst case of a birth that is known in part is the latest day that fits the age', () => {
    const seen = onDay(day('2020-06-15'))
    const bornIn2003 = parseDa('2003') ?? assert.fail()
    const worst = latestBirthInBand(bornIn2003, seen, { from: 17, below: 18 })
    assert.equal(worst && formatDate(worst), '2003-06-15')
    assert.equal(latestBirthInBand(parseDa('2001') ?? assert.fail(), seen, { below: 18 }), undefined)
    assert.equal(latestBirthInBand(parseDa('2004') ?? assert.fail(), seen, { from: 17, below: 18 }), undefined)
  })

  test('of a day that is known in part the first one decides who was young enough, the last one who was old enough', () => {
    const year = parseDa('2010') ?? assert.fail()
    assert.ok(latestBirthInBand(onDay(day('1992-06-15')), year, { below: 18 }))
    assert.ok(latestBirthInBand(onDay(day('1992-06-15')), year, { from: 18 }))
    assert.equal(latestBirthInBand(onDay(day('1992-01-01')), year, { below: 18 }), undefined)
    assert.equal(latestBirthInBand(onDay(day('1993-01-01')), year, { from: 18 }), undefined)
  })

  test('who was born on 1 March is not 17 yet on a 29 February', () => {
    const worst = latestBirthInBand(parseDa('2003') ?? assert.fail(), onDay(day('2020-02-29')), { from: 17 })
    assert.equal(worst && formatDate(worst), '2003-02-28')
  })

  test('the worst case found is the one that trying every pair of days finds', () => {
    const span = fc.tuple(anyDay, fc.integer({ min: 0, max: 40 })).map(([from, n]) => ({ from, to: addDays(from, n) }))
    const birthFor = fc.tuple(span, fc.integer({ min: 15 * 365, max: 20 * 366 }), fc.integer({ min: 0, max: 40 }))
    fc.assert(
      fc.property(birthFor, ([born, ageDays, n]) => {
        const from = addDays(born.from, ageDays)
        const on = { from, to: addDays(from, n) }
        let best: string | undefined
        for (let b = born.from; compareDates(b, born.to) <= 0; b = addDays(b, 1)) {
          for (let a = on.from; compareDates(a, on.to) <= 0; a = addDays(a, 1)) {
            if (compareDates(birthday(b, 17), a) <= 0 && compareDates(a, birthday(b, 18)) < 0) best = formatDate(b)
          }
        }
        const found = latestBirthInBand(born, on, { from: 17, below: 18 })
        assert.equal(found && formatDate(found), best)
      }),
      { numRuns: 60 },
    )
  })
})

describe('time zones', () => {
  test('an instant falls on the day of its zone', () => {
    const instant = Date.parse('2026-06-30T22:30:00Z')
    assert.equal(formatDate(civilDateAt(instant, 'Europe/Berlin')), '2026-07-01')
    assert.equal(formatDate(civilDateAt(instant, 'Europe/London')), '2026-06-30')
    assert.equal(formatDate(civilDateAt(instant, 'America/New_York')), '2026-06-30')
    assert.equal(formatDate(civilDateAt(instant, 'Pacific/Kiritimati')), '2026-07-01')
  })

  test('the last day kept is over only when it is over in the zone', () => {
    const last = day('2026-06-30')
    assert.equal(isOver(last, Date.parse('2026-06-30T21:59:59.999Z'), 'Europe/Berlin'), false)
    assert.equal(isOver(last, Date.parse('2026-06-30T22:00:00Z'), 'Europe/Berlin'), true)
    assert.equal(isOver(last, Date.parse('2026-06-30T22:00:00Z'), 'UTC'), false)
  })

  test('the end of a day is found in summer, in winter and where the clocks change', () => {
    const end = (date: string, zone: string) => new Date(endOfDayMs(day(date), zone)).toISOString()
    assert.equal(end('2026-06-30', 'Europe/Berlin'), '2026-06-30T22:00:00.000Z')
    assert.equal(end('2026-12-31', 'Europe/Berlin'), '2026-12-31T23:00:00.000Z')
    assert.equal(end('2026-03-29', 'Europe/Berlin'), '2026-03-29T22:00:00.000Z')
    assert.equal(end('2026-10-25', 'Europe/Berlin'), '2026-10-25T23:00:00.000Z')
    assert.equal(end('2026-01-01', 'Pacific/Kiritimati'), '2026-01-01T10:00:00.000Z')
    assert.equal(end('2026-01-01', 'America/Los_Angeles'), '2026-01-02T08:00:00.000Z')
  })

  test('a zone that nobody knows is told apart', () => {
    assert.ok(isTimeZone('Europe/Zurich'))
    assert.equal(isTimeZone('Europe/Atlantis'), false)
  })
})

import { type CivilDate, compareDates, daysInMonth, isCivilDate, laterOf } from './civil.ts'

/**
 * What is known of a date: it was not before `from` and not after `to`. Whatever is decided from a span is decided so
 * that the result is right for every day in it, which means: never earlier than it would be for any of them.
 */
export interface DateSpan {
  readonly from: CivilDate
  readonly to: CivilDate
}

/** Stands for "no matter how long ago". */
export const LONG_AGO: CivilDate = { y: 1, m: 1, d: 1 }

/** No patient of an archive was born before; a date before this is a mistake and says nothing. */
const YEAR_MIN = 1800
/** Beyond it a period of years would leave the calendar's four digits; such values are placeholders. */
const YEAR_MAX = 9700

export const onDay = (date: CivilDate): DateSpan => ({ from: date, to: date })
export const notAfter = (to: CivilDate): DateSpan => ({ from: LONG_AGO, to })
export const isExact = ({ from, to }: DateSpan): boolean => compareDates(from, to) === 0

/** The span of the later of two dates of which only spans are known. */
export function laterSpan(a: DateSpan, b: DateSpan): DateSpan {
  return { from: laterOf(a.from, b.from), to: laterOf(a.to, b.to) }
}

const wholeYear = (y: number): DateSpan => ({ from: { y, m: 1, d: 1 }, to: { y, m: 12, d: 31 } })
const wholeMonth = (y: number, m: number): DateSpan => ({ from: { y, m, d: 1 }, to: { y, m, d: daysInMonth(y, m) } })

const WHOLE = /^\d{8}$/

/**
 * A DICOM DA value (PS3.5 section 6.2) as it is found in the field: `YYYYMMDD`; `YYYY.MM.DD` of ACR-NEMA; `YYYY-MM-DD`;
 * a DT value, whose time doesn't matter; and partial ones, `YYYYMM`, `YYYY`, `19800000`, `19801200`. A part that
 * cannot be (month 13, 31 February) is as good as missing, and so is everything after it.
 *
 * @returns the days it may mean, or undefined where not even the year can be read
 */
export function parseDa(value: string | undefined): DateSpan | undefined {
  const text = value === undefined || WHOLE.test(value) ? (value ?? '') : value.replaceAll('\0', ' ').trim()
  const match =
    /^(\d{4})(\d\d)?(\d\d)?(?:\d{2,6}(?:\.\d{1,6})?(?:[+-]\d{4})?)?$/.exec(text) ??
    /^(\d{4})(?:[.-](\d{1,2})(?:[.-](\d{1,2}))?)?$/.exec(text)
  if (!match) return undefined
  const [y, m, d] = [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)]
  if (y < YEAR_MIN || y > YEAR_MAX) return undefined
  if (m < 1 || m > 12) return wholeYear(y)
  return isCivilDate({ y, m, d }) ? onDay({ y, m, d }) : wholeMonth(y, m)
}

/**
 * Dates as laws use them: days of the proleptic Gregorian calendar, without a time and without a zone. A day is a whole
 * thing here; which instant it ends at is the business of `zone.ts`.
 */
export interface CivilDate {
  /** 1 to 9999 and a little beyond, where a period is added to a late date. */
  readonly y: number
  /** 1 to 12. */
  readonly m: number
  readonly d: number
}

/** Where 29 February plus some years meets a year without one. The later is the default wherever a source doesn't say. */
export type LeapDay = 'feb-28' | 'mar-01'

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const

export const isLeapYear = (y: number): boolean => y % 4 === 0 && (y % 100 !== 0 || y % 400 === 0)

export function daysInMonth(y: number, m: number): number {
  return m === 2 && isLeapYear(y) ? 29 : (DAYS[m - 1] ?? 0)
}

export function isCivilDate({ y, m, d }: CivilDate): boolean {
  return [y, m, d].every(Number.isInteger) && y >= 1 && m >= 1 && m <= 12 && d >= 1 && d <= daysInMonth(y, m)
}

/** Negative where `a` is before `b`. */
export const compareDates = (a: CivilDate, b: CivilDate): number => a.y - b.y || a.m - b.m || a.d - b.d

export const laterOf = (a: CivilDate, b: CivilDate): CivilDate => (compareDates(a, b) >= 0 ? a : b)
export const earlierOf = (a: CivilDate, b: CivilDate): CivilDate => (compareDates(a, b) <= 0 ? a : b)

/** Days since 0000-03-01, so that a leap day is the last of its year; 400 years are 146,097 days. */
export function dayNumber({ y, m, d }: CivilDate): number {
  const year = m > 2 ? y : y - 1
  const month = (m + 9) % 12
  return (
    year * 365 +
    Math.floor(year / 4) -
    Math.floor(year / 100) +
    Math.floor(year / 400) +
    Math.floor((month * 153 + 2) / 5) +
    (d - 1)
  )
}

/** The inverse of `dayNumber`. */
export function fromDayNumber(days: number): CivilDate {
  const era = Math.floor(days / 146_097)
  const dayOfEra = days - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const month = Math.floor((5 * dayOfYear + 2) / 153)
  const m = month < 10 ? month + 3 : month - 9
  return { y: era * 400 + yearOfEra + (m <= 2 ? 1 : 0), m, d: dayOfYear - Math.floor((153 * month + 2) / 5) + 1 }
}

export const addDays = (date: CivilDate, days: number): CivilDate => fromDayNumber(dayNumber(date) + days)

/**
 * The day of the same name so many years on (or back): a period of years that an event of `date` sets going ends with
 * that day (BGB ss. 187(1), 188(2); ABGB s. 902(2); OR art. 77; Code de procédure civile art. 641).
 */
export function addYears(date: CivilDate, years: number, leapDay: LeapDay = 'mar-01'): CivilDate {
  const y = date.y + years
  if (date.m !== 2 || date.d !== 29 || isLeapYear(y)) return { y, m: date.m, d: date.d }
  return leapDay === 'feb-28' ? { y, m: 2, d: 28 } : { y, m: 3, d: 1 }
}

/** For laws that count from the end of the year in which something happened (as BGB s. 199(1) does). */
export const endOfYear = ({ y }: CivilDate): CivilDate => ({ y, m: 12, d: 31 })

const digits = (value: number, width: number): string => String(value).padStart(width, '0')

/** `YYYY-MM-DD`. */
export const formatDate = ({ y, m, d }: CivilDate): string => `${digits(y, 4)}-${digits(m, 2)}-${digits(d, 2)}`

/** Reads `formatDate`'s form and nothing else. Throws RangeError. */
export function parseDate(text: string): CivilDate {
  const match = /^(\d{4,5})-(\d\d)-(\d\d)$/.exec(text)
  const date = match && { y: Number(match[1]), m: Number(match[2]), d: Number(match[3]) }
  if (!date || !isCivilDate(date)) throw new RangeError(`not a date of the form YYYY-MM-DD: ${JSON.stringify(text)}`)
  return date
}

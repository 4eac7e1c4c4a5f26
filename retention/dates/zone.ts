import { addDays, type CivilDate, compareDates, dayNumber } from './civil.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** `dayNumber` of 1970-01-01. */
const EPOCH_DAY = 719_468

const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone)
  if (known) return known
  const format = new Intl.DateTimeFormat('en-u-ca-iso8601', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  })
  formats.set(timeZone, format)
  return format
}

/** Whether the runtime knows the zone by this name (IANA, for example `Europe/Berlin`). */
export function isTimeZone(timeZone: string): boolean {
  try {
    formatOf(timeZone)
    return true
  } catch {
    return false
  }
}

let lastAnswer: { instantMs: number; timeZone: string; date: CivilDate } | undefined

/** The day on which an instant (milliseconds since 1970, UTC) falls in a zone. Throws RangeError for an unknown zone. */
export function civilDateAt(instantMs: number, timeZone: string): CivilDate {
  // A night's evaluation asks a million times for the same instant, and the platform's answer is slow.
  if (lastAnswer?.instantMs === instantMs && lastAnswer.timeZone === timeZone) return lastAnswer.date
  const date = { y: 0, m: 0, d: 0 }
  for (const { type, value } of formatOf(timeZone).formatToParts(instantMs)) {
    if (type === 'year') date.y = Number(value)
    if (type === 'month') date.m = Number(value)
    if (type === 'day') date.d = Number(value)
  }
  lastAnswer = { instantMs, timeZone, date }
  return date
}

/** Whether the whole of `day` has passed in the zone. The last day kept is kept until its end. */
export function isOver(day: CivilDate, instantMs: number, timeZone: string): boolean {
  return compareDates(civilDateAt(instantMs, timeZone), day) > 0
}

/** The first instant after `day` in the zone, in milliseconds since 1970: what an object lock is set to. */
export function endOfDayMs(day: CivilDate, timeZone: string): number {
  const midnightUtc = (dayNumber(addDays(day, 1)) - EPOCH_DAY) * DAY_MS
  let before = midnightUtc - 26 * HOUR_MS
  let after = midnightUtc + 26 * HOUR_MS
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (isOver(day, middle, timeZone)) after = middle
    else before = middle
  }
  return after
}

/**
 * Dates and times as columns hold them, so that text order is time order: `YYYYMMDD` and `HHMMSS.ffffff`. Values that
 * are no dates become '' and match nothing; what the data set says stays in the attributes.
 */

/** DA, also in the form of ACR-NEMA, `YYYY.MM.DD` (PS3.5 6.2). */
export function dateForm(value: string): string {
  const digits = value.replace(/[.\-/]/g, '').trim()
  return /^\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/.test(digits) ? digits : ''
}

/** TM, also `HH:MM:SS`; left out parts are zero. */
export function timeForm(value: string): string {
  const parts = timeParts(value)
  return parts ? pad(parts, '0') : ''
}

interface TimeParts {
  digits: string
  fraction: string
}

function timeParts(value: string): TimeParts | undefined {
  const found = /^((?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d|60)?)?)(?:\.(\d{1,6}))?$/.exec(
    value.replaceAll(':', '').trim(),
  )
  return found?.[1] === undefined ? undefined : { digits: found[1], fraction: found[2] ?? '' }
}

function pad({ digits, fraction }: TimeParts, filler: '0' | '9'): string {
  const limit = filler === '9' ? '235959' : '000000'
  return `${digits}${limit.slice(digits.length)}.${fraction.padEnd(6, filler)}`
}

/** [low, high], each inclusive; undefined where open. */
export type Range = readonly [low: string | undefined, high: string | undefined]

/** Range or single value matching of a DA key (PS3.4 C.2.2.2.5). Undefined when the value is neither. */
export function dateRange(value: string): Range | undefined {
  return range(value, dateForm, dateForm)
}

/** Of a TM key: `10` means from 10:00:00 to 10:59:59.999999. */
export function timeRange(value: string): Range | undefined {
  const upper = (text: string): string => {
    const parts = timeParts(text)
    return parts ? pad(parts, '9') : ''
  }
  return range(value, timeForm, upper)
}

function range(value: string, low: (text: string) => string, high: (text: string) => string): Range | undefined {
  // The old form of a date has hyphens too; a range has exactly one and sides that are dates, or one side empty.
  const dash = value.indexOf('-')
  const [from, to] = dash < 0 ? [value, value] : [value.slice(0, dash), value.slice(dash + 1)]
  const lower = from.trim() === '' ? undefined : low(from)
  const upper = to.trim() === '' ? undefined : high(to)
  if (lower === '' || upper === '' || (lower === undefined && upper === undefined)) return undefined
  return [lower, upper]
}

/** What was held at the end of a day (YYYY-MM-DD, UTC). */
export interface DayBytes {
  day: string
  bytes: number
}

/** Growth in bytes per day: the fit, and what it is between with 95 % confidence. */
export interface Growth {
  bytesPerDay: number
  low: number
  high: number
  /** So many days were looked at, from the first to the last. */
  overDays: number
}

/** Days from now; null where what there is isn't reached: growth is none or negative. */
export interface DaysUntil {
  days: number | null
  /** With the highest growth that is likely, and with the lowest. */
  soonest: number | null
  latest: number | null
}

const DAY_MS = 86_400_000
/** A week has quiet days and busy ones: with less than two of each a forecast would be a guess. */
export const DAYS_MIN = 14
const POINTS_MIN = 7

/** By least squares. Undefined where there is not enough history to say anything. */
export function growthOf(history: readonly DayBytes[]): Growth | undefined {
  const points = history.map(({ day, bytes }) => ({ x: Date.parse(day) / DAY_MS, y: bytes }))
  const overDays = (points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0)
  if (points.length < POINTS_MIN || overDays < DAYS_MIN) return undefined
  const n = points.length
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / n
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / n
  const sxx = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  const slope = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / sxx
  const residuals = points.reduce((sum, { x, y }) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  const ofFit = Math.sqrt(residuals / (n - 2) / sxx)
  const margin = quantile(n - 2) * Math.max(ofFit, errorOfSteps(points, slope))
  return { bytesPerDay: slope, low: slope - margin, high: slope + margin, overDays }
}

/**
 * What is held is a sum: a day that brought much lifts all days behind it, so their distances from the line are not
 * independent, and the line's own standard error is too small. That of the mean of the daily steps isn't.
 */
function errorOfSteps(points: readonly { x: number; y: number }[], slope: number): number {
  let sum = 0
  let steps = 0
  for (const [index, { x, y }] of points.entries()) {
    const before = points[index - 1]
    if (!before) continue
    const days = x - before.x
    sum += (y - before.y - slope * days) ** 2 / days
    steps += 1
  }
  const variance = sum / (steps - 1)
  return Math.sqrt(variance / ((points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0)))
}

/** Two-sided 95 % of Student's t, to 1 % from 5 degrees of freedom up. */
const quantile = (degrees: number): number => 1.96 + 2.37 / degrees + 2.8 / degrees ** 2

/** Until so many bytes more are held; negative where they are already. */
export function daysUntil(bytesToGo: number, { bytesPerDay, low, high }: Growth): DaysUntil {
  const days = (rate: number): number | null =>
    bytesToGo <= 0 ? 0 : rate <= 0 ? null : Math.round((bytesToGo / rate) * 10) / 10
  return { days: days(bytesPerDay), soonest: days(high), latest: days(low) }
}

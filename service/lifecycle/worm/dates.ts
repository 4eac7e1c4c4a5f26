import type { ObjectLock } from '../../../storage-adapters/contract/adapter.ts'
import type { CopyLock } from '../../catalogue/lock-ports.ts'
import type { StoreLock } from '../../stores/ports.ts'

const DAY_MS = 24 * 3_600_000
const YEAR_MS = 365 * DAY_MS
/** What a lock is looked at for again before it ends. */
const BEFORE_END_MS = 30 * DAY_MS
/** Stores keep whole seconds. */
const SECOND_MS = 1000

const STRENGTH = { none: 0, governance: 1, compliance: 2 } as const

export interface Target {
  /** How long the copy is to be locked. */
  until: Date
  /** When to look at its lock again. */
  due: Date
}

/** By the calendar; 29 February becomes 1 March. */
export function yearsAfter(date: Date, years: number): Date {
  const later = new Date(date)
  later.setUTCFullYear(later.getUTCFullYear() + years)
  return later
}

/**
 * A lock to the date that is wanted, or as far as the store's maker allows; then it is extended about every year, or four
 * times within what is allowed.
 */
export function targetOf(wanted: Date, { yearsMax }: StoreLock, nowMs: number): Target {
  const longestMs = nowMs + yearsMax * YEAR_MS
  if (wanted.getTime() > longestMs) {
    const next = nowMs + Math.min(YEAR_MS, (yearsMax * YEAR_MS) / 4)
    return { until: new Date(longestMs), due: new Date(next) }
  }
  const soonest = nowMs + (wanted.getTime() <= nowMs ? BEFORE_END_MS : DAY_MS)
  return { until: wanted, due: new Date(Math.max(soonest, wanted.getTime() - BEFORE_END_MS)) }
}

/** Whether a lock has to be set or extended to reach the target. A date that is past locks nothing. */
export function isShort(lock: ObjectLock, until: Date, mode: StoreLock['mode'], nowMs: number): boolean {
  if (until.getTime() <= nowMs) return false
  return STRENGTH[lock.mode] < STRENGTH[mode] || lock.until === undefined || lock.until < until
}

/** What has become less of a lock that was seen before and has not run out, in words; undefined where nothing has. */
export function driftOf(before: CopyLock | undefined, now: ObjectLock, nowMs: number): string | undefined {
  if (before?.until === undefined) return undefined
  const untilMs = Date.parse(before.until)
  if (untilMs <= nowMs) return undefined
  const was = `it was locked in mode ${before.mode} until ${before.until}`
  if (now.until === undefined || now.mode === 'none') return `${was}, and has no lock`
  if (STRENGTH[now.mode] < STRENGTH[before.mode]) return `${was}, and is in mode ${now.mode} now`
  if (now.until.getTime() < untilMs - SECOND_MS) return `${was}, and is only until ${now.until.toISOString()} now`
  return undefined
}

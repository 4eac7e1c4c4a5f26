import type { CivilDate } from './dates/civil.ts'
import { isOver } from './dates/zone.ts'

/**
 * A site's compliance clock: the only time by which anything expires. It shows at most as much time as has really passed
 * since it was started, so no system clock, however wrong or tampered with, brings an expiry closer. It may lag, which
 * only keeps things longer.
 *
 * - It never runs backwards, and never ahead of the system clock of the moment.
 * - While the process runs it moves by no more than the monotonic clock did.
 * - Over a restart nothing measures time but the system clock, which proves nothing. So nothing is added. But the peer's
 *   compliance clock ran meanwhile and shows no more than has passed either: if the two agreed when they were compared
 *   last, the further one is right. One that was ahead then (set up with a wrong system clock) is not believed.
 * - A lag that remains is taken out by two persons (`setForward`), as an event.
 */
export interface ClockState {
  /** Unique to this clock's life: one that is started anew has another, and so vouches for nothing it hasn't seen. */
  readonly clockId: string
  /** What the clock shows, in milliseconds since 1970. */
  readonly complianceMs: number
  /** The process that has observed last; another one means a restart. */
  readonly runId: string
  /** Of that process's monotonic clock, when it observed last. */
  readonly monotonicMs: number
  /** The peer's clock, as it was compared last. */
  readonly peer?: { readonly clockId: string; readonly agreed: boolean } | undefined
  /** The system clock was behind the compliance clock, by more than time servers correct, when it was observed last. */
  readonly systemBehind: boolean
}

export interface Observation {
  readonly systemMs: number
  readonly monotonicMs: number
  readonly runId: string
  /** What the peer's compliance clock shows now, if it answered. */
  readonly peer?: { readonly clockId: string; readonly complianceMs: number } | undefined
}

/** How far ahead a peer's clock may be and still be one that agrees: exchanges and system clocks are late by minutes. */
const AGREES_MS = 3_600_000

/** Time servers set a clock back by less than that, every day and rightly. */
const BEHIND_MS = 60_000

/** A clock that starts its life; whoever sets up a site answers for the system clock being right that once. */
export function startClock(clockId: string, { systemMs, monotonicMs, runId }: Observation): ClockState {
  return { clockId, complianceMs: systemMs, runId, monotonicMs, systemBehind: false }
}

/** The clock after an observation. Persist it before anything is decided by it. Throws RangeError for what is no time. */
export function observe(state: ClockState, seen: Observation): ClockState {
  const times = [seen.systemMs, seen.monotonicMs, seen.peer?.complianceMs ?? 0]
  if (!times.every(Number.isFinite)) throw new RangeError('an observation of the clock is not a time')
  const measuredMs = seen.runId === state.runId ? Math.max(0, seen.monotonicMs - state.monotonicMs) : 0
  const believed = seen.peer && state.peer?.agreed && state.peer.clockId === seen.peer.clockId
  const shownMs = Math.max(state.complianceMs + measuredMs, believed ? (seen.peer?.complianceMs ?? 0) : 0)
  const complianceMs = Math.max(state.complianceMs, Math.min(seen.systemMs, shownMs))
  const peer = seen.peer
    ? { clockId: seen.peer.clockId, agreed: seen.peer.complianceMs - complianceMs <= AGREES_MS }
    : state.peer
  return {
    clockId: state.clockId,
    complianceMs,
    runId: seen.runId,
    monotonicMs: seen.monotonicMs,
    ...(peer ? { peer } : {}),
    systemBehind: seen.systemMs < state.complianceMs - BEHIND_MS,
  }
}

/**
 * Takes out a lag after two persons have looked at a clock on the wall. Never back, and never beyond the system clock of
 * the observation. The caller records who they were.
 */
export function setForward(state: ClockState, toMs: number, { systemMs }: Observation): ClockState {
  return { ...state, complianceMs: Math.max(state.complianceMs, Math.min(toMs, systemMs)) }
}

/** Whether a day is past at every site. With no clock at all nothing is ever past. */
export function isPastEverywhere(day: CivilDate, timeZone: string, clocksMs: readonly number[]): boolean {
  return clocksMs.length > 0 && clocksMs.every((clockMs) => Number.isFinite(clockMs) && isOver(day, clockMs, timeZone))
}

import { setTimeout as sleep } from 'node:timers/promises'

const DAY_MINUTES = 24 * 60
/** Time that was not used can be made up for, up to this. */
const BURST_SECONDS = 1

/** From when to when, in minutes since midnight by the node's own clock; may pass midnight. */
export interface TimeWindow {
  from: number
  to: number
}

/** `20:00-06:00`. Undefined when the text is no window. */
export function parseWindow(text: string): TimeWindow | undefined {
  const [, ...parts] = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? []
  const [fromHour = Number.NaN, fromMinute = 0, toHour = 0, toMinute = 0] = parts.map(Number)
  const window = { from: fromHour * 60 + fromMinute, to: toHour * 60 + toMinute }
  return Number.isNaN(window.from) || window.from === window.to ? undefined : window
}

/** Milliseconds until the window is open; 0 when it is. */
export function untilOpenMs({ from, to }: TimeWindow, now: Date): number {
  const minutes = now.getHours() * 60 + now.getMinutes() + now.getSeconds() / 60 + now.getMilliseconds() / 60_000
  const open = from < to ? minutes >= from && minutes < to : minutes >= from || minutes < to
  if (open) return 0
  return ((from - minutes + DAY_MINUTES) % DAY_MINUTES) * 60_000
}

/** When an import may take of its source, and how much. Shared by all that it does side by side. */
export class Pace {
  readonly #bytesPerSecond: number
  readonly #window: TimeWindow | undefined
  /** When what was taken so far is paid for, by the process's clock. */
  #paidMs = performance.now()

  constructor({ bytesPerSecond, window }: { bytesPerSecond?: number | undefined; window?: TimeWindow | undefined }) {
    this.#bytesPerSecond = bytesPerSecond ?? Number.POSITIVE_INFINITY
    this.#window = window
  }

  /** Milliseconds until the time of day permits to go on. */
  closedForMs(now = new Date()): number {
    return this.#window ? untilOpenMs(this.#window, now) : 0
  }

  /** Resolves when so many more bytes may be taken. Rejects when aborted. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const now = performance.now()
    this.#paidMs = Math.max(this.#paidMs, now - BURST_SECONDS * 1000) + (bytes / this.#bytesPerSecond) * 1000
    const waitMs = this.#paidMs - now
    if (waitMs > 0) await sleep(waitMs, undefined, { signal })
    else signal.throwIfAborted()
  }
}

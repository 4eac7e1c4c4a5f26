import { setTimeout as delay } from 'node:timers/promises'

/**
 * Polls until `probe` gives something other than undefined or false, and returns that. A probe that throws counts as
 * "not yet"; its last error is the cause when time is up.
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  deadlineMs = 30_000,
): Promise<Exclude<T, undefined | false>> {
  const end = Date.now() + deadlineMs
  let cause: unknown
  for (;;) {
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>
    } catch (error) {
      cause = error
    }
    if (Date.now() > end) throw new Error(`gave up after ${deadlineMs} ms waiting for ${what}`, { cause })
    await delay(25)
  }
}

/** Rejects when `work` takes longer than `ms`: a hang must fail a test, not stall it. */
export async function within<T>(what: string, ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

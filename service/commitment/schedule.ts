const LOOK_AGAIN_MS_MIN = 500
const LOOK_AGAIN_MS_MAX = 5 * 60_000
const OFFER_AGAIN_MS_MIN = 10_000
const OFFER_AGAIN_MS_MAX = 3_600_000
const JITTER = 0.2

/** When to look again for what is pending: the longer it has been so, the later, but as soon as patience is over. */
export function lookAgainMs(ageMs: number, patienceMs: number): number {
  const pause = Math.min(Math.max(ageMs / 4, LOOK_AGAIN_MS_MIN), LOOK_AGAIN_MS_MAX)
  return ageMs < patienceMs ? Math.min(pause, patienceMs - ageMs + 1) : pause
}

/** When to offer a result again to an AE that has failed to take so many in a row: 10 s, 20 s, 40 s ... an hour. */
export function offerAgainMs(failures: number, random: () => number = Math.random): number {
  const pause = Math.min(OFFER_AGAIN_MS_MIN * 2 ** Math.min(failures - 1, 20), OFFER_AGAIN_MS_MAX)
  return Math.round(pause * (1 - JITTER + 2 * JITTER * random()))
}

import { isStorageError } from '../../storage-adapters/contract/errors.ts'
import type { Observation } from '../../storage-adapters/wrap/metrics.ts'

/** The last calls count most: after some twenty good ones little is left of a bad one. */
const FORGET = 0.1
const SLOW_MS = 5000
/** A store that refused to be written to is not asked to again before this. */
const REFUSED_MS = 60_000
const FAILURES: ReadonlySet<Observation['outcome']> = new Set(['unavailable', 'outcome_unknown', 'unexpected'])

/** Why a store takes nothing although it answers. */
export interface WriteRefusal {
  code: 'permission_denied' | 'out_of_space'
  at: number
}

/** What a store's calls say of it: how well it answers, and whether it takes anything. */
export class Health {
  readonly #now: () => number
  #share = 1
  #refused: WriteRefusal | undefined

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** From 0 to 1: how many of the last calls were answered, and soon. */
  get share(): number {
    return this.#share
  }

  /** Since a write was refused, until one is taken. */
  get refused(): WriteRefusal | undefined {
    return this.#refused
  }

  /** Whether it is worth while to offer it something. */
  get takes(): boolean {
    return this.#refused === undefined || this.#now() - this.#refused.at > REFUSED_MS
  }

  observe({ operation, outcome, durationMs }: Pick<Observation, 'operation' | 'outcome' | 'durationMs'>): void {
    if (outcome === 'aborted') return
    // How long a body takes depends on its size and its reader.
    const isSlow = durationMs > SLOW_MS && operation !== 'put' && operation !== 'read' && operation !== 'list'
    const good = FAILURES.has(outcome) ? 0 : isSlow ? 0.5 : 1
    this.#share += FORGET * (good - this.#share)
    if (operation !== 'put') return
    if (outcome === 'ok') this.#refused = undefined
    else if (outcome === 'permission_denied' || outcome === 'out_of_space') {
      this.#refused = { code: outcome, at: this.#now() }
    }
  }
}

/** What an administrator should do about a store that can't be used. */
export function adviceFor(error: unknown): string {
  if (isStorageError(error, 'misconfigured')) {
    return 'see that the right disk or bucket is there, whole and as configured; do not let Firn make a new one in its place'
  }
  if (isStorageError(error, 'permission_denied')) return 'see to the rights, and that it is not mounted read-only'
  return 'see to the machine that holds it, its disk and the way there'
}

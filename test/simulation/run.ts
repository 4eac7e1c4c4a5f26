import { ALL, type Safeguards } from './safeguards.ts'
import { World } from './world.ts'

export interface Outcome {
  seed: number
  /** Of everything that was noted: equal for equal seeds. */
  trace: string
  lines: readonly string[]
  steps: number
  acknowledged: { both: number; local: number }
  broken: Error | undefined
}

const BEGINNING = Date.UTC(2026, 0, 1)

/** Runs one world from its beginning to its end. One at a time: the system clock is the world's meanwhile. */
export async function runSeed(
  seed: number,
  { safeguards = {}, keepTrace = false }: { safeguards?: Partial<Safeguards>; keepTrace?: boolean } = {},
): Promise<Outcome> {
  const world = new World(seed, { ...ALL, ...safeguards }, keepTrace)
  const { scheduler, oracle } = world
  const RealDate = globalThis.Date
  globalThis.Date = class extends RealDate {
    constructor(...args: [] | [string | number]) {
      super(...((args.length === 0 ? [BEGINNING + scheduler.now + scheduler.clockAheadMs] : args) as [number]))
    }
  } as DateConstructor
  try {
    await world.run()
  } finally {
    globalThis.Date = RealDate
  }
  const { steps, lines, digest: trace } = scheduler
  return { seed, trace, lines, steps, acknowledged: oracle.acknowledged, broken: world.broken }
}

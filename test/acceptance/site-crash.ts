import { setTimeout as delay } from 'node:timers/promises'
import { checkStudies, checkStudyList } from '../support/check.ts'
import type { Firn } from '../support/firn.ts'
import { Ledger, Load } from '../support/load.ts'
import { PairOfSites } from '../support/pair-of-sites.ts'
import { Random } from '../support/random.ts'
import { until } from '../support/until.ts'

const SIZES_BYTES = [10, 700, 700, 4_000, 4_000, 30_000, 130_000, 5_000_000]
const FULL_CHECK_EVERY = 25

export interface SiteCrashSummary {
  seed: number
  rounds: number
  sent: number
  acknowledged: number
  problems: string[]
}

/**
 * Rounds of: mixed STOW and C-STORE load at both sites, kill -9 of one of them or of both at a random moment, load at the
 * survivor for a while, restart, and a check from outside of both sites: what either acknowledged, both must give.
 */
export async function siteCrashRounds(
  rounds: number,
  seed: number,
  report: (line: string) => void,
): Promise<SiteCrashSummary> {
  const random = new Random(seed)
  const ledger = new Ledger()
  const pair = await PairOfSites.start()
  const problems: string[] = []
  const note = (round: number, found: string[]) => {
    problems.push(...found.map((problem) => `round ${round}: ${problem}`))
    for (const problem of found.slice(0, 10)) report(`round ${round}: ${problem}`)
  }
  try {
    for (let round = 1; round <= rounds; round++) {
      const before = ledger.acknowledged
      const loads = await loadAndKill(pair, random, ledger)
      await pair.inSync(120_000)
      const recent = new Set(loads.flatMap((load) => load.studyUids))
      const studies = round % FULL_CHECK_EVERY === 0 || round === rounds ? new Set(ledger.byStudy.keys()) : recent
      for (const firn of [pair.a, pair.b]) {
        const name = firn === pair.a ? 'a' : 'b'
        const found = [...(await checkStudies(firn, ledger, studies)), ...(await checkStudyList(firn, ledger))]
        note(
          round,
          found.map((problem) => `at ${name}: ${problem}`),
        )
      }
      note(
        round,
        loads.flatMap((load) => load.refusals).map((refusal) => `refused: ${refusal}`),
      )
      report(
        `round ${round}/${rounds}: ${ledger.acknowledged - before} acknowledged, ${problems.length} problems so far`,
      )
    }
    return { seed, rounds, sent: ledger.bySop.size, acknowledged: ledger.acknowledged, problems }
  } finally {
    await pair.kill()
  }
}

async function loadAndKill(pair: PairOfSites, random: Random, ledger: Ledger): Promise<Load[]> {
  const sites = [pair.a, pair.b]
  const options = { stowWorkers: 2, storeWorkers: 2, sizesBytes: SIZES_BYTES, studies: 4 }
  const loads = sites.map((firn) => new Load(firn, random, ledger, options))
  for (const load of loads) load.start()
  const before = ledger.acknowledged
  await until('an acknowledgement', () => ledger.acknowledged > before, 60_000)
  await delay(random.between(0, 1_500))
  const victims = random.below(5) === 0 ? sites : [random.pick(sites)]
  await Promise.all(victims.map((firn: Firn) => firn.kill()))
  // The survivor takes what comes, on its own; sometimes the other is back before it has noticed.
  await delay(random.pick([0, 200, 1_500, 4_000]))
  const started = victims.map((firn: Firn) => firn.start())
  if (random.below(2) === 0) await Promise.all(started)
  await Promise.all(loads.map((load) => load.stop()))
  await Promise.all(started)
  return loads
}

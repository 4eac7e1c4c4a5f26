import { setTimeout as delay } from 'node:timers/promises'
import { checkStudies, checkStudyList } from '../support/check.ts'
import { Firn } from '../support/firn.ts'
import { Ledger, Load } from '../support/load.ts'
import { Random } from '../support/random.ts'
import { until } from '../support/until.ts'

const SIZES_BYTES = [10, 700, 700, 4_000, 4_000, 4_000, 30_000, 30_000, 30_000, 130_000, 130_000, 6_000_000]
const OLD_STUDIES_CHECKED = 8
const FULL_CHECK_EVERY = 50

export interface CrashSummary {
  seed: number
  rounds: number
  sent: number
  acknowledged: number
  /** Contradictions the checker found, each with its round. */
  problems: string[]
}

/**
 * Rounds of: mixed STOW and C-STORE load, kill -9 at a random moment, restart (now and then killed itself while it
 * recovers), check from outside. After each round its own studies and some older ones are compared, all of them at the
 * end. The seed decides sizes, contents and delays; where exactly the kill hits is the machine's doing.
 */
export async function crashRounds(rounds: number, seed: number, report: (line: string) => void): Promise<CrashSummary> {
  const random = new Random(seed)
  const ledger = new Ledger()
  // Studies are sealed, and segments let go, in the middle of it all.
  const config = { sealing: { quietSeconds: 0.5, landingSeconds: 0 }, landing: { segmentBytes: 2 * 1024 * 1024 } }
  const firn = await Firn.start({ config })
  const problems: string[] = []
  const summary = () => ({ seed, rounds, sent: ledger.bySop.size, acknowledged: ledger.acknowledged, problems })
  const note = (round: number, found: string[]) => {
    problems.push(...found.map((problem) => `round ${round}: ${problem}`))
    for (const problem of found.slice(0, 10)) report(`round ${round}: ${problem}`)
    if (found.length > 0) for (const line of warnings(firn.log)) report(line)
  }
  try {
    for (let round = 1; round <= rounds; round++) {
      const before = ledger.acknowledged
      const load = await loadAndKill(firn, random, ledger)
      await recover(firn, random)
      const older = [...ledger.byStudy.keys()].filter(() => random.next() < OLD_STUDIES_CHECKED / ledger.byStudy.size)
      note(round, await checkStudies(firn, ledger, new Set([...load.studyUids, ...older])))
      note(round, await checkStudyList(firn, ledger))
      note(
        round,
        load.refusals.map((refusal) => `refused: ${refusal}`),
      )
      if (round % FULL_CHECK_EVERY === 0) note(round, await checkStudies(firn, ledger, ledger.byStudy.keys()))
      report(
        `round ${round}/${rounds}: ${ledger.acknowledged - before} acknowledged, ${problems.length} problems so far`,
      )
    }
    note(rounds, await checkStudies(firn, ledger, ledger.byStudy.keys()))
    const end = await firn.stop()
    if (end.code !== 0) problems.push(`after the last round SIGTERM ended with ${end.code ?? end.signal}`)
    return summary()
  } finally {
    await firn.kill()
  }
}

/** Lines of the log at level warn and above, the last of each kind. */
function warnings(log: string): string[] {
  const lines = log.split('\n').filter((line) => /^\{"level":[456]0/.test(line))
  return [...new Map(lines.map((line) => [/"msg":"[^"]*"/.exec(line)?.[0], line])).values()]
}

async function loadAndKill(firn: Firn, random: Random, ledger: Ledger): Promise<Load> {
  const load = new Load(firn, random, ledger, { stowWorkers: 3, storeWorkers: 3, sizesBytes: SIZES_BYTES })
  load.start()
  // Most kills hit a server that is at work; some hit it at its very beginning.
  const before = ledger.acknowledged
  if (random.below(4) > 0) await until('an acknowledgement', () => ledger.acknowledged > before, 60_000)
  await delay(random.between(0, 1_500))
  await firn.kill()
  await load.stop()
  return load
}

async function recover(firn: Firn, random: Random): Promise<void> {
  for (let n = random.below(4) === 0 ? random.between(1, 3) : 0; n > 0; n--) {
    const start = firn.start().catch(() => {})
    await delay(random.between(0, 900))
    await firn.kill()
    await start
  }
  await firn.start()
}

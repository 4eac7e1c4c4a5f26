/**
 * `npx tsx bench/retention.ts [STUDIES]`: a night's evaluation of an archive, 1,000,000 studies by default: facts are made,
 * evaluated by all presets together, looked up among 1,000 holds, tested for expiry; then the dry run of a change of
 * policy, and explanations. Nothing is kept, as nothing would be: time and resident memory are printed as JSON.
 */
import { explain } from '../retention/explain/explain.ts'
import type { StudyFacts } from '../retention/facts.ts'
import { type HoldEvent, HoldSet } from '../retention/holds.ts'
import { PolicyPlan } from '../retention/plan.ts'
import { evaluate, hasExpired } from '../retention/policy.ts'
import { presets } from '../retention/presets/index.ts'
import { policyFrom } from '../retention/presets/preset.ts'
import { toRecord } from '../retention/record.ts'
import { STUDY_CLASSES } from '../retention/rule.ts'

const studies = Number(process.argv[2] ?? 1_000_000)
const NOW_MS = Date.parse('2056-01-01T00:00:00Z')
const policy = (years: number) =>
  policyFrom(Object.values(presets), {
    ...{ id: 'all', version: String(years), timeZone: 'Europe/Berlin' },
    houseMinimum: { years },
  })

/** Numbers that look random and are the same in every run. */
const dice = (n: number, sides: number): number => ((Math.imul(n, 2_654_435_761) >>> 7) ^ (n * 31)) % sides

const date = (n: number, from: number, years: number): string =>
  `${from + dice(n, years)}${String(1 + dice(n + 1, 12)).padStart(2, '0')}${String(1 + dice(n + 2, 28)).padStart(2, '0')}`

function study(n: number): StudyFacts {
  const studyDate = date(n, 1990, 35)
  return {
    studyUid: `1.2.840.99.${n}`,
    classes: [STUDY_CLASSES[dice(n, 5)] ?? 'record'],
    studyDate,
    birthDate: n % 50 === 0 ? undefined : date(n + 3, 1930, 90),
    receivedOn: '2025-06-30',
    last: { any: { studyDate: date(n + 4, 1990, 35), receivedOn: '2025-06-30' } },
    events: n % 20 === 0 ? [{ id: 'e', kind: 'death', date: date(n + 5, 2000, 25), recordedOn: '2025-01-01' }] : [],
  }
}

const holds = new HoldSet(
  [{ site: 'north', generation: 'g1' }],
  Array.from(
    { length: 1000 },
    (_, n): HoldEvent => ({
      ...{
        kind: 'placed',
        id: `p${n}`,
        holdId: `h${n}`,
        site: 'north',
        generation: 'g1',
        by: 'anna',
        at: '2025-01-01T00:00:00Z',
      },
      ...{ target: { kind: 'study', studyUid: `1.2.840.99.${n * 997}` }, caseReference: 'c', reason: 'r', holder: 'h' },
    }),
  ),
)

let rssMiBMax = 0
const look = () => {
  rssMiBMax = Math.max(rssMiBMax, process.memoryUsage.rss() / 2 ** 20)
}

function timed(work: (n: number) => void, count: number): number {
  const started = performance.now()
  for (let n = 0; n < count; n++) {
    work(n)
    if (n % 10_000 === 0) look()
  }
  return (performance.now() - started) / 1000
}

const current = policy(30)
let expired = 0
let held = 0
let recordBytes = 0
const evaluateSeconds = timed((n) => {
  const decision = evaluate(current, study(n))
  if (holds.on(decision.studyUid, [`P${n}`]).length > 0) held += 1
  else if (hasExpired(decision, NOW_MS)) expired += 1
}, studies)

const plan = new PolicyPlan(current, policy(50))
const planSeconds = timed((n) => plan.add({ facts: study(n) }), studies)

const SAMPLE = 20_000
const latenciesMs: number[] = []
timed((n) => {
  const started = performance.now()
  const decision = evaluate(current, study(n))
  explain(decision, holds.on(decision.studyUid, []), n % 2 === 0 ? 'en' : 'de')
  latenciesMs.push(performance.now() - started)
  recordBytes += JSON.stringify(toRecord(decision)).length
}, SAMPLE)
latenciesMs.sort((a, b) => a - b)

const round = (value: number, digits = 2) => Number(value.toFixed(digits))
console.log(
  JSON.stringify(
    {
      ...{ studies, rules: current.rules.length, expired, held, planned: plan.summary.longer },
      evaluateSeconds: round(evaluateSeconds),
      evaluatedPerSecond: Math.round(studies / evaluateSeconds),
      planSeconds: round(planSeconds),
      explainMsP95: round(latenciesMs[Math.floor(SAMPLE * 0.95)] ?? 0, 3),
      recordBytesMean: Math.round(recordBytes / SAMPLE),
      rssMiBMax: Math.round(rssMiBMax),
    },
    null,
    2,
  ),
)

import { dayNumber, parseDate } from './dates/civil.ts'
import type { StudyFacts } from './facts.ts'
import { evaluate, FOREVER, laterUntil, type RetainUntil } from './policy.ts'
import type { Policy } from './rule.ts'

/** What one study's date would become. */
export interface PlannedStudy {
  readonly facts: StudyFacts
  /** What was decided last; what would be applied is never shorter. */
  readonly previous?: RetainUntil | undefined
}

/** How far a date moves, in years of 365.25 days, up to and including `yearsMax`; null: any further, or for ever. */
export interface PlanBucket {
  readonly yearsMax: number | null
  count: number
}

export interface PlanSummary {
  studies: number
  /** Their date would be the same. */
  same: number
  longer: number
  /** The new policy alone would give an earlier date; the date that was decided stays. */
  shorterIfAllowed: number
  becomeForever: number
  longerBy: PlanBucket[]
  shorterBy: PlanBucket[]
  /** Sum over all that become longer, in days; those that become `forever` aside. */
  daysAdded: number
  /** How many studies each rule would decide. */
  byRule: Record<string, number>
  /** Studies that could not be evaluated, the first few by name; they stay as they are. */
  failed: number
  failures: { studyUid: string; message: string }[]
}

const BUCKET_YEARS = [1, 5, 10, 20, 30, null]
const FAILURES_MAX = 20
const DAYS_PER_YEAR = 365.25

const buckets = (): PlanBucket[] => BUCKET_YEARS.map((yearsMax) => ({ yearsMax, count: 0 }))

/**
 * What a change of policy would do, before it is done: counts only, so that memory doesn't grow with the archive. Nothing
 * is decided by it. `summary` may be looked at while it grows.
 */
export class PolicyPlan {
  readonly summary: PlanSummary = {
    ...{ studies: 0, same: 0, longer: 0, shorterIfAllowed: 0, becomeForever: 0, daysAdded: 0, failed: 0 },
    ...{ longerBy: buckets(), shorterBy: buckets(), byRule: {}, failures: [] },
  }
  readonly #before: Policy
  readonly #after: Policy

  constructor(before: Policy, after: Policy) {
    this.#before = before
    this.#after = after
  }

  add({ facts, previous }: PlannedStudy): void {
    this.summary.studies += 1
    try {
      const before = evaluate(this.#before, facts, previous).retainUntil
      const alone = evaluate(this.#after, facts)
      const rule = laterUntil(alone.retainUntil, before) === alone.retainUntil ? alone.rule : 'previous'
      this.summary.byRule[rule] = (this.summary.byRule[rule] ?? 0) + 1
      this.#count(before, alone.retainUntil)
    } catch (error) {
      this.summary.failed += 1
      const message = error instanceof Error ? error.message : String(error)
      if (this.summary.failures.length < FAILURES_MAX) this.summary.failures.push({ studyUid: facts.studyUid, message })
    }
  }

  #count(before: RetainUntil, after: RetainUntil): void {
    const { summary } = this
    if (before === after) summary.same += 1
    else if (after === FOREVER) {
      summary.longer += 1
      summary.becomeForever += 1
    } else if (before === FOREVER) {
      summary.shorterIfAllowed += 1
      put(summary.shorterBy, Number.POSITIVE_INFINITY)
    } else {
      const days = dayNumber(parseDate(after)) - dayNumber(parseDate(before))
      if (days > 0) {
        summary.longer += 1
        summary.daysAdded += days
      } else summary.shorterIfAllowed += 1
      put(days > 0 ? summary.longerBy : summary.shorterBy, Math.abs(days) / DAYS_PER_YEAR)
    }
  }
}

function put(list: readonly PlanBucket[], years: number): void {
  const bucket = list.find(({ yearsMax }) => yearsMax === null || years <= yearsMax)
  if (bucket) bucket.count += 1
}

/** Plans a change over any number of studies, one at a time. */
export async function planChange(
  before: Policy,
  after: Policy,
  studies: Iterable<PlannedStudy> | AsyncIterable<PlannedStudy>,
): Promise<PlanSummary> {
  const plan = new PolicyPlan(before, after)
  for await (const study of studies) plan.add(study)
  return plan.summary
}

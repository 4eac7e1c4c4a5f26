import { compareDates, formatDate, parseDate } from './dates/civil.ts'
import { isExact } from './dates/span.ts'
import { isOver } from './dates/zone.ts'
import { type ReadFacts, readFacts, type StudyFacts } from './facts.ts'
import type { Policy, Rule, StudyClass } from './rule.ts'
import { applyRule, houseMinimum, type RuleResult } from './rule-result.ts'

/** The last day on which a study is kept, YYYY-MM-DD, or for ever. */
export type RetainUntil = string

export const FOREVER = 'forever'

/** Changes whenever the same inputs may give another answer, so that an old record is never judged by new arithmetic unawares. */
export const ENGINE = 1

/** What was assumed because it was not known; always in favour of keeping. */
export type Assumption =
  | 'class_unknown'
  | 'class_without_rule'
  | 'study_date_unknown'
  | 'study_date_partial'
  | 'study_date_after_receipt'
  | 'birth_date_unknown'
  | 'birth_date_partial'
  | 'birth_date_after_study'

/**
 * Why a study is kept and until when. Plain data, kept as an event: with `inputs` alone anybody can evaluate it again
 * (`reproduce`) or by hand. `inputs.policy` is the same object in all decisions of a policy; `toRecord` takes it out.
 */
export interface Decision {
  readonly engine: typeof ENGINE
  readonly studyUid: string
  readonly retainUntil: RetainUntil
  /** The rule whose date it is: a rule's id, `house-minimum`, or `previous` where an earlier decision reaches further. */
  readonly rule: string
  /** Ids of events (open claims) that stop the period: while there are any, nothing expires, whatever the date. */
  readonly suspendedBy: readonly string[]
  /** Persons who must agree before the study may be destroyed. */
  readonly approvals: number
  readonly results: readonly RuleResult[]
  readonly assumptions: readonly Assumption[]
  readonly inputs: {
    readonly policy: Policy
    readonly facts: StudyFacts
    readonly previous?: RetainUntil | undefined
  }
}

/** The later of two, which is also how two sites' decisions about a study merge. */
export function laterUntil(a: RetainUntil, b: RetainUntil): RetainUntil {
  if (a === FOREVER || b === FOREVER) return FOREVER
  return isEarlier(a, b) ? b : a
}

/** Dates of the form YYYY-MM-DD sort as text, until a year has five digits. */
function isEarlier(a: string, b: string): boolean {
  return a.length === b.length ? a < b : compareDates(parseDate(a), parseDate(b)) < 0
}

/**
 * Evaluates a policy. The latest date of all rules that apply wins, the house minimum is a floor, and nothing is ever
 * shorter than what was decided before. Throws RangeError when `receivedOn`, an event's `recordedOn` or `previous` is no
 * date: those are the archive's own.
 */
export function evaluate(policy: Policy, facts: StudyFacts, previous?: RetainUntil): Decision {
  const read = readFacts(facts)
  const assumptions: Assumption[] = []
  const covered = coverage(policy, facts.classes, assumptions)
  const results: RuleResult[] = []
  const suspendedBy = new Set<string>()
  let approvals = 2
  for (const rule of policy.rules) {
    const result = applyRule(rule, read, covered(rule))
    results.push(result)
    if (result.applies) approvals = Math.max(approvals, rule.approvals)
    for (const event of result.suspendedBy ?? []) suspendedBy.add(event)
  }
  results.push(houseMinimum(policy, read))
  const { rule, until } = latest(results, previous)
  noteDates(read, results, assumptions)
  return {
    engine: ENGINE,
    studyUid: facts.studyUid,
    retainUntil: until,
    rule,
    suspendedBy: [...suspendedBy].sort(),
    approvals,
    results,
    assumptions,
    inputs: previous === undefined ? { policy, facts } : { policy, facts, previous },
  }
}

/** Evaluates a recorded decision again, from what it says itself. */
export function reproduce({ inputs }: Pick<Decision, 'inputs'>): Decision {
  return evaluate(inputs.policy, inputs.facts, inputs.previous)
}

/** Which rules are about a study. Where a class is unknown, or no rule knows it, all are: so the longest wins. */
function coverage(policy: Policy, classes: readonly StudyClass[], assumptions: Assumption[]): (rule: Rule) => boolean {
  if (classes.length === 0) {
    assumptions.push('class_unknown')
    return () => true
  }
  const alone = (name: StudyClass) =>
    !policy.rules.some((rule) => (rule.class === name || rule.class === 'any') && !rule.anchor.startsWith('event:'))
  if (classes.some(alone)) {
    assumptions.push('class_without_rule')
    return () => true
  }
  return (rule) => rule.class === 'any' || classes.includes(rule.class)
}

/** Of equal dates the first rule's, and a rule's before the previous decision's: so an explanation says the most. */
function latest(
  results: readonly RuleResult[],
  previous: RetainUntil | undefined,
): { rule: string; until: RetainUntil } {
  let rule = ''
  let day: string | undefined
  for (const { rule: id, until } of results) {
    if (until === FOREVER) return { rule: id, until: FOREVER }
    if (until === undefined || (day !== undefined && !isEarlier(day, until))) continue
    rule = id
    day = until
  }
  if (previous === FOREVER) return { rule: 'previous', until: FOREVER }
  const before = previous === undefined ? undefined : formatDate(parseDate(previous))
  if (before !== undefined && (day === undefined || isEarlier(day, before))) return { rule: 'previous', until: before }
  if (day === undefined) throw new RangeError('no rule gives a date')
  return { rule, until: day }
}

function noteDates(
  { study, studyDateKnown, born, received }: ReadFacts,
  results: readonly RuleResult[],
  to: Assumption[],
) {
  if (!studyDateKnown) to.push('study_date_unknown')
  else if (!isExact(study)) to.push('study_date_partial')
  if (studyDateKnown && compareDates(study.from, received) > 0) to.push('study_date_after_receipt')
  if (!results.some(({ agesMatter }) => agesMatter)) return
  if (!born) to.push('birth_date_unknown')
  else if (!isExact(born)) to.push('birth_date_partial')
  if (born && compareDates(born.from, study.to) > 0) to.push('birth_date_after_study')
}

/**
 * Whether a study's time is over at an instant (milliseconds since 1970, of a compliance clock): its last day is past in
 * the policy's zone, and no claim stops the period.
 */
export function hasExpired({ retainUntil, suspendedBy, inputs }: Decision, instantMs: number): boolean {
  if (retainUntil === FOREVER || suspendedBy.length > 0) return false
  return isOver(parseDate(retainUntil), instantMs, inputs.policy.timeZone)
}

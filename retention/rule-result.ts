import { birthday, completion, latestBirthInBand } from './dates/age.ts'
import {
  addDays,
  addYears,
  type CivilDate,
  compareDates,
  earlierOf,
  endOfYear,
  formatDate,
  laterOf,
} from './dates/civil.ts'
import { type DateSpan, notAfter } from './dates/span.ts'
import { isFollowed, lastEvent, lastOfClass, type ReadFacts } from './facts.ts'
import type { Policy, Rule } from './rule.ts'
import { extend, suspensions } from './suspension.ts'

/** What one rule says of one study. Dates are YYYY-MM-DD. */
export interface RuleResult {
  /** The rule's id, or `house-minimum`. */
  readonly rule: string
  readonly applies: boolean
  /** Why it doesn't apply. */
  readonly because?: 'other_class' | 'other_age' | 'no_event' | undefined
  /** The day the years were counted from: of a span its last day. */
  readonly anchor?: string | undefined
  /** The last day kept, or `forever`. */
  readonly until?: string | undefined
  /** What gave the date. */
  readonly by?: 'years' | 'followed' | 'age' | 'death' | 'floor' | 'forever' | undefined
  /** The day of birth that was counted from, where ages decided. */
  readonly born?: string | undefined
  /** Ids of events that have not ended and stop the period. */
  readonly suspendedBy?: readonly string[] | undefined
  /** Where ended claims moved the date: what it would have been without them. */
  readonly extendedFrom?: string | undefined
  /** Whether the rule looked at the patient's age. */
  readonly agesMatter?: boolean | undefined
}

type By = NonNullable<RuleResult['by']>

interface Reach {
  by: By
  day: CivilDate
  born?: CivilDate
}

export function applyRule(rule: Rule, read: ReadFacts, covered: boolean): RuleResult {
  if (!covered) return { rule: rule.id, applies: false, because: 'other_class' }
  const anchor = anchorOf(rule, read)
  if (!anchor) return { rule: rule.id, applies: false, because: 'no_event' }
  const counted = rule.countsFrom === 'year-end' ? { from: anchor.from, to: endOfYear(anchor.to) } : anchor
  const stops = rule.suspendOn === undefined ? undefined : suspensions(read, rule.suspendOn)
  // Members are set one by one: this runs a million times a night, once for each rule.
  const result: Mutable<RuleResult> = { rule: rule.id, applies: true, anchor: formatDate(counted.to) }
  if (stops && stops.open.length > 0) result.suspendedBy = stops.open
  if (rule.untilAge) result.agesMatter = true
  if (rule.years === 'forever') {
    result.until = 'forever'
    result.by = 'forever'
    return result
  }
  const alive = longest(rule, rule.years, read, anchor, counted)
  if (!alive) return { rule: rule.id, applies: false, because: 'other_age', agesMatter: true }
  const reach = afterDeath(rule, read, counted, alive)
  const until = stops ? extend(anchor.from, reach.day, stops) : reach.day
  result.until = formatDate(until)
  result.by = reach.by
  if (reach.born) result.born = formatDate(reach.born)
  if (until !== reach.day && compareDates(until, reach.day) > 0) result.extendedFrom = formatDate(reach.day)
  return result
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function anchorOf({ anchor, class: ruleClass }: Rule, read: ReadFacts): DateSpan | undefined {
  switch (anchor) {
    case 'study-date':
      return read.study
    case 'last-of-class':
      return lastOfClass(read, ruleClass)
    case 'last-contact':
      return read.lastContact
    case 'receipt':
      return { from: read.received, to: laterOf(read.received, read.study.to) }
    default:
      return lastEvent(read, anchor.slice('event:'.length))
  }
}

/**
 * The rule without its death rule: years from the anchor, or the age, whichever is later. A rule of 0 years is about an
 * age alone, and says nothing of a patient who cannot have been of it.
 */
function longest(rule: Rule, years: number, read: ReadFacts, anchor: DateSpan, counted: DateSpan): Reach | undefined {
  const followed = rule.yearsIfFollowed !== undefined && isFollowed(read, rule.class)
  const span = followed ? (rule.yearsIfFollowed ?? years) : years
  const byAge = rule.untilAge && ageReach(rule.untilAge, read, anchor)
  if (rule.untilAge && years === 0 && !byAge) return undefined
  const byYears: Reach = { by: followed ? 'followed' : 'years', day: addYears(counted.to, span, rule.leapDay) }
  return byAge && compareDates(byAge.day, byYears.day) > 0 ? byAge : byYears
}

/** Whoever was examined had been born by then: that bounds a birth of which nothing is known. */
function ageReach(rule: NonNullable<Rule['untilAge']>, read: ReadFacts, anchor: DateSpan): Reach | undefined {
  const born = latestBirthInBand(read.born ?? notAfter(read.study.to), rule.on === 'study' ? read.study : anchor, rule)
  if (!born) return undefined
  return { by: 'age', born, day: rule.ends === 'completed' ? completion(born, rule.age) : birthday(born, rule.age) }
}

/** A death can shorten only where its date leaves no doubt that it came after the anchor and within the rule's years. */
function afterDeath({ deathRule, floorYears, leapDay }: Rule, read: ReadFacts, anchor: DateSpan, reach: Reach): Reach {
  const death = deathRule && lastEvent(read, 'death')
  if (!death) return reach
  const { years, effect, withinYears } = deathRule
  // Of the two readings of a 29 February the later one decides what may count, and the earlier one what certainly does.
  const mayCount = withinYears === undefined ? death.to : addDays(addYears(anchor.to, withinYears, 'mar-01'), -1)
  const lastThatCounts = earlierOf(death.to, mayCount)
  if (compareDates(death.from, lastThatCounts) > 0) return reach
  const byDeath: Reach = { by: 'death', day: addYears(lastThatCounts, years, leapDay) }
  const certain =
    withinYears !== undefined &&
    compareDates(death.to, addYears(anchor.from, withinYears, 'feb-28')) < 0 &&
    compareDates(death.from, anchor.to) >= 0
  if (effect === 'also' || !certain) return compareDates(byDeath.day, reach.day) > 0 ? byDeath : reach
  const floor = floorYears === undefined ? undefined : addYears(anchor.to, floorYears, leapDay)
  return floor && compareDates(floor, byDeath.day) > 0 ? { by: 'floor', day: floor } : byDeath
}

export function houseMinimum({ houseMinimum: { years, from } }: Policy, read: ReadFacts): RuleResult {
  const anchor = from === 'receipt' ? laterOf(read.received, read.study.to) : read.study.to
  const until = formatDate(addYears(anchor, years))
  return { rule: 'house-minimum', applies: true, anchor: formatDate(anchor), until, by: 'years' }
}

import type { CivilDate } from '../dates/civil.ts'
import type { Hold } from '../holds.ts'
import type { Assumption } from '../policy.ts'
import type { Rule } from '../rule.ts'
import type { RuleResult } from '../rule-result.ts'

/** The sentences of one language. Dates come as `day` writes them, as `unknown` or as `forEver`. */
export interface Wording {
  day(date: CivilDate): string
  unknown: string
  forEver: string
  kept(study: string, until: string): string
  keptForEver(study: string): string
  decidedBy(rule: string): string
  decidedByHouse(years: number): string
  decidedBefore(until: string): string
  suspended(events: string): string
  approvals(persons: number): string
  held(count: number): string
  notHeld: string
  hold(hold: Hold, placed: string): string
  headings: { inputs: string; rules: string; assumptions: string; holds: string }
  inputs: {
    policy(id: string, version: string, zone: string): string
    classes(names: readonly string[]): string
    studyDate(recorded: string, read: string): string
    birthDate(recorded: string, read: string): string
    received(day: string): string
    last(name: string, recorded: string): string
    event(kind: string, id: string, recorded: string, recordedOn: string, ends: string | undefined): string
    previous(until: string): string
  }
  result(result: RuleResult, rule: Rule | undefined, write: (date: string | undefined) => string): string
  decides: string
  assumption: Readonly<Record<Assumption, string>>
}

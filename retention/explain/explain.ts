import { parseDate } from '../dates/civil.ts'
import { isExact, parseDa } from '../dates/span.ts'
import type { Hold } from '../holds.ts'
import { type Decision, FOREVER } from '../policy.ts'
import { de } from './de.ts'
import { en } from './en.ts'
import type { Wording } from './wording.ts'

export type Language = 'en' | 'de'

const WORDINGS: Readonly<Record<Language, Wording>> = { en, de }

/**
 * In plain words why a study is kept and until when: what was known, what each rule made of it, what was assumed, who
 * holds it. Everything comes from the decision as it was recorded. Lines without an end of line.
 */
export function explain(decision: Decision, holds: readonly Hold[], language: Language): string[] {
  const words = WORDINGS[language]
  return [
    ...summary(decision, words),
    words.approvals(decision.approvals),
    holds.length > 0 ? words.held(holds.length) : words.notHeld,
    '',
    words.headings.inputs,
    ...inputs(decision, words).map(item),
    '',
    words.headings.rules,
    ...rules(decision, words).map(item),
    ...section(
      words.headings.assumptions,
      decision.assumptions.map((assumption) => words.assumption[assumption]),
    ),
    ...section(
      words.headings.holds,
      holds.map((hold) => words.hold(hold, hold.placed.at)),
    ),
  ]
}

const item = (text: string): string => `- ${text}`
const section = (heading: string, items: readonly string[]): string[] =>
  items.length > 0 ? ['', heading, ...items.map(item)] : []

/** A date of a decision, which may also be `forever` or missing. */
const writeDate = (words: Wording) => (date: string | undefined) =>
  date === undefined ? words.unknown : date === FOREVER ? words.forEver : words.day(parseDate(date))

function summary({ studyUid, retainUntil, rule, suspendedBy, inputs }: Decision, words: Wording): string[] {
  const until = writeDate(words)(retainUntil)
  const lines = [retainUntil === FOREVER ? words.keptForEver(studyUid) : words.kept(studyUid, until)]
  if (rule === 'previous') lines.push(words.decidedBefore(until))
  else if (rule === 'house-minimum') lines.push(words.decidedByHouse(inputs.policy.houseMinimum.years))
  else lines.push(words.decidedBy(rule))
  if (suspendedBy.length > 0) lines.push(words.suspended(suspendedBy.join(', ')))
  return lines
}

function inputs({ inputs: { policy, facts, previous } }: Decision, words: Wording): string[] {
  const write = writeDate(words)
  const { inputs: say } = words
  return [
    say.policy(policy.id, policy.version, policy.timeZone),
    say.classes(facts.classes),
    say.studyDate(facts.studyDate ?? '', readDa(facts.studyDate, words)),
    say.birthDate(facts.birthDate ?? '', readDa(facts.birthDate, words)),
    say.received(write(facts.receivedOn)),
    ...Object.entries(facts.last ?? {}).map(([name, last]) => say.last(name, last.studyDate ?? '')),
    ...(facts.events ?? []).map(({ kind, id, date, recordedOn, ends }) =>
      say.event(kind, id, date ?? '', write(recordedOn), ends),
    ),
    ...(previous === undefined ? [] : [say.previous(write(previous))]),
  ]
}

function readDa(value: string | undefined, words: Wording): string {
  const span = parseDa(value)
  if (!span) return words.unknown
  return isExact(span) ? words.day(span.to) : `${words.day(span.from)} – ${words.day(span.to)}`
}

function rules({ results, rule: deciding, inputs: { policy } }: Decision, words: Wording): string[] {
  return results.map((result) => {
    const rule = policy.rules.find(({ id }) => id === result.rule)
    const mark = result.rule === deciding ? ` (${words.decides})` : ''
    return `${result.rule}: ${words.result(result, rule, writeDate(words))}${mark}`
  })
}

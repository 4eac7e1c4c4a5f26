import type { Rule } from '../rule.ts'
import type { RuleResult } from '../rule-result.ts'
import type { Wording } from './wording.ts'

const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
]
const years = (count: Rule['years'] | undefined) => (count === 1 ? '1 year' : `${count} years`)

function anchorName({ anchor, class: ruleClass }: Rule): string {
  if (anchor === 'study-date') return 'the day of the study'
  if (anchor === 'last-of-class') return `the patient's last study of the class ${ruleClass}`
  if (anchor === 'last-contact') return "the patient's last known contact"
  if (anchor === 'receipt') return 'the day the last instance came'
  return `the event "${anchor.slice('event:'.length)}"`
}

function reason({ by, anchor, born }: RuleResult, rule: Rule, write: (date: string | undefined) => string): string {
  const from = `from ${write(anchor)}, ${anchorName(rule)}${rule.countsFrom === 'year-end' ? ', at the end of the year' : ''}`
  switch (by) {
    case 'forever':
      return 'without limit'
    case 'age': {
      const age = rule.untilAge?.age
      const what = rule.untilAge?.ends === 'birthday' ? `birthday number ${age}` : `completion of year of life ${age}`
      return `until ${what}, born at the latest on ${write(born)}`
    }
    case 'death':
      return `${years(rule.deathRule?.years)} from death`
    case 'floor':
      return `at least ${years(rule.floorYears)} ${from}`
    case 'followed':
      return `${years(rule.yearsIfFollowed)} ${from}, because a later study of the class is known`
    default:
      return `${years(rule.years)} ${from}`
  }
}

export const en: Wording = {
  day: ({ y, m, d }) => `${d} ${MONTHS[m - 1]} ${y}`,
  unknown: 'unknown',
  forEver: 'for ever',
  kept: (study, until) => `Study ${study} is kept until the end of ${until}.`,
  keptForEver: (study) => `Study ${study} is kept for ever.`,
  decidedBy: (rule) => `The rule ${rule} gives this date; it is the latest of all that apply.`,
  decidedByHouse: (count) => `The house minimum of ${years(count)} gives this date; no rule reaches further.`,
  decidedBefore: (until) => `An earlier decision had promised ${until}, and a promise is never shortened.`,
  suspended: (events) => `Its time stands still: ${events} has not ended. Until then nothing expires.`,
  approvals: (persons) => `Before it may be destroyed, ${persons} different persons must agree.`,
  held: (count) =>
    count === 1 ? 'It is held, so it stays whatever the date.' : `It is held ${count} times, so it stays.`,
  notHeld: 'Nobody holds it.',
  hold: ({ holdId, placed, assurance, releasedBy }, at) =>
    `${holdId}: case ${placed.caseReference}, for ${placed.holder}, placed by ${placed.by} (${at}): ${placed.reason}. ` +
    (assurance === 'guaranteed'
      ? 'Both sites have confirmed it.'
      : 'Local only: the other site has not confirmed it.') +
    (releasedBy.length > 0 ? ` ${releasedBy.join(', ')} would release it; a second person has not agreed.` : ''),
  headings: {
    inputs: 'What was known:',
    rules: 'What each rule says:',
    assumptions: 'What was assumed, in favour of keeping:',
    holds: 'Holds:',
  },
  inputs: {
    policy: (id, version, zone) => `policy ${id}, version ${version}, days of ${zone}`,
    classes: (names) => (names.length > 0 ? `class: ${names.join(', ')}` : 'class: unknown'),
    studyDate: (recorded, read) => `study date "${recorded}": ${read}`,
    birthDate: (recorded, read) => `birth date "${recorded}": ${read}`,
    received: (day) => `last instance came on ${day}`,
    last: (name, recorded) => `the patient's last study, class ${name}: "${recorded}"`,
    event: (kind, id, recorded, recordedOn, ends) =>
      ends === undefined
        ? `event ${kind} (${id}): "${recorded}", recorded on ${recordedOn}`
        : `event ${ends} ${kind}: "${recorded}", recorded on ${recordedOn}`,
    previous: (until) => `decided before: ${until}`,
  },
  result: (result, rule, write) => {
    if (result.because === 'other_class') return 'does not apply: it is about another class'
    if (result.because === 'other_age') return 'does not apply: the patient was not of the age'
    if (result.because === 'no_event') return 'does not apply: no such event is recorded'
    const why = rule ? reason(result, rule, write) : `counted from ${write(result.anchor)}`
    const claims = result.extendedFrom
      ? `, moved from ${write(result.extendedFrom)} by days on which it stood still`
      : ''
    return result.until === 'forever' ? why : `${write(result.until)}: ${why}${claims}`
  },
  decides: 'this one decides',
  assumption: {
    class_unknown: 'The class is not known, so every rule counts.',
    class_without_rule: 'No rule is about a class of this study, so every rule counts.',
    study_date_unknown: 'The study date is not known: at the latest the day the last instance came.',
    study_date_partial: 'The study date is known in part: its last possible day counts.',
    study_date_after_receipt:
      'The study date lies after the day it came. It is believed, because that keeps it longer.',
    birth_date_unknown: 'The birth date is not known: at the latest the day of the study.',
    birth_date_partial: 'The birth date is known in part: the possible day that keeps it longest counts.',
    birth_date_after_study: 'The birth date lies after the study. It is believed, because that keeps it longer.',
  },
}

import type { Rule } from '../rule.ts'
import type { RuleResult } from '../rule-result.ts'
import type { Wording } from './wording.ts'

const CLASSES: Readonly<Record<string, string>> = {
  treatment: 'Behandlung',
  examination: 'Untersuchung',
  'mammography-screening': 'Mammographie-Screening',
  research: 'Forschung',
  record: 'Dokument',
  any: 'jede',
}
const className = (name: string) => CLASSES[name] ?? name
const years = (count: Rule['years'] | undefined) => (count === 1 ? '1 Jahr' : `${count} Jahre`)
const two = (value: number) => String(value).padStart(2, '0')

function anchorName({ anchor, class: ruleClass }: Rule): string {
  if (anchor === 'study-date') return 'dem Tag der Studie'
  if (anchor === 'last-of-class') return `der letzten Studie der Klasse ${className(ruleClass)} dieser Person`
  if (anchor === 'last-contact') return 'dem letzten bekannten Kontakt mit der Person'
  if (anchor === 'receipt') return 'dem Tag, an dem die letzte Instanz kam'
  return `dem Ereignis „${anchor.slice('event:'.length)}“`
}

function reason({ by, anchor, born }: RuleResult, rule: Rule, write: (date: string | undefined) => string): string {
  const yearEnd = rule.countsFrom === 'year-end' ? ', gerechnet ab Jahresende' : ''
  const from = `ab ${write(anchor)}, ${anchorName(rule)}${yearEnd}`
  switch (by) {
    case 'forever':
      return 'unbegrenzt'
    case 'age': {
      const age = rule.untilAge?.age
      const what =
        rule.untilAge?.ends === 'birthday' ? `zum ${age}. Geburtstag` : `zur Vollendung des ${age}. Lebensjahres`
      return `bis ${what}, geboren spätestens am ${write(born)}`
    }
    case 'death':
      return `${years(rule.deathRule?.years)} ab dem Tod`
    case 'floor':
      return `mindestens ${years(rule.floorYears)} ${from}`
    case 'followed':
      return `${years(rule.yearsIfFollowed)} ${from}, weil eine spätere Studie der Klasse bekannt ist`
    default:
      return `${years(rule.years)} ${from}`
  }
}

export const de: Wording = {
  day: ({ y, m, d }) => `${two(d)}.${two(m)}.${y}`,
  unknown: 'unbekannt',
  forEver: 'für immer',
  kept: (study, until) => `Die Studie ${study} wird bis zum Ablauf des ${until} aufbewahrt.`,
  keptForEver: (study) => `Die Studie ${study} wird für immer aufbewahrt.`,
  decidedBy: (rule) => `Dieses Datum ergibt die Regel ${rule}; es ist das späteste aller Regeln, die zutreffen.`,
  decidedByHouse: (count) =>
    `Dieses Datum ergibt die Mindestfrist des Hauses, ${years(count)}; keine Regel reicht weiter.`,
  decidedBefore: (until) => `Eine frühere Entscheidung hat den ${until} zugesagt; eine Zusage wird nie verkürzt.`,
  suspended: (events) => `Die Frist steht still: ${events} ist nicht beendet. Bis dahin läuft nichts ab.`,
  approvals: (persons) => `Vor einer Vernichtung müssen ${persons} verschiedene Personen zustimmen.`,
  held: (count) =>
    count === 1
      ? 'Sie ist gesperrt und bleibt, gleich was das Datum sagt.'
      : `Sie ist ${count}-mal gesperrt und bleibt.`,
  notHeld: 'Niemand hat sie gesperrt.',
  hold: ({ holdId, placed, assurance, releasedBy }, at) =>
    `${holdId}: Fall ${placed.caseReference}, für ${placed.holder}, gesetzt von ${placed.by} (${at}): ${placed.reason}. ` +
    (assurance === 'guaranteed'
      ? 'Beide Standorte haben bestätigt.'
      : 'Nur hier: der andere Standort hat nicht bestätigt.') +
    (releasedBy.length > 0
      ? ` ${releasedBy.join(', ')} würde freigeben; eine zweite Person hat nicht zugestimmt.`
      : ''),
  headings: {
    inputs: 'Was bekannt war:',
    rules: 'Was jede Regel sagt:',
    assumptions: 'Was zugunsten der Aufbewahrung angenommen wurde:',
    holds: 'Sperren:',
  },
  inputs: {
    policy: (id, version, zone) => `Richtlinie ${id}, Fassung ${version}, Tage nach ${zone}`,
    classes: (names) => (names.length > 0 ? `Klasse: ${names.map(className).join(', ')}` : 'Klasse: unbekannt'),
    studyDate: (recorded, read) => `Studiendatum „${recorded}“: ${read}`,
    birthDate: (recorded, read) => `Geburtsdatum „${recorded}“: ${read}`,
    received: (day) => `die letzte Instanz kam am ${day}`,
    last: (name, recorded) => `letzte Studie der Person, Klasse ${className(name)}: „${recorded}“`,
    event: (kind, id, recorded, recordedOn, ends) =>
      ends === undefined
        ? `Ereignis ${kind} (${id}): „${recorded}“, erfasst am ${recordedOn}`
        : `Ereignis ${ends} ${kind === 'voided' ? 'für ungültig erklärt' : 'beendet'}: „${recorded}“, erfasst am ${recordedOn}`,
    previous: (until) => `früher entschieden: ${until}`,
  },
  result: (result, rule, write) => {
    if (result.because === 'other_class') return 'trifft nicht zu: gilt für eine andere Klasse'
    if (result.because === 'other_age') return 'trifft nicht zu: die Person war nicht in dem Alter'
    if (result.because === 'no_event') return 'trifft nicht zu: kein solches Ereignis ist erfasst'
    const why = rule ? reason(result, rule, write) : `gerechnet ab ${write(result.anchor)}`
    const claims = result.extendedFrom ? `, verschoben vom ${write(result.extendedFrom)} um Tage des Stillstands` : ''
    return result.until === 'forever' ? why : `${write(result.until)}: ${why}${claims}`
  },
  decides: 'diese entscheidet',
  assumption: {
    class_unknown: 'Die Klasse ist nicht bekannt; deshalb zählt jede Regel.',
    class_without_rule: 'Keine Regel gilt für eine Klasse dieser Studie; deshalb zählt jede Regel.',
    study_date_unknown: 'Das Studiendatum ist nicht bekannt: spätestens der Tag, an dem die letzte Instanz kam.',
    study_date_partial: 'Das Studiendatum ist zum Teil bekannt: der letzte mögliche Tag zählt.',
    study_date_after_receipt: 'Das Studiendatum liegt nach dem Eingang. Es wird geglaubt, weil es länger aufbewahrt.',
    birth_date_unknown: 'Das Geburtsdatum ist nicht bekannt: spätestens der Tag der Studie.',
    birth_date_partial: 'Das Geburtsdatum ist zum Teil bekannt: der mögliche Tag, der am längsten aufbewahrt, zählt.',
    birth_date_after_study: 'Das Geburtsdatum liegt nach der Studie. Es wird geglaubt, weil es länger aufbewahrt.',
  },
}

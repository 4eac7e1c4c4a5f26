/**
 * Golden cases: studies with the date that the law gives, worked out by hand before the program was asked, each with its
 * reasoning, for auditors to read and to add to. The columns are
 *
 * - class: one or more, `-` unknown; study, born: the DICOM values, `-` missing; received: `-` the study's date;
 * - more: `last CLASS=DATE`, the patient's last study; `event KIND#id=DATE@RECORDED`, DATE `?` unknown, `ended(id)` ends
 *   a claim; `previous=DATE`; `house=YEARS/FROM`, the house minimum, without it 0 years;
 * - until, with `suspended ID` where a claim is open; rule: whose date it is; why.
 */
import { formatDate } from '../dates/civil.ts'
import { parseDa } from '../dates/span.ts'
import type { RetentionEvent, StudyFacts } from '../facts.ts'
import { presets } from '../presets/index.ts'
import { policyFrom } from '../presets/preset.ts'
import type { Policy, StudyClass } from '../rule.ts'
import { DE } from './de.ts'
import { FR } from './fr.ts'
import { AT, BE, CH, IT, NL, US } from './others.ts'
import { ENGLAND, RCR } from './uk.ts'

export interface GoldenCase {
  readonly id: string
  readonly policy: Policy
  readonly facts: StudyFacts
  readonly previous?: string | undefined
  readonly until: string
  readonly suspendedBy: readonly string[]
  readonly rule: string
  readonly why: string
}

const TABLES = { de: DE, fr: FR, england: ENGLAND, rcr: RCR, us: US, at: AT, ch: CH, be: BE, nl: NL, it: IT }

export const goldenCases: readonly GoldenCase[] = Object.entries(TABLES).flatMap(([preset, table]) =>
  table
    .trim()
    .split('\n')
    .slice(1)
    .map((line) =>
      readCase(
        preset,
        line.split('|').map((cell) => cell.trim()),
      ),
    ),
)

/** Reads one line's cells. Exported for `standing.test.ts`, which has other columns after these. */
export function readCase(presetId: string, cells: readonly string[]): GoldenCase {
  const [id = '', classes = '', study = '', born = '', received = '', more = '', until = '', rule = '', why = ''] =
    cells
  if (cells.length !== 9 || why === '') throw new Error(`a golden case needs nine columns: ${cells.join(' | ')}`)
  const receivedOn = received === '-' ? dayOf(study) : received
  const extras = more === '-' ? [] : more.split(';').map((item) => item.trim())
  const [date = '', ...suspendedBy] = until.split(/ suspended | /)
  return {
    id,
    policy: policyOf(presetId, extras),
    facts: {
      studyUid: `1.2.840.99.${id.replace(/\D/g, '')}`,
      classes: classes === '-' ? [] : (classes.split(' ') as StudyClass[]),
      studyDate: study === '-' ? undefined : study,
      birthDate: born === '-' ? undefined : born,
      receivedOn,
      last: Object.fromEntries(
        matches(extras, /^last (\S+)=(\d+)$/).map(([, name = '', studyDate]) => [name, { studyDate, receivedOn }]),
      ),
      events: matches(extras, /^event (.+?)=(.*)$/).map(([, kind = '', value = ''], n) => eventOf(kind, value, n)),
    },
    previous: matches(extras, /^previous=(.+)$/)[0]?.[1],
    until: date,
    suspendedBy,
    rule,
    why,
  }
}

function matches(items: readonly string[], pattern: RegExp): RegExpExecArray[] {
  return items.map((item) => pattern.exec(item)).filter((match) => match !== null)
}

function dayOf(value: string): string {
  const span = parseDa(value)
  if (!span) throw new Error(`a case needs a day of receipt: ${value}`)
  return formatDate(span.to)
}

function policyOf(presetId: string, extras: readonly string[]): Policy {
  const preset = presets[presetId]
  if (!preset) throw new Error(`no preset ${presetId}`)
  const [, years = '0', from = 'receipt'] = matches(extras, /^house=(\d+)(?:\/(.+))?$/)[0] ?? []
  const houseMinimum = { years: Number(years), from: from as 'receipt' | 'study-date' }
  return policyFrom([preset], { id: presetId, version: 'golden', timeZone: 'Europe/Berlin', houseMinimum })
}

function eventOf(name: string, value: string, n: number): RetentionEvent {
  const [, kind = '', target, id] = /^([a-z-]+)(?:\((\w+)\))?(?:#(\w+))?$/.exec(name) ?? []
  const [date = '', recordedOn = '2050-01-01'] = value.split('@')
  return {
    id: id ?? `e${n}`,
    kind,
    recordedOn,
    ...(date === '?' ? {} : { date }),
    ...(target === undefined ? {} : { ends: target }),
  }
}

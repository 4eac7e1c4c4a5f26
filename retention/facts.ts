import { type CivilDate, compareDates, parseDate } from './dates/civil.ts'
import { type DateSpan, laterSpan, notAfter, parseDa } from './dates/span.ts'
import type { StudyClass } from './rule.ts'

/** Something that happened outside the archive and was recorded by an officer or an interface. Never changed or removed. */
export interface RetentionEvent {
  readonly id: string
  /**
   * `death`; `contact`, `discharge`, `entry`, `end-of-treatment` (these count as contacts); what a policy's rules name
   * (`consent`, `last-application`, `diagnosis-of-cancer`, `transfusion`, `claim`, ...); `ended` and `voided`, see `ends`.
   */
  readonly kind: string
  /** A DA value; missing or unreadable means some day up to `recordedOn`. */
  readonly date?: string | undefined
  /** YYYY-MM-DD, in the archive's zone. */
  readonly recordedOn: string
  /**
   * Of an `ended` event: the id of the event that is over, for example of a claim. Of a `voided` one: of an event that was
   * recorded by mistake and counts no more; both stay in the facts. What was decided with it is not shortened.
   */
  readonly ends?: string | undefined
}

/**
 * All that a decision depends on, as it was recorded: DICOM values stay the strings they were, so that an auditor sees
 * what the archive saw. Plain data; it is kept in the decision's event.
 */
export interface StudyFacts {
  readonly studyUid: string
  /** Empty where nobody knows. */
  readonly classes: readonly StudyClass[]
  /** Study Date (0008,0020). */
  readonly studyDate?: string | undefined
  /** Patient's Birth Date (0010,0030). */
  readonly birthDate?: string | undefined
  /** The day the last instance arrived, YYYY-MM-DD in the archive's zone: the one date that no sender can get wrong. */
  readonly receivedOn: string
  /** The patient's last study of each class and of any, this study included or not. */
  readonly last?: Readonly<Partial<Record<StudyClass | 'any', LastStudy>>> | undefined
  readonly events?: readonly RetentionEvent[] | undefined
}

export interface LastStudy {
  readonly studyDate?: string | undefined
  readonly receivedOn: string
}

const CONTACTS: ReadonlySet<string> = new Set(['contact', 'discharge', 'entry', 'end-of-treatment'])

/** A study was made before it arrived, whatever its date says; a date that lies later is believed all the same. */
const madeWithin = ({ studyDate, receivedOn }: LastStudy): DateSpan =>
  parseDa(studyDate) ?? notAfter(parseDate(receivedOn))

export const happenedWithin = ({ date, recordedOn }: RetentionEvent): DateSpan =>
  parseDa(date) ?? notAfter(parseDate(recordedOn))

/** The facts with their dates read, once for all rules. */
export interface ReadFacts {
  readonly facts: StudyFacts
  readonly study: DateSpan
  readonly studyDateKnown: boolean
  readonly received: CivilDate
  /** Undefined: not known at all. */
  readonly born: DateSpan | undefined
  readonly events: readonly RetentionEvent[]
  /** The last study of any class or recorded contact. */
  readonly lastContact: DateSpan
}

export function readFacts(facts: StudyFacts): ReadFacts {
  const received = parseDate(facts.receivedOn)
  const studyDate = parseDa(facts.studyDate)
  const study = studyDate ?? notAfter(received)
  const events = inForce(facts.events ?? [])
  return {
    facts,
    study,
    studyDateKnown: studyDate !== undefined,
    received,
    born: parseDa(facts.birthDate),
    events,
    lastContact: contact(study, facts.last, events),
  }
}

function inForce(events: readonly RetentionEvent[]): readonly RetentionEvent[] {
  const voided = new Set(events.filter(({ kind }) => kind === 'voided').map(({ ends }) => ends))
  return voided.size === 0 ? events : events.filter(({ id, kind }) => kind !== 'voided' && !voided.has(id))
}

function contact(study: DateSpan, last: StudyFacts['last'], events: readonly RetentionEvent[]): DateSpan {
  let latest = study
  for (const other of Object.values(last ?? {})) latest = laterSpan(latest, madeWithin(other))
  for (const event of events) if (CONTACTS.has(event.kind)) latest = laterSpan(latest, happenedWithin(event))
  return latest
}

/** The last event of a kind; undefined where none was recorded. */
export function lastEvent({ events }: ReadFacts, kind: string): DateSpan | undefined {
  let latest: DateSpan | undefined
  for (const event of events) {
    if (event.kind !== kind) continue
    const span = happenedWithin(event)
    latest = latest ? laterSpan(latest, span) : span
  }
  return latest
}

export function lastOfClass(read: ReadFacts, studyClass: StudyClass | 'any'): DateSpan {
  const last = read.facts.last?.[studyClass]
  return last ? laterSpan(read.study, madeWithin(last)) : read.study
}

/** Whether a study of the class is known that was certainly made later than this one. */
export function isFollowed(read: ReadFacts, studyClass: StudyClass | 'any'): boolean {
  const last = read.facts.last?.[studyClass]
  return last !== undefined && compareDates(madeWithin(last).from, read.study.to) > 0
}

/**
 * Of a patient's studies, the last of each class and of any: what `StudyFacts.last` is made of. The latest possible day
 * counts; of two studies that may both be the last, the one whose day is known better.
 */
export function lastStudies(
  studies: Iterable<LastStudy & { readonly classes: readonly StudyClass[] }>,
): Partial<Record<StudyClass | 'any', LastStudy>> {
  const last: Partial<Record<StudyClass | 'any', LastStudy>> = {}
  for (const { classes, studyDate, receivedOn } of studies) {
    for (const name of ['any', ...classes] as const) {
      const other = last[name]
      if (!other || isLater({ studyDate, receivedOn }, other)) last[name] = { studyDate, receivedOn }
    }
  }
  return last
}

function isLater(a: LastStudy, b: LastStudy): boolean {
  const [spanA, spanB] = [madeWithin(a), madeWithin(b)]
  return (compareDates(spanA.to, spanB.to) || compareDates(spanA.from, spanB.from)) > 0
}

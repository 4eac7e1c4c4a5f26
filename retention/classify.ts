import { z } from 'zod'
import { type Actor, requireReason, requireRecords } from './actor.ts'
import { STUDY_CLASSES, type StudyClass } from './rule.ts'

/** What a rule may look at: of a study the values of all its series and instances together. */
export interface StudyAttributes {
  /** Modality (0008,0060) of each series. */
  readonly modalities: readonly string[]
  /** SOP Class UIDs (0008,0016) of the instances. */
  readonly sopClassUids: readonly string[]
  /** Study Description (0008,1030). */
  readonly studyDescription?: string | undefined
  /** Who sent it: AE titles, token names. */
  readonly sources: readonly string[]
}

const texts = z.array(z.string().min(1).max(256)).min(1).max(500)

/**
 * A rule applies if for each of the attributes it names one value of the study matches one of its patterns. A pattern is
 * a value, with `*` for any characters; case doesn't matter.
 */
export const classRuleSchema = z.strictObject({
  id: z.string().min(1).max(64),
  when: z
    .strictObject({
      modality: texts.optional(),
      sopClassUid: texts.optional(),
      studyDescription: texts.optional(),
      source: texts.optional(),
    })
    .refine((when) => Object.values(when).some((patterns) => patterns !== undefined), 'a rule must look at something'),
  class: z.enum(STUDY_CLASSES),
})
export type ClassRule = z.output<typeof classRuleSchema>

const RT_OBJECTS = '1.2.840.10008.5.1.4.1.1.481.*'

/** By modality (PS3.3 C.7.3.1.1.1) and SOP class. What is neither an image nor a record on this list stays unknown. */
export const DEFAULT_CLASS_RULES: readonly ClassRule[] = [
  { id: 'radiotherapy-modality', when: { modality: ['RT*'] }, class: 'treatment' },
  { id: 'radiotherapy-object', when: { sopClassUid: [RT_OBJECTS] }, class: 'treatment' },
  { id: 'mammography', when: { modality: ['MG'] }, class: 'mammography-screening' },
  {
    id: 'images',
    when: {
      modality: [
        ...['AR', 'BDUS', 'BI', 'BMD', 'CR', 'CT', 'DG', 'DX', 'EPS', 'ES', 'GM', 'HD', 'IO', 'IVOCT', 'IVUS'],
        ...['LEN', 'LS', 'MG', 'MR', 'NM', 'OAM', 'OCT', 'OP', 'OPM', 'OPT', 'OPV', 'PT', 'PX', 'RF', 'RG', 'SM'],
        ...['TG', 'US', 'VA', 'XA', 'XC'],
      ],
    },
    class: 'examination',
  },
  { id: 'documents', when: { modality: ['DOC', 'SR', 'ECG'] }, class: 'record' },
]

/** One value that made one rule apply. */
export interface ClassReason {
  readonly rule: string
  readonly class: StudyClass
  readonly attribute: keyof ClassRule['when']
  readonly value: string
  readonly pattern: string
}

export interface Classification {
  /** Sorted; empty where no rule applied: then the class is unknown and the longest rule wins. */
  readonly classes: readonly StudyClass[]
  readonly reasons: readonly ClassReason[]
  /** The officers' decisions that take the place of the rules. */
  readonly overrides: readonly ClassOverride[]
}

/**
 * A records officer's decision, an event. It takes the place of those it names; two that were made without knowledge of
 * each other, at two sites, both count until somebody decides between them.
 */
export interface ClassOverride {
  readonly id: string
  readonly supersedes: readonly string[]
  readonly studyUid: string
  readonly classes: readonly StudyClass[]
  readonly reason: string
  readonly by: string
  readonly at: string
}

/**
 * What a study is, and why. A study may be several things at once, a planning CT with its plan for example; then the
 * rules of each apply and the latest date wins, so a wrong class too many can only keep longer.
 */
export function classify(
  study: StudyAttributes,
  rules: readonly ClassRule[] = DEFAULT_CLASS_RULES,
  overrides: readonly ClassOverride[] = [],
): Classification {
  const reasons = rules.flatMap((rule) => reasonsOf(rule, study))
  const current = currentOverrides(overrides)
  const found = current.length > 0 ? current.map(({ classes }) => classes) : [reasons.map((reason) => reason.class)]
  // One officer who says that nobody knows is enough: then the longest rule wins.
  const classes = found.some((list) => list.length === 0) ? [] : found.flat()
  return { classes: [...new Set(classes)].sort(), reasons, overrides: current }
}

/** In an order that doesn't depend on who told whom first. */
function currentOverrides(overrides: readonly ClassOverride[]): ClassOverride[] {
  const superseded = new Set(overrides.flatMap(({ supersedes }) => supersedes))
  const current = new Map(overrides.map((override) => [override.id, override]))
  for (const id of superseded) current.delete(id)
  return [...current.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Empty unless every attribute that the rule names has a match. */
function reasonsOf(rule: ClassRule, study: StudyAttributes): ClassReason[] {
  const values: Record<keyof ClassRule['when'], readonly string[]> = {
    modality: study.modalities,
    sopClassUid: study.sopClassUids,
    studyDescription: study.studyDescription === undefined ? [] : [study.studyDescription],
    source: study.sources,
  }
  const reasons: ClassReason[] = []
  for (const attribute of Object.keys(values) as (keyof ClassRule['when'])[]) {
    const patterns = rule.when[attribute]
    if (!patterns) continue
    const match = firstMatch(values[attribute], patterns)
    if (!match) return []
    reasons.push({ rule: rule.id, class: rule.class, attribute, ...match })
  }
  return reasons
}

function firstMatch(values: readonly string[], patterns: readonly string[]) {
  for (const pattern of patterns) for (const value of values) if (matches(value, pattern)) return { value, pattern }
  return undefined
}

/** Wildcards without a regular expression: no pattern of a configuration can make it slow. */
function matches(value: string, pattern: string): boolean {
  const text = value.trim().toLowerCase()
  const [first = '', ...rest] = pattern.trim().toLowerCase().split('*')
  const last = rest.pop()
  if (last === undefined) return text === first
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}

/**
 * The event by which a records officer says what a study is, in place of all that was said of it before. No classes: that
 * nobody knows. Throws RetentionRefusal.
 */
export function overrideClass(
  override: Pick<ClassOverride, 'id' | 'studyUid' | 'classes' | 'reason'>,
  before: readonly ClassOverride[],
  actor: Actor,
  at: string,
): ClassOverride {
  requireRecords(actor, 'classify a study')
  const supersedes = before.map(({ id }) => id).sort()
  return { ...override, supersedes, reason: requireReason(override.reason), by: actor.id, at }
}

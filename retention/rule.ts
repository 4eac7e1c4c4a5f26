import { z } from 'zod'
import { isTimeZone } from './dates/zone.ts'

/** What a study is in the eyes of a retention law. A study may be several of these; then the rules of each apply. */
export const STUDY_CLASSES = ['treatment', 'examination', 'mammography-screening', 'research', 'record'] as const
export type StudyClass = (typeof STUDY_CLASSES)[number]

const id = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, 'lower case letters, digits, dots and dashes, at most 64')
const years = z.int().min(0).max(100)

const untilAge = z
  .strictObject({
    age: z.int().min(1).max(100),
    ends: z
      .enum(['completed', 'birthday'])
      .describe('completed: the day before the birthday is the last day kept; birthday: the birthday itself is'),
    on: z.enum(['study', 'anchor']).default('study').describe('the day on which the patient must have been of the age'),
    from: z.int().min(0).max(100).optional().describe('applies to patients of at least this age'),
    below: z.int().min(1).max(100).optional().describe('applies to patients younger than this'),
  })
  .refine(
    ({ from, below }) => from === undefined || below === undefined || from < below,
    '`from` must be less than `below`',
  )

const deathRule = z
  .strictObject({
    years,
    effect: z
      .enum(['also', 'instead'])
      .describe('also: the later of the two dates; instead: takes the place of everything else in this rule'),
    withinYears: years.optional().describe('only if the patient died less than so many years after the anchor'),
  })
  .refine(
    ({ effect, withinYears }) => effect === 'also' || withinYears !== undefined,
    'a death rule that can shorten must say within how many years of the anchor the death counts',
  )

/**
 * One rule of a retention law: so many years from an anchor, longer where the patient was young or has died.
 *
 * Anchors: `study-date`; `last-of-class`, the patient's last study of this rule's class; `last-contact`, the last study
 * of any class or recorded contact; `receipt`, the last instance's arrival; `event:KIND`, the last recorded event of that
 * kind (a rule with such an anchor doesn't apply before there is one).
 */
export const ruleSchema = z
  .strictObject({
    id,
    class: z.enum([...STUDY_CLASSES, 'any']),
    years: z.union([years, z.literal('forever')]),
    anchor: z.union([
      z.enum(['study-date', 'last-of-class', 'last-contact', 'receipt']),
      z.templateLiteral(['event:', z.string().regex(/^[a-z][a-z-]{0,63}$/)]),
    ]),
    countsFrom: z.enum(['day', 'year-end']).default('day').describe('year-end: from the end of the anchor’s year'),
    leapDay: z
      .enum(['feb-28', 'mar-01'])
      .default('mar-01')
      .describe('the last day of a period counted from 29 February'),
    yearsIfFollowed: years.optional().describe('instead of `years` where a later study of the class is known'),
    untilAge: untilAge.optional(),
    floorYears: years.optional().describe('at least so many years from the anchor, whatever a death rule says'),
    deathRule: deathRule.optional(),
    suspendOn: id.optional().describe('the kind of event, such as `claim`, that stops the period until it has ended'),
    combine: z.literal('max').default('max').describe('the latest date wins; there is no other way'),
    approvals: z.int().min(2).max(5).default(2).describe('persons who must agree before anything is destroyed'),
  })
  .refine((rule) => rule.anchor !== 'last-of-class' || rule.class !== 'any', {
    message: '`last-of-class` needs a class',
    path: ['anchor'],
  })
  .refine((rule) => rule.years !== 'forever' || rule.deathRule?.effect !== 'instead', {
    message: 'nothing can take the place of `forever`',
    path: ['deathRule'],
  })
  .refine((rule) => rule.years === 'forever' || (rule.yearsIfFollowed ?? 0) <= rule.years, {
    message: '`yearsIfFollowed` must not be more than `years`',
    path: ['yearsIfFollowed'],
  })
export type Rule = z.output<typeof ruleSchema>

export const policySchema = z
  .strictObject({
    id,
    version: z.string().min(1).max(64),
    timeZone: z.string().refine(isTimeZone, 'a time zone such as Europe/Berlin'),
    houseMinimum: z
      .strictObject({
        years: z.int().min(0).max(100).default(30),
        from: z
          .enum(['receipt', 'study-date'])
          .default('receipt')
          .describe('receipt: the later of study date and arrival, which no wrong clock of a modality can move back'),
      })
      .prefault({}),
    rules: z.array(ruleSchema).min(1).max(200),
  })
  .refine(({ rules }) => new Set(rules.map((rule) => rule.id)).size === rules.length, {
    message: 'two rules have the same id',
    path: ['rules'],
  })
  .refine(({ rules }) => rules.some(({ anchor }) => !anchor.startsWith('event:')), {
    message: 'at least one rule must apply without a recorded event',
    path: ['rules'],
  })

/** The rules of one volume. Policies never change: another one has another version. */
export type Policy = z.output<typeof policySchema>
export type PolicyInput = z.input<typeof policySchema>

/** A policy that cannot be used, with every reason. */
export class PolicyError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`the retention policy can't be used: ${problems.join('; ')}`)
    this.name = 'PolicyError'
    this.problems = problems
  }
}

/** Checks and freezes a policy. Throws PolicyError. */
export function parsePolicy(input: unknown): Policy {
  const result = policySchema.safeParse(input)
  if (!result.success) {
    throw new PolicyError(
      result.error.issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message)),
    )
  }
  return deepFreeze(result.data)
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part)
    Object.freeze(value)
  }
  return value
}

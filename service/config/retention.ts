import { z } from 'zod'
import { classRuleSchema } from '../../retention/classify.ts'
import { isTimeZone } from '../../retention/dates/zone.ts'
import { presets } from '../../retention/presets/index.ts'
import { policyFrom } from '../../retention/presets/preset.ts'
import { type Policy, PolicyError, parsePolicy, ruleSchema } from '../../retention/rule.ts'

const years = z.int().min(0).max(100)

const volumePolicy = z
  .strictObject({
    id: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{0,63}$/)
      .default('default')
      .describe('name of the policy'),
    version: z.string().min(1).max(64).default('1').describe('another one for each change; both are kept'),
    presets: z
      .array(z.string().refine((id) => Object.hasOwn(presets, id), `one of ${Object.keys(presets).join(', ')}`))
      .default([])
      .describe('templates, none of them reviewed: at, be, ch, de, england, fr, it, nl, rcr, us'),
    rules: z.array(ruleSchema).default([]).describe('rules of your own; of all rules the latest date wins'),
    timeZone: z
      .string()
      .refine(isTimeZone, 'a time zone such as Europe/Berlin')
      .default('UTC')
      .describe('of all dates'),
    houseMinimum: z
      .strictObject({
        years: years.default(30).describe('no study is kept for less'),
        from: z.enum(['receipt', 'study-date']).default('receipt').describe('receipt: the later of the two'),
      })
      .prefault({}),
  })
  .superRefine((input, context) => {
    try {
      toPolicy(input)
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error
      for (const message of error.problems) context.addIssue({ code: 'custom', message })
    }
  })

/** How long is kept what, and who looks after that. */
export const retentionConfig = z.strictObject({
  volumes: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/), volumePolicy)
    .refine((volumes) => Object.hasOwn(volumes, 'default'), 'there must be a policy for the volume `default`')
    .prefault({ default: {} })
    .describe('the policy of each volume; without any: 30 years from receipt'),
  classRules: z
    .array(classRuleSchema)
    .max(500)
    .optional()
    .describe('what a study is, by its attributes; default: by modality and SOP class'),
  movesHeld: z
    .boolean()
    .default(true)
    .describe('copies of held studies may move between stores, with as many other copies verified as wanted'),
  evaluateHours: z.number().positive().default(24).describe('how often what has changed is evaluated again'),
})

export { STUDY_CLASSES } from '../../retention/rule.ts'

export type RetentionConfig = z.output<typeof retentionConfig>

/** What applies where nothing is configured: the house minimum says the same. */
const DEFAULT_RULE = ruleSchema.parse({ id: 'firn-default', class: 'any', years: 30, anchor: 'receipt' })

/** Throws PolicyError. */
export function toPolicy({ presets: ids, rules, ...rest }: z.output<typeof volumePolicy>): Policy {
  if (ids.length === 0 && rules.length === 0) return parsePolicy({ ...rest, rules: [DEFAULT_RULE] })
  return policyFrom(
    ids.flatMap((id) => presets[id] ?? []),
    { ...rest, rules },
  )
}

/** A policy as a configuration file says it, for a dry run. Throws ZodError. */
export const parseVolumePolicy = (input: unknown): Policy => toPolicy(volumePolicy.parse(input))

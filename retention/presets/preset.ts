import { z } from 'zod'
import { type Policy, type PolicyInput, parsePolicy, ruleSchema } from '../rule.ts'

/**
 * Rules of one country or body, as a template. Firn's authors are no lawyers: `reviewed` stays false until somebody who
 * answers for it has checked the text against the law in force, and `signOff` says who.
 */
export const presetSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z]{2,16}$/),
    title: z.string().min(1),
    version: z.string().regex(/^\d{4}-\d\d-\d\d$/, 'the day on which the sources were read'),
    sources: z.array(z.strictObject({ rule: z.string(), text: z.string(), checked: z.boolean() })).min(1),
    reviewed: z.boolean(),
    signOff: z.strictObject({ by: z.string().min(1), role: z.string().min(1), on: z.iso.date() }).nullable(),
    notes: z.array(z.string()),
    rules: z.array(ruleSchema).min(1),
  })
  .refine(({ reviewed, signOff }) => reviewed === (signOff !== null), '`reviewed` and `signOff` belong together')
export type Preset = z.output<typeof presetSchema>
export type PresetInput = z.input<typeof presetSchema>

/** A policy of the rules of one or more presets; of all of them the latest date wins. Throws PolicyError. */
export function policyFrom(
  presets: readonly PresetInput[],
  { rules = [], ...rest }: Omit<PolicyInput, 'rules'> & { rules?: PolicyInput['rules'] },
): Policy {
  return parsePolicy({ ...rest, rules: [...presets.flatMap((preset) => preset.rules), ...rules] })
}

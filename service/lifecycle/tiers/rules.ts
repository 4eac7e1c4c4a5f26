import type { PackFacts } from '../../catalogue/tier-ports.ts'
import type { MoveRule } from '../../config/tiers.ts'
import type { Tier } from '../../stores/ports.ts'
import { rankOf } from './tiers.ts'

const DAY_MS = 86_400_000
/** A pack that no rule will ever move is not looked at again unless the rules change. */
export const NEVER = '9999-12-31'

export interface Decision {
  /** Where the pack belongs today. */
  tier: Tier
  /** When the answer may be another one: YYYY-MM-DD. */
  nextLook: string
}

/**
 * Where rules want a pack that is in tier `now`. They only ever move it to a slower one: what came down because it was old
 * doesn't come up because it was read once, or every look into old studies would move them twice. A pin brings it up.
 */
export function decide(
  facts: PackFacts,
  rules: readonly MoveRule[],
  today: string,
  { now, present }: { now: Tier; present: readonly Tier[] },
): Decision {
  if (facts.pinned) return { tier: present[0] ?? now, nextLook: NEVER }
  let tier = now
  let nextLook = NEVER
  for (const rule of rules) {
    if (!present.includes(rule.to) || !applies(rule, facts)) continue
    const due = dueDay(rule, facts)
    if (due <= today && rankOf(rule.to) > rankOf(tier)) tier = rule.to
  }
  for (const rule of rules) {
    if (!present.includes(rule.to) || !applies(rule, facts) || rankOf(rule.to) <= rankOf(tier)) continue
    const due = dueDay(rule, facts)
    if (due < nextLook) nextLook = due
  }
  return { tier, nextLook }
}

function applies({ modalities, volumes }: MoveRule, facts: PackFacts): boolean {
  if (modalities && !modalities.some((modality) => facts.modalities.includes(modality))) return false
  return !volumes || volumes.includes(facts.pack.volume)
}

/** A study without a date, or with one in the future, counts from its arrival. */
function dueDay({ afterDays, since, unusedDays }: MoveRule, facts: PackFacts): string {
  const { studyDate, received, lastUsed } = facts
  const from = since === 'study' && studyDate !== '' && studyDate <= received ? studyDate : received
  const aged = plusDays(from, afterDays)
  if (unusedDays === undefined) return aged
  const unused = plusDays(lastUsed > received ? lastUsed : received, unusedDays)
  return aged > unused ? aged : unused
}

/** A date that isn't one is taken for very old only where nothing better is known. */
export function plusDays(day: string, days: number): string {
  const at = Date.parse(day) + Math.ceil(days) * DAY_MS
  return Number.isFinite(at) && at < Date.parse(NEVER) ? new Date(at).toISOString().slice(0, 10) : NEVER
}

/** One study whose time is over, with everything a test changes about it. Only tests import this. */
import type { Disposition } from '../disposition.ts'
import { approve, begin, nominate, review } from '../disposition.ts'
import type { StudyFacts } from '../facts.ts'
import { type Hold, HoldSet, placeHold } from '../holds.ts'
import { evaluate, type RetainUntil } from '../policy.ts'
import { presets } from '../presets/index.ts'
import { policyFrom } from '../presets/preset.ts'
import type { Policy } from '../rule.ts'
import type { Standing } from '../standing.ts'

export const AT = '2056-01-01T00:00:00Z'
export const NOW_MS = Date.parse(AT)
export const SITES = ['north', 'south'] as const
export const anna = { id: 'anna', roles: ['records'] as const }
export const bert = { id: 'bert', roles: ['records'] as const }
export const carl = { id: 'carl', roles: ['records'] as const }
export const adam = { id: 'adam', roles: ['admin'] as const }

export const digest = (n: number): string => n.toString(16).padStart(64, '0')
export const INSTANCES = [digest(1), digest(2), digest(3)]

const { de = { rules: [] } as never, fr = { rules: [] } as never } = presets
export const policyOf = (version: string, years = 30): Policy =>
  policyFrom([de], { id: 'radiology', version, timeZone: 'Europe/Berlin', houseMinimum: { years } })
export const frenchPolicy: Policy = policyFrom([fr], { id: 'fr', version: '1', timeZone: 'Europe/Paris' })

export const FACTS: StudyFacts = {
  studyUid: '1.2.3',
  classes: ['examination'],
  studyDate: '20200115',
  birthDate: '19600101',
  receivedOn: '2020-01-15',
}

export interface Circumstances {
  policy?: Policy
  facts?: StudyFacts
  previous?: RetainUntil
  holds?: readonly Hold[]
  clocks?: Standing['clocks']
}

export const clocksAt = (...ms: number[]): Standing['clocks'] =>
  ms.map((complianceMs, n) => ({ site: SITES[n] ?? '', complianceMs, systemBehind: false }))

export function standing(change: Circumstances = {}): Standing {
  return {
    decision: evaluate(change.policy ?? policyOf('1'), change.facts ?? FACTS, change.previous),
    holds: change.holds ?? [],
    sites: SITES,
    clocks: change.clocks ?? clocksAt(NOW_MS, NOW_MS),
  }
}

export function hold(): Hold {
  const event = placeHold(
    {
      ...{ id: 'p1', holdId: 'h1', caseReference: 'C 1', reason: 'claim', holder: 'court' },
      target: { kind: 'study', studyUid: FACTS.studyUid },
    },
    anna,
    AT,
    { site: 'north', generation: 'g1' },
  )
  const [held] = new HoldSet([{ site: 'north', generation: 'g1' }], [event]).on(FACTS.studyUid, [])
  if (!held) throw new Error('the hold holds nothing')
  return held
}

export const candidate = (): Disposition => nominate('d1', standing(), INSTANCES, AT)
export const reviewed = (): Disposition => review(candidate(), anna, AT, 'no interest left')
export const approved = (): Disposition => approve(reviewed(), bert, AT, 'agreed')
export const destroying = (): Disposition => begin(approved(), standing(), INSTANCES, 1, AT)

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type HoldEvent, HoldSet, type HoldTarget } from '../holds.ts'
import { evaluate } from '../policy.ts'
import { blocksOf, type SiteClock } from '../standing.ts'
import { STANDING } from './standing.ts'
import { readCase } from './table.ts'

const SITES = ['north', 'south']
const NORTH = { site: 'north', generation: 'g1' }

function clocks(cell: string): SiteClock[] {
  const [north = '', south = north] = cell.split(' ')
  return [north, south].flatMap((value, n) =>
    value === 'away'
      ? []
      : [{ site: SITES[n] ?? '', complianceMs: Date.parse(value.replace('!', '')), systemBehind: value.endsWith('!') }],
  )
}

function holdEvents(cell: string, studyUid: string): HoldEvent[] {
  const targets: Record<string, HoldTarget> = {
    study: { kind: 'study', studyUid },
    patient: { kind: 'patient', patientKey: 'P1' },
    other: { kind: 'study', studyUid: '9.9' },
  }
  return cell === '-'
    ? []
    : cell.split('; ').flatMap((text, n) => {
        const [, name = '', releases = ''] = /^on (\w+)(\+*)$/.exec(text) ?? assert.fail(text)
        const base = { holdId: `h${n}`, ...NORTH, at: '2015-01-01T00:00:00Z', reason: 'claim' }
        const target = targets[name] ?? assert.fail(name)
        return [
          { ...base, kind: 'placed', id: `p${n}`, by: 'anna', target, caseReference: 'C', holder: 'court' } as const,
          ...[...releases].map(
            (_, person) =>
              ({ ...base, kind: 'release-agreed', id: `r${n}.${person}`, by: `person ${person}` }) as const,
          ),
        ]
      })
}

describe('golden cases of what stands in the way', () => {
  for (const line of STANDING.trim().split('\n').slice(1)) {
    const cells = line.split('|').map((cell) => cell.trim())
    const [id = '', preset = '', study = '', more = '', at = '', holds = '', blocks = '', why = ''] = cells
    test(`${id}: ${why}`, () => {
      assert.equal(cells.length, 8)
      const { policy, facts, previous } = readCase(preset, [
        id,
        'examination',
        study,
        '19600101',
        '-',
        more,
        '-',
        '-',
        why,
      ])
      const set = new HoldSet([NORTH], holdEvents(holds, facts.studyUid))
      const found = blocksOf({
        decision: evaluate(policy, facts, previous),
        holds: set.on(facts.studyUid, ['P1']),
        sites: SITES,
        clocks: clocks(at),
      })
      assert.deepEqual(found, blocks === '-' ? [] : blocks.split(' '))
    })
  }
})

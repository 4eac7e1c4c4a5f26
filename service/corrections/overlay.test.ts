import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { DicomJson } from '../dicom/types.ts'
import { type Correction, laidOver, type Merge, type PatientKey, redirected, shown } from './overlay.ts'

const key = (patientId: string): PatientKey => ({ patientId, issuer: '' })
const value = (text: string): DicomJson => ({ '00081030': { vr: 'LO', Value: [text] } })

let seq = 0
function place(order: number, site = 'a') {
  seq += 1
  return { order, site, seq, at: '2026-01-01T00:00:00.000Z' }
}
const merge = (from: string, to: string, order: number, site = 'a'): Merge => ({
  ...place(order, site),
  from: key(from),
  to: key(to),
  values: { '00100010': { vr: 'PN', Value: [{ Alphabetic: to }] } },
})

describe('what is laid over', () => {
  test('the greatest place wins for each attribute, whatever the length of the sites logs', () => {
    const made: Correction[] = [
      // Site b has a short log, and knew of what site a had done.
      { ...place(2, 'b'), seq: 3, values: value('second') },
      { ...place(1, 'a'), seq: 900_000, values: { ...value('first'), '00080050': { vr: 'SH', Value: ['A1'] } } },
    ]
    const { replaced } = laidOver({ original: undefined, moves: [], merges: [], patient: [], study: made })
    assert.deepEqual(replaced, { ...value('second'), '00080050': { vr: 'SH', Value: ['A1'] } })
  })

  test('merges are followed to the end', () => {
    const merges = [merge('B', 'C', 2), merge('A', 'B', 1)]
    assert.equal(redirected(key('A'), [], merges).key?.patientId, 'C')
    assert.equal(redirected(key('C'), [], merges).by, undefined)
  })

  test('of a circle the smallest merge is left out, wherever one begins', () => {
    const merges = [merge('A', 'B', 1), merge('B', 'C', 2), merge('C', 'A', 3)]
    for (const start of ['A', 'B', 'C']) {
      const { key: end } = redirected(key(start), [], merges)
      assert.equal(end?.patientId, 'A', start)
    }
  })

  test('a patient who was merged into himself stays', () => {
    assert.deepEqual(redirected(key('A'), [], [merge('A', 'A', 1)]).key, key('A'))
  })

  test('of the other patient nothing is left but what belongs to the day of the study', () => {
    const stored: DicomJson = {
      '00081030': { vr: 'LO', Value: ['Knee'] },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Wrong' }] },
      '00100020': { vr: 'LO', Value: ['A'] },
      '00101001': { vr: 'PN', Value: [{ Alphabetic: 'Also wrong' }] },
      '00101010': { vr: 'AS', Value: ['042Y'] },
    }
    const move = { ...place(1), to: key('B'), values: { '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Right' }] } } }
    const laid = laidOver({ original: key('A'), moves: [move], merges: [], patient: [], study: [] })
    assert.deepEqual(shown(stored, laid), {
      '00081030': { vr: 'LO', Value: ['Knee'] },
      '00101010': { vr: 'AS', Value: ['042Y'] },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Right' }] },
      '00100020': { vr: 'LO', Value: ['B'] },
      '00100021': { vr: 'LO' },
    })
  })

  test('the order in which corrections are given never matters, and merges always end', () => {
    const patient = fc.constantFrom('A', 'B', 'C', 'D')
    const at = fc.record({ order: fc.integer({ min: 1, max: 4 }), site: fc.constantFrom('a', 'b') })
    const merges = fc.array(fc.tuple(patient, patient, at), { maxLength: 8 })
    const studies = fc.array(fc.tuple(fc.constantFrom('00081030', '00080050'), fc.string({ maxLength: 3 }), at), {
      maxLength: 6,
    })
    fc.assert(
      fc.property(merges, studies, patient, fc.infiniteStream(fc.nat()), (links, values, start, shuffle) => {
        const all = links.map(([from, to, { order, site }]) => merge(from, to, order, site))
        const study: Correction[] = values.map(([tag, text, { order, site }]) => ({
          ...place(order, site),
          values: { [tag]: { vr: 'LO', Value: [text] } },
        }))
        const mixed = <One>(list: readonly One[]): One[] =>
          [...list]
            .map((one) => [shuffle.next().value as number, one] as const)
            .sort(([a], [b]) => a - b)
            .map(([, one]) => one)
        const overlay = { original: key(start), moves: [], merges: all, patient: [], study }
        const once = laidOver(overlay)
        const again = laidOver({ ...overlay, merges: mixed(all), study: mixed(study) })
        assert.deepEqual(again, once)
      }),
    )
  })
})

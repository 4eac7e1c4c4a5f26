import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { matches } from './match.ts'

const study = {
  '00080020': { vr: 'DA', Value: ['20240315'] },
  '00080061': { vr: 'CS', Value: ['CT', 'SR'] },
  '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^Anna' }] },
  '00100020': { vr: 'LO', Value: ['P-1'] },
  '0020000D': { vr: 'UI', Value: ['1.2.3'] },
}
const fits = (tag: string, value: string) => matches(study, { path: [tag], value })

describe('matching what a source says of a study', () => {
  test('as PS3.4 C.2.2.2 has it', () => {
    assert.ok(fits('00100020', 'P-1') && fits('00100020', 'P*') && fits('00100020', 'P??') && !fits('00100020', 'P-2'))
    assert.ok(fits('00080020', '20240101-20241231') && fits('00080020', '-20240315') && fits('00080020', '20240315-'))
    assert.ok(!fits('00080020', '20240316-') && !fits('00080020', '20230101-20231231') && fits('00080020', '20240315'))
    assert.ok(fits('0020000D', '1.2.4\\1.2.3') && !fits('0020000D', '1.2.33'))
    assert.ok(fits('00100010', 'MÜLLER*') && !fits('00100010', 'Meier*'))
    assert.ok(fits('00080061', 'SR') && !fits('00080061', 'MR'))
  })

  test('what the source does not say rules nothing out', () => {
    assert.ok(fits('00080050', 'A1'))
  })

  test('a pattern of many stars takes no longer than its length', () => {
    const long = { '00081030': { vr: 'LO', Value: ['a'.repeat(5000)] } }
    const started = performance.now()
    assert.equal(matches(long, { path: ['00081030'], value: `${'*a'.repeat(200)}b` }), false)
    assert.ok(performance.now() - started < 2000)
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { DicomJson } from '../dicom/types.ts'
import { rejectionNote } from './key-object.ts'

const sq = (...items: DicomJson[]) => ({ vr: 'SQ', Value: items })
const text = (vr: string, value: string) => ({ vr, Value: [value] })

function document(code: string, scheme: string, evidence: DicomJson[]): DicomJson {
  return {
    '0040A043': sq({ '00080100': text('SH', code), '00080102': text('SH', scheme) }),
    '0040A375': sq(...evidence),
  }
}

const evidenceOf = (study: string, ...instances: string[]): DicomJson => ({
  '0020000D': text('UI', study),
  '00081115': sq({
    '0020000E': text('UI', '1.9'),
    '00081199': sq(...instances.map((uid) => ({ '00081155': text('UI', uid) }))),
  }),
})

describe('a rejection note', () => {
  test('names instances by study, each once', () => {
    const note = rejectionNote(
      document('113001', 'DCM', [evidenceOf('1.2', '1.2.1', '1.2.1', '1.2.2'), evidenceOf('1.3', '1.3.1')]),
    )
    assert.deepEqual(note, {
      code: '113001',
      studies: [
        { studyUid: '1.2', sopInstanceUids: ['1.2.1', '1.2.2'] },
        { studyUid: '1.3', sopInstanceUids: ['1.3.1'] },
      ],
    })
  })

  test('is one by its title only, in the scheme of DICOM', () => {
    for (const code of ['113001', '113037', '113038', '113039']) {
      assert.ok(rejectionNote(document(code, 'DCM', [])), code)
    }
    for (const [code, scheme] of [
      ['113000', 'DCM'],
      ['113001', '99OTHER'],
      ['DELETED', '99FIRN'],
      ['DELETED', 'DCM'],
      ['toString', 'DCM'],
    ] as const) {
      assert.equal(rejectionNote(document(code, scheme, [])), undefined, `${code} ${scheme}`)
    }
  })

  test('what is no UID in it is passed over', () => {
    const note = rejectionNote(
      document('113037', 'DCM', [evidenceOf('1.2', '../x', '', '1.2.1'), evidenceOf('../x', '1.1')]),
    )
    assert.deepEqual(note?.studies, [{ studyUid: '1.2', sopInstanceUids: ['1.2.1'] }])
  })

  test('never fails, whatever stands in its place', () => {
    const attribute = fc.letrec((tie) => ({
      one: fc.record({
        vr: fc.constantFrom('SQ', 'UI', 'LO', 'UN'),
        Value: fc.array(fc.oneof({ depthSize: 'small' }, fc.string(), fc.constant(null), fc.integer(), tie('item'))),
      }),
      item: fc.dictionary(
        fc.constantFrom('0020000D', '00081115', '00081199', '00081155', '00080100', '00080102'),
        tie('one'),
        { maxKeys: 3 },
      ),
    })).item
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 3 }), (evidence) => {
        rejectionNote(document('113001', 'DCM', evidence as DicomJson[]))
        rejectionNote({ '0040A043': { vr: 'SQ', Value: evidence as DicomJson[] } })
      }),
    )
  })
})

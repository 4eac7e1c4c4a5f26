import assert from 'node:assert/strict'
import test from 'node:test'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { parseHeader } from './part10.ts'

test('a beginning that ends between two elements is not a whole header', () => {
  const file = dicomFile({})
  const { dataSet } = parseHeader(file, true)
  const study = dataSet.elements.x0020000d
  assert.ok(study)
  const beginning = file.subarray(0, study.dataOffset - 8)
  const header = parseHeader(beginning, false)
  assert.equal(header.identifiers.studyUid, undefined)
  assert.equal(header.complete, false)
  assert.equal(parseHeader(beginning, true).complete, true, 'a whole file may end there')
})

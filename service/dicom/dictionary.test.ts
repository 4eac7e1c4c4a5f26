import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isPrivate, keywordOf, lookUp, parseAttributeId, tagOf, vrOf } from './dictionary.ts'

describe('dictionary', () => {
  test('tags, keywords and VRs', () => {
    assert.deepEqual(lookUp('00100010'), { keyword: 'PatientName', vr: 'PN', otherVrs: [] })
    assert.deepEqual(lookUp('00280106'), { keyword: 'SmallestImagePixelValue', vr: 'US', otherVrs: ['SS'] })
    assert.equal(tagOf('StudyInstanceUID'), '0020000D')
    assert.equal(keywordOf('7FE00010'), 'PixelData')
    assert.equal(tagOf('NoSuchKeyword'), undefined)
    assert.equal(tagOf('constructor'), undefined)
  })

  test('attributes that the package is too old for', () => {
    assert.equal(tagOf('SelectorUVValue'), '00720083')
    assert.equal(vrOf('00720083'), 'UV')
  })

  test('repeating groups and elements', () => {
    assert.equal(keywordOf('60023000'), 'OverlayData')
    assert.equal(tagOf('OverlayData'), '60003000')
    assert.equal(vrOf('50FE2000'), 'US')
    assert.equal(keywordOf('00203103'), 'SourceImageIDs')
  })

  test('private, unknown and structural tags', () => {
    assert.equal(isPrivate('00091001'), true)
    assert.equal(lookUp('00091001'), undefined)
    assert.equal(vrOf('00091001'), undefined)
    assert.equal(vrOf('00090010'), 'LO')
    assert.equal(vrOf('00080000'), 'UL')
    assert.equal(lookUp('FFFEE000'), undefined)
    assert.equal(vrOf('00081234'), undefined)
  })

  test('attributes as requests name them', () => {
    assert.deepEqual(parseAttributeId('00100010'), ['00100010'])
    assert.deepEqual(parseAttributeId('0020000d'), ['0020000D'])
    assert.deepEqual(parseAttributeId('PatientName'), ['00100010'])
    assert.deepEqual(parseAttributeId('00400275.00401001'), ['00400275', '00401001'])
    assert.deepEqual(parseAttributeId('RequestAttributesSequence.RequestedProcedureID'), ['00400275', '00401001'])
    for (const wrong of [
      '',
      'patientname',
      '0010001',
      '00100010.',
      'PatientName.nonsense',
      '__proto__',
      '(0010,0010)',
    ]) {
      assert.equal(parseAttributeId(wrong), undefined, wrong)
    }
  })
})

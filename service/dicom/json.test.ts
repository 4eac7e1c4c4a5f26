import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import dicomParser from 'dicom-parser'
import fc from 'fast-check'
import { ArchiveError } from '../errors.ts'
import type { ParsedDataSet } from './data-set.ts'
import { encodeDataSet } from './encode.ts'
import { encodePart10Header } from './fileMeta.ts'
import { bulkDataRange, stringifyDicomJson, toDicomJson } from './json.ts'
import { readDataSet } from './read-data-set.ts'
import type { DicomJson } from './types.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const explicit = (text: string) => parse(hex(text), '1.2.840.10008.1.2.1')
const json = (text: string, options = {}) => toDicomJson(explicit(text), options)

/** What dicom-parser makes of a file with this data set. */
function parse(dataSet: Buffer, transferSyntaxUid: string): ParsedDataSet {
  const header = encodePart10Header({ sopClassUid: '1.2', sopInstanceUid: '1.3', transferSyntaxUid })
  return dicomParser.parseDicom(Buffer.concat([header, dataSet])) as ParsedDataSet
}

describe('toDicomJson', () => {
  test('text, names, numbers, tags and empty values', () => {
    assert.deepEqual(json('0800 0800 4353 0800 415c205c204220 20'), {
      '00080008': { vr: 'CS', Value: ['A', null, 'B'] },
    })
    assert.deepEqual(json('1000 1000 504e 0800 413d3d435c5e 2020'), {
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'A', Phonetic: 'C' }, { Alphabetic: '^' }] },
    })
    assert.deepEqual(json('1000 1000 504e 0000'), { '00100010': { vr: 'PN' } })
    assert.deepEqual(json('2800 0900 4154 0800 1800 6310 1800 6f10'), {
      '00280009': { vr: 'AT', Value: ['00181063', '0018106F'] },
    })
    assert.deepEqual(json('2800 1000 5553 0400 0001 ffff'), { '00280010': { vr: 'US', Value: [256, 65535] } })
  })

  test('DS and IS are numbers where they are, else what they say', () => {
    assert.deepEqual(json('1800 5000 4453 1200 2b312e355c325c31652d335c782e5c5c3031')['00180050']?.Value, [
      1.5,
      2,
      0.001,
      'x.',
      null,
      1,
    ])
    assert.deepEqual(json('2000 1300 4953 1400 39393939393939393939393939393939393935 20')['00200013']?.Value, [
      '9999999999999999995',
    ])
    assert.deepEqual(json('2000 1300 4953 0400 31412020')['00200013']?.Value, ['1A'])
  })

  test('numbers that JSON does not know go by their names; wrong lengths lose the rest only', () => {
    assert.deepEqual(json('1800 6094 464c 0800 0000c07f 000080ff')['00189460']?.Value, ['NaN', '-Infinity'])
    assert.deepEqual(json('2800 1000 5553 0300 0100 02'), { '00280010': { vr: 'US', Value: [1] } })
    assert.deepEqual(json('2800 1000 5553 0100 02'), { '00280010': { vr: 'US' } })
  })

  test('binary values are inline up to a limit, then bulk data; pixel data always', () => {
    const file = '4200 1100 4f42 0000 04000000 01020304' + 'e07f 1000 4f57 0000 02000000 0506'
    const options = { inlineBytesMax: 4, bulkDataUri: (path: string) => `bulk/${path}` }
    assert.deepEqual(json(file, options), {
      '00420011': { vr: 'OB', InlineBinary: 'AQIDBA==' },
      '7FE00010': { vr: 'OW', BulkDataURI: 'bulk/7FE00010' },
    })
    assert.deepEqual(json(file, { ...options, inlineBytesMax: 3 })['00420011'], {
      vr: 'OB',
      BulkDataURI: 'bulk/00420011',
    })
    assert.deepEqual(json(file, {})['7FE00010'], { vr: 'OW' })
  })

  test('items, their paths, and bulk data ranges', () => {
    const lut = '2800 0112 4f57 0000 02000000 abcd'
    const item = `feff00e0 0e000000 ${lut}`
    const dataSet = explicit(`0800 1221 5351 0000 2c000000 ${item} ${item}`)
    const paths: string[] = []
    const bulkDataUri = (path: string) => `${paths.push(path)}`
    toDicomJson(dataSet, { inlineBytesMax: 0, bulkDataUri })
    assert.deepEqual(paths, ['00082112.1.00281201', '00082112.2.00281201'])
    const ranges = paths.map((path) => bulkDataRange(dataSet, path))
    for (const range of ranges) {
      assert.equal(range?.vr, 'OW')
      assert.equal(
        Buffer.from(dataSet.byteArray).toString('hex', range.offset, range.offset + (range.length ?? 0)),
        'abcd',
      )
    }
    assert.equal((ranges[1]?.offset ?? 0) - (ranges[0]?.offset ?? 0), 22)
    for (const path of [
      '',
      '00082112.3.00281201',
      '00082112.1',
      '00082112.0.00281201',
      '00281201',
      '__proto__',
      'a.b.c',
      '00082112.1.x',
    ]) {
      assert.equal(bulkDataRange(dataSet, path), undefined, path)
    }
  })

  test('character sets change inside items, and end with them', () => {
    const inner = 'feff00e0 18000000 0800 0500 4353 0a00 49534f5f495220313434 0800 3010 4c4f 0200 bb20'
    const plain = 'feff00e0 0a000000 0800 3010 4c4f 0200 e920'
    const file = `0800 0500 4353 0a00 49534f5f495220313030 0800 1221 5351 0000 34000000 ${inner.replace('18000000', '1c000000')} ${plain}`
    const result = json(file.replace('34000000', '36000000'))
    assert.deepEqual(result['00080005']?.Value, ['ISO_IR 192'])
    const [first, second] = (result['00082112']?.Value ?? []) as DicomJson[]
    assert.deepEqual(first?.['00081030']?.Value, ['Л'])
    assert.deepEqual(second?.['00081030']?.Value, ['é'])
  })

  test('big endian: numbers and inline words are turned', () => {
    const dataSet = parse(
      hex('0028 0010 5553 0002 0102' + '0028 1201 4f57 0000 00000004 01020304'),
      '1.2.840.10008.1.2.2',
    )
    assert.deepEqual(toDicomJson(dataSet), {
      '00280010': { vr: 'US', Value: [0x0102] },
      '00281201': { vr: 'OW', InlineBinary: hex('02010403').toString('base64') },
    })
    assert.equal(bulkDataRange(dataSet, '00281201')?.swapBytes, 2)
  })

  test('implicit: VRs by dictionary, US or SS by pixel representation, private creators', () => {
    const signed = (value: string) =>
      parse(hex(`2800 0301 02000000 ${value} 2800 0601 02000000 ffff`), '1.2.840.10008.1.2')
    assert.deepEqual(toDicomJson(signed('0100'))['00280106'], { vr: 'SS', Value: [-1] })
    assert.deepEqual(toDicomJson(signed('0000'))['00280106'], { vr: 'US', Value: [65535] })
    assert.deepEqual(toDicomJson(parse(hex('0900 1000 02000000 4142 0900 0110 02000000 0102'), '1.2.840.10008.1.2')), {
      '00090010': { vr: 'LO', Value: ['AB'] },
      '00091001': { vr: 'UN', InlineBinary: 'AQI=' },
    })
  })

  test('UN of an attribute of the standard is read by its VR, also a sequence', () => {
    assert.deepEqual(json('1000 2000 554e 0000 02000000 4142'), { '00100020': { vr: 'LO', Value: ['AB'] } })
    assert.deepEqual(json('0800 1221 554e 0000 12000000 feff00e0 0a000000 2800 1000 02000000 0500'), {
      '00082112': { vr: 'SQ', Value: [{ '00280010': { vr: 'US', Value: [5] } }] },
    })
    assert.deepEqual(json('0800 1221 554e 0000 02000000 0102'), { '00082112': { vr: 'UN', InlineBinary: 'AQI=' } })
  })

  test('group lengths and meta information are left out; only and until', () => {
    const file = '0800 0000 554c 0400 00000000 1000 1000 504e 0200 4120 1000 2000 4c4f 0200 4220'
    assert.deepEqual(Object.keys(json(file)), ['00100010', '00100020'])
    assert.deepEqual(Object.keys(json(file, { only: new Set(['00100020']) })), ['00100020'])
    assert.deepEqual(Object.keys(json(file, { until: '00100020' })), ['00100010'])
  })

  test('the text has its keys in ascending order, as JavaScript would not', () => {
    const text = stringifyDicomJson(json('0800 1600 5549 0200 3100 0630 0200 5348 0200 4120'))
    assert.equal(text, '{"00080016":{"vr":"UI","Value":["1"]},"30060002":{"vr":"SH","Value":["A"]}}')
    const nested: DicomJson = {
      '00082112': { vr: 'SQ', Value: [{ '30060002': { vr: 'SH' }, '00080016': { vr: 'UI' } }] },
    }
    assert.equal(
      stringifyDicomJson(nested),
      '{"00082112":{"vr":"SQ","Value":[{"00080016":{"vr":"UI"},"30060002":{"vr":"SH"}}]}}',
    )
  })

  test('damaged data sets give what can be read, and no error but ours', () => {
    const model = encodeDataSet(
      {
        '00080005': { vr: 'CS', Value: ['ISO_IR 192'] },
        '00082112': { vr: 'SQ', Value: [{ '00281201': { vr: 'OW', InlineBinary: 'AQID' } }, {}] },
        '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Ä^B', Phonetic: 'ヤ' }] },
        '00180050': { vr: 'DS', Value: [1.5] },
        '00186028': { vr: 'FD', Value: [1.5, 2.5] },
        '00280103': { vr: 'US', Value: [1] },
        '7FE00010': { vr: 'OW', InlineBinary: 'AQIDBA==' },
      },
      'explicit',
    )
    const changes = fc.array(fc.tuple(fc.nat(model.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(changes, fc.boolean(), (where, strict) => {
        const bytes = Buffer.from(model)
        for (const [at, value] of where) bytes[at] = value
        const dataSet = parsedOrNothing(bytes, strict)
        if (!dataSet) return
        const paths: string[] = []
        const result = toDicomJson(dataSet, { inlineBytesMax: 2, bulkDataUri: (path) => `${paths.push(path)}` })
        JSON.parse(stringifyDicomJson(result))
        for (const path of paths) assert.ok(bulkDataRange(dataSet, path), path)
      }),
      { numRuns: 3000 },
    )
  })
})

/** The library's parser throws what it had read; ours refuses. */
function parsedOrNothing(bytes: Buffer, strict: boolean): ParsedDataSet | undefined {
  try {
    return strict ? readDataSet(bytes, 0, bytes.length, 'explicit') : parse(bytes, '1.2.840.10008.1.2.1')
  } catch (error) {
    assert.ok(!strict || error instanceof ArchiveError, String(error))
    return (error as { dataSet?: ParsedDataSet }).dataSet
  }
}

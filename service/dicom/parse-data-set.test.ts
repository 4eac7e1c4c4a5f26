import assert from 'node:assert/strict'
import { test } from 'node:test'
import dicomParser from 'dicom-parser'
import fc from 'fast-check'
import { type DicomOptions, dicomFile } from '../../test/fixtures/dicom.ts'
import type { ParsedDataSet } from './data-set.ts'
import { stringifyDicomJson, toDicomJson } from './json.ts'
import { parseHeader } from './part10.ts'

const json = (dataSet: ParsedDataSet) => stringifyDicomJson(toDicomJson(dataSet, { bulkDataUri: (path) => path }))

const kinds: DicomOptions[] = (['implicitLittle', 'explicitLittle', 'explicitBig', 'jpegBaseline'] as const).flatMap(
  (transferSyntax) => [true, false].map((undefinedLengths) => ({ transferSyntax, undefinedLengths })),
)

test('what dicom-parser reads is read alike', () => {
  for (const kind of kinds) {
    const file = dicomFile(kind)
    const other = dicomParser.parseDicom(file, { untilTag: 'x7fe00010' }) as ParsedDataSet
    assert.equal(json(parseHeader(file, true).dataSet), json(other), JSON.stringify(kind))
  }
})

test('damaged data sets are read without a throw, and values stay inside of them', () => {
  const files = kinds.map((kind) => dicomFile({ ...kind, rows: 0 }))
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(fc.constantFrom(...files), damage, fc.nat(), fc.boolean(), (file, changes, cut, whole) => {
      const bytes = Buffer.from(file.subarray(0, Math.max(132, file.length - (cut % file.length))))
      for (const [at, value] of changes) if (bytes.length > 400) bytes[400 + (at % (bytes.length - 400))] = value
      const { dataSet } = parseHeader(bytes, whole)
      for (const { tag, dataOffset, length } of Object.values(dataSet.elements))
        assert.ok(tag.startsWith('x7fe0') || dataOffset + length <= bytes.length, tag)
      JSON.parse(json(dataSet))
    }),
    { numRuns: 1000 },
  )
})

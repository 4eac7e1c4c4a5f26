import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeDataSet } from '../dicom/decode.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { DicomJson } from '../dicom/types.ts'
import { collect } from './data-set-stream.ts'
import { explicitToImplicit } from './transcode.ts'

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

function transcode(bytes: Buffer, size = 7): Promise<Buffer> {
  return collect(explicitToImplicit(cut(bytes, size)), 1e9)
}

const leaf: fc.Arbitrary<DicomJson> = fc.record({
  '00080060': fc.record({ vr: fc.constant('CS'), Value: fc.tuple(fc.constantFrom('CT', 'MR')) }),
  '00280010': fc.record({ vr: fc.constant('US'), Value: fc.tuple(fc.nat(0xffff)) }),
  '00281202': fc.record({
    vr: fc.constant('OW'),
    InlineBinary: fc.uint8Array({ minLength: 2, maxLength: 9000 }).map((bytes) => evenBase64(bytes)),
  }),
})
const dataSet: fc.Arbitrary<DicomJson> = fc
  .array(fc.tuple(leaf, fc.array(leaf, { maxLength: 2 })), { maxLength: 3 })
  .chain((items) =>
    leaf.map((root) => ({
      ...root,
      '00081115': {
        vr: 'SQ',
        Value: items.map(([item, inner]) => ({ ...item, '00081199': { vr: 'SQ', Value: inner } })),
      },
    })),
  )

function evenBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, bytes.length & ~1)).toString('base64')
}

function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value))
}

test('the transcoded data set says the same, however the stream is cut', async () => {
  const property = fc.asyncProperty(dataSet, fc.integer({ min: 1, max: 3000 }), async (each, size) => {
    const json = plain(each)
    const implicit = await transcode(encodeDataSet(json, 'explicit'), size)
    const expected = decodeDataSet(encodeDataSet(json, 'implicit'), IMPLICIT_LITTLE_ENDIAN)
    assert.deepEqual(decodeDataSet(implicit, IMPLICIT_LITTLE_ENDIAN), expected)
  })
  await fc.assert(property, { numRuns: 60 })
})

test('flat data sets come out as byte for byte the implicit encoding', async () => {
  const property = fc.asyncProperty(leaf, async (each) => {
    const json = plain(each)
    assert.deepEqual(await transcode(encodeDataSet(json, 'explicit')), encodeDataSet(json, 'implicit'))
  })
  await fc.assert(property, { numRuns: 30 })
})

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

test('defined lengths become undefined ones with delimiters; group lengths go', async () => {
  const explicit = hex(
    '08000000 554c 0400 10000000' + // group length
      '08001511 5351 0000 1a000000' + // SQ of 26 bytes
      'feff00e0 0a000000 08006000 4353 0200 4354' + // item of 10 bytes: Modality
      'feff00e0 00000000' + // empty item
      '10001000 504e 0200 4120',
  )
  const implicit = hex(
    '08001511 ffffffff' +
      'feff00e0 ffffffff 08006000 02000000 4354 feff0de0 00000000' +
      'feff00e0 ffffffff feff0de0 00000000' +
      'feffdde0 00000000' +
      '10001000 02000000 4120',
  )
  assert.deepEqual(await transcode(explicit, 1), implicit)
})

test('UN of undefined length holds implicit items, which stay as they are', async () => {
  const items = 'feff00e0 ffffffff 08006000 02000000 4354 feff0de0 00000000 feffdde0 00000000'
  const explicit = hex(`09001010 554e 0000 ffffffff ${items}`)
  assert.deepEqual(await transcode(explicit, 5), hex(`09001010 ffffffff ${items}`))
})

test('what cannot be transcoded faithfully is refused', async () => {
  const refused: [string, RegExp][] = [
    ['e07f1000 4f42 0000 ffffffff feff00e0 00000000', /encapsulated/],
    ['08006000 3f3f 0200 4354', /unknown VR/],
    ['08006000 4353 0400 4354', /cut short/],
    ['08006000', /cut short/],
    ['08001511 5351 0000 08000000 feff00e0 20000000', /longer than/],
    ['08001511 5351 0000 08000000 08006000 4353 0000', /something else than items/],
    ['feff0de0 00000000', /unexpected delimiter/],
  ]
  for (const [explicit, message] of refused) await assert.rejects(transcode(hex(explicit), 3), message)
})

test('any bytes are transcoded or refused, never more than a little bigger', async () => {
  const property = fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
    try {
      await transcode(Buffer.from(bytes))
    } catch (error) {
      assert.match(String(error), /can't be transcoded/)
    }
  })
  await fc.assert(property)
})

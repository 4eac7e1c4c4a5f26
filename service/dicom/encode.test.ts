import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ArchiveError, isArchiveError } from '../errors.ts'
import { decodeDataSet } from './decode.ts'
import { encodeDataSet } from './encode.ts'
import { encodePart10Header, IMPLEMENTATION_CLASS_UID } from './fileMeta.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from './transfer-syntaxes.ts'
import type { DicomJson, JsonAttribute } from './types.ts'
import { isUid } from './uids.ts'

const UID_OF = { implicit: IMPLICIT_LITTLE_ENDIAN, explicit: EXPLICIT_LITTLE_ENDIAN } as const
const SYNTAXES = ['implicit', 'explicit'] as const

const roundTrip = (json: DicomJson, syntax: 'implicit' | 'explicit') =>
  decodeDataSet(encodeDataSet(json, syntax), UID_OF[syntax])

const word = fc
  .string({ unit: fc.constantFrom(...'ABCäß王ヤ홍 123'), minLength: 1, maxLength: 12 })
  .map((text) => `x${text.trim()}`)
const several = (vr: string, value: fc.Arbitrary<string | number>) =>
  fc.array(value, { minLength: 1, maxLength: 4 }).map((values): JsonAttribute => ({ vr, Value: values }))
const name = fc.record(
  { Alphabetic: word, Ideographic: word, Phonetic: word },
  { requiredKeys: ['Alphabetic'], noNullPrototype: true },
)
const float = fc.float({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0))
const double = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0))

/** Attributes whose VR the dictionary knows, so that implicit data sets hold them too. */
const level = (items: fc.Arbitrary<DicomJson>) =>
  fc.record(
    {
      '00080018': fc.constant<JsonAttribute>({ vr: 'UI', Value: ['1.2.3'] }),
      '00080060': several('CS', fc.constantFrom('CT', 'MR', 'US')),
      '00081030': several('LO', word),
      '00082112': fc
        .array(items, { minLength: 1, maxLength: 3 })
        .map((value): JsonAttribute => ({ vr: 'SQ', Value: value })),
      '00100010': fc
        .array(name, { minLength: 1, maxLength: 2 })
        .map((value): JsonAttribute => ({ vr: 'PN', Value: value })),
      '00104000': word.map((text): JsonAttribute => ({ vr: 'LT', Value: [text] })),
      '00180050': several(
        'DS',
        fc.integer({ min: -1000, max: 1000 }).map((n) => n / 8),
      ),
      '00200013': several('IS', fc.integer({ min: -100000, max: 100000 })),
      '00186028': several('FD', double),
      '00189344': fc.constant<JsonAttribute>({ vr: 'CS' }),
      '00720076': several('FL', float),
      '00280009': several('AT', fc.constantFrom('00181063', '0018106F')),
      '00280010': several('US', fc.nat(65535)),
      '00189219': several('SS', fc.integer({ min: -32768, max: 32767 })),
      '00186020': several('SL', fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
      '00420011': fc
        .uint8Array({ minLength: 2, maxLength: 8 })
        .map((bytes): JsonAttribute => ({ vr: 'OB', InlineBinary: evenBase64(bytes) })),
    },
    { requiredKeys: [], noNullPrototype: true },
  ) as fc.Arbitrary<DicomJson>

const evenBase64 = (bytes: Uint8Array) => Buffer.from(bytes.subarray(0, bytes.length & ~1)).toString('base64')
const dataSets = level(level(fc.constant({})))

describe('encodeDataSet and decodeDataSet', () => {
  for (const syntax of SYNTAXES) {
    test(`what is encoded comes back (${syntax})`, () => {
      fc.assert(
        fc.property(dataSets, (json) => {
          const { '00080005': characterSet, ...rest } = roundTrip(json, syntax)
          assert.deepEqual(rest, json)
          if (characterSet) assert.deepEqual(characterSet, { vr: 'CS', Value: ['ISO_IR 192'] })
        }),
        { numRuns: 300 },
      )
    })

    test(`random bytes are a data set or an invalid request (${syntax})`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => onlyInvalidRequest(Buffer.from(bytes), syntax)),
        { numRuns: 2000 },
      )
    })

    test(`so are data sets that were damaged (${syntax})`, () => {
      fc.assert(
        fc.property(dataSets, fc.nat(), fc.nat(255), fc.nat(), (json, at, value, cut) => {
          const bytes = encodeDataSet(json, syntax)
          if (bytes.length === 0) return
          bytes[at % bytes.length] = value
          onlyInvalidRequest(bytes.subarray(0, bytes.length - (cut % 3 === 0 ? cut % bytes.length : 0)), syntax)
        }),
        { numRuns: 1000 },
      )
    })
  }

  test('64-bit integers, as strings where a double is too small', () => {
    const json: DicomJson = {
      '00091001': { vr: 'SV', Value: [-5, '-9223372036854775808', Number.MAX_SAFE_INTEGER] },
      '00091002': { vr: 'UV', Value: [0, '18446744073709551615'] },
    }
    assert.deepEqual(roundTrip(json, 'explicit'), json)
  })

  test('bytes as the standard has them', () => {
    const json: DicomJson = { '0020000D': { vr: 'UI', Value: ['1.2'] }, '00100020': { vr: 'LO', Value: ['A'] } }
    assert.equal(encodeDataSet(json, 'implicit').toString('hex'), '10002000020000004120' + '20000d0004000000312e3200')
    assert.equal(encodeDataSet(json, 'explicit').toString('hex'), '100020004c4f02004120' + '20000d0055490400312e3200')
    const empty: DicomJson = { '00082112': { vr: 'SQ', Value: [{}] } }
    assert.equal(
      encodeDataSet(empty, 'explicit').toString('hex'),
      '08001221' + '53510000' + '08000000' + 'feff00e000000000',
    )
  })

  test('text beyond ASCII is UTF-8 and says so, once', () => {
    const item: DicomJson = { '00080005': { vr: 'CS', Value: ['ISO_IR 100'] }, '00081030': { vr: 'LO', Value: ['é'] } }
    const json = roundTrip({ '00082112': { vr: 'SQ', Value: [item] } }, 'explicit')
    assert.deepEqual(json['00080005'], { vr: 'CS', Value: ['ISO_IR 192'] })
    assert.deepEqual(json['00082112']?.Value, [{ '00081030': { vr: 'LO', Value: ['é'] } }])
    assert.equal(roundTrip({ '00081030': { vr: 'LO', Value: ['e'] } }, 'explicit')['00080005'], undefined)
  })

  test('values that are longer than a 16-bit length become UN', () => {
    const long = 'x'.repeat(70_000)
    const bytes = encodeDataSet({ '00081030': { vr: 'LO', Value: [long] } }, 'explicit')
    assert.equal(bytes.toString('latin1', 4, 6), 'UN')
    assert.deepEqual(decodeDataSet(bytes, EXPLICIT_LITTLE_ENDIAN)['00081030'], { vr: 'LO', Value: [long] })
  })

  test('no value of a request is left out for its length', () => {
    const uids = Array.from({ length: 60_000 }, (_, index) => `1.2.826.0.1.3680043.${index}`)
    assert.deepEqual(roundTrip({ '00080018': { vr: 'UI', Value: uids } }, 'implicit')['00080018']?.Value, uids)
    // The VR of an unreadable element doesn't matter: its value must not vanish.
    const unreadable = { '00080018': { vr: 'UN', InlineBinary: Buffer.alloc(3000, 0x31).toString('base64') } }
    assert.equal(roundTrip(unreadable, 'explicit')['00080018']?.Value?.length, 1)
  })

  test('decimal strings have at most 16 characters', () => {
    const { '00180050': value } = roundTrip(
      { '00180050': { vr: 'DS', Value: [1 / 3, -1.23456789012345e-10] } },
      'implicit',
    )
    assert.deepEqual(value?.Value, [0.333333333333333, -1.23456789e-10])
  })

  test('a value that its VR cannot hold is refused by name', () => {
    for (const attribute of [
      { vr: 'US', Value: [70_000] },
      { vr: 'US', Value: ['x'] },
      { vr: 'AT', Value: ['zz'] },
      { vr: 'UV', Value: ['1.5'] },
      { vr: 'SL', Value: [{}] },
    ]) {
      assert.throws(
        () => encodeDataSet({ '00280010': attribute }, 'explicit'),
        (error) => isArchiveError(error, 'invalid_request') && error.message.includes('00280010'),
      )
    }
  })

  test('garbage, other transfer syntaxes, too much and too deep', () => {
    const refused = (bytes: Buffer, uid: string, code: 'invalid_request' | 'unsupported') =>
      assert.throws(
        () => decodeDataSet(bytes, uid),
        (error) => isArchiveError(error, code),
      )
    refused(Buffer.from('GET / HTTP/1.1\r\n\r\n'), IMPLICIT_LITTLE_ENDIAN, 'invalid_request')
    refused(Buffer.from('GET / HTTP/1.1\r\n\r\n'), EXPLICIT_LITTLE_ENDIAN, 'invalid_request')
    refused(Buffer.alloc(0), '1.2.840.10008.1.2.2', 'unsupported')
    refused(Buffer.alloc(5 * 1024 * 1024), IMPLICIT_LITTLE_ENDIAN, 'invalid_request')
    const opened = Buffer.from('08001221ffffffff' + 'feff00e0ffffffff', 'hex')
    refused(Buffer.concat(Array.from({ length: 100_000 }, () => opened)), IMPLICIT_LITTLE_ENDIAN, 'invalid_request')
    assert.deepEqual(decodeDataSet(Buffer.alloc(0), EXPLICIT_LITTLE_ENDIAN), {})
  })
})

function onlyInvalidRequest(bytes: Buffer, syntax: 'implicit' | 'explicit'): void {
  try {
    decodeDataSet(bytes, UID_OF[syntax])
  } catch (error) {
    assert.ok(error instanceof ArchiveError, String(error))
    assert.equal(error.code, 'invalid_request')
  }
}

describe('encodePart10Header', () => {
  test('is the same for the same input, and complete', () => {
    const meta = {
      sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
      sopInstanceUid: '1.2.3.4',
      transferSyntaxUid: '1.2.840.10008.1.2.1',
    }
    const header = encodePart10Header(meta)
    assert.deepEqual(header, encodePart10Header({ ...meta }))
    assert.ok(header.subarray(0, 128).every((byte) => byte === 0))
    assert.equal(header.toString('latin1', 128, 132), 'DICM')
    assert.equal(header.readUInt32LE(140), header.length - 144, 'group length')
    assert.equal(header.length % 2, 0)
    assert.ok(isUid(IMPLEMENTATION_CLASS_UID))
    const elements = header.toString('latin1', 144)
    for (const uid of [...Object.values(meta), IMPLEMENTATION_CLASS_UID]) assert.ok(elements.includes(uid), uid)
  })
})

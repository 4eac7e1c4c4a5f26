import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { actionInformation } from '../../test/support/commitment.ts'
import type { JudgedReference } from '../commitment/ports.ts'
import { decodeDataSet } from '../dicom/decode.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import { isArchiveError } from '../errors.ts'
import { encodeReport, readActionInformation } from './commitment-data.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const uid = fc.array(fc.nat(9999), { minLength: 2, maxLength: 10 }).map((parts) => parts.join('.'))
const syntax = fc.constantFrom('explicit' as const, 'implicit' as const)

test('a request is read as it was written, in both transfer syntaxes', () => {
  fc.assert(
    fc.property(
      uid,
      fc.array(fc.record({ sopClassUid: uid, sopInstanceUid: uid }, { noNullPrototype: true })),
      syntax,
      (transactionUid, references, as) => {
        const bytes = actionInformation({ transactionUid, references }, as === 'explicit')
        assert.deepEqual(readActionInformation(bytes, as, 1000), { transactionUid, references })
      },
    ),
  )
})

test('too many references are refused, whatever bytes there are is read or refused in words', () => {
  const references = Array.from({ length: 11 }, (_, n) => ({ sopClassUid: CT, sopInstanceUid: `1.${n}` }))
  const good = actionInformation({ transactionUid: '1.2', references })
  assert.throws(() => readActionInformation(good, 'explicit', 10), { code: 'too_large' })
  const broken = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length)).map(([at, value, end]) => {
    const bytes = Buffer.from(good)
    bytes[at] = value
    return bytes.subarray(0, end)
  })
  fc.assert(
    fc.property(
      fc.oneof(
        broken,
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      ),
      syntax,
      (bytes, as) => {
        try {
          readActionInformation(bytes, as, 100)
        } catch (error) {
          assert.ok(isArchiveError(error, 'invalid_request') || isArchiveError(error, 'too_large'), String(error))
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test('a result says which instances are committed and why the others are not', async () => {
  const judged: JudgedReference[] = Array.from({ length: 1203 }, (_, n) => ({
    number: n + 1,
    sopClassUid: CT,
    sopInstanceUid: `1.2.${n}`,
    verdict: n % 3 === 0 ? 'no_such_instance' : 'committed',
  }))
  const some = async function* (verdict: string) {
    yield* judged.filter((one) => one.verdict === verdict)
  }
  for (const as of ['explicit', 'implicit'] as const) {
    const parts: Buffer[] = []
    const report = {
      transactionUid: '1.2.3',
      aeTitle: 'FIRN',
      failed: some('no_such_instance'),
      committed: some('committed'),
    }
    for await (const part of encodeReport(report, as)) {
      assert.equal(part.length % 2, 0)
      parts.push(part)
    }
    assert.ok(parts.length > 3, 'it comes in pages')
    const json = decodeDataSet(
      Buffer.concat(parts),
      as === 'explicit' ? EXPLICIT_LITTLE_ENDIAN : IMPLICIT_LITTLE_ENDIAN,
    )
    assert.deepEqual(Object.keys(json), ['00080054', '00081195', '00081198', '00081199'])
    assert.deepEqual(json['00081195']?.Value, ['1.2.3'])
    assert.deepEqual([json['00081198']?.Value?.length, json['00081199']?.Value?.length], [401, 802])
    assert.deepEqual(json['00081198']?.Value?.[1], {
      '00081150': { vr: 'UI', Value: [CT] },
      '00081155': { vr: 'UI', Value: ['1.2.3'] },
      '00081197': { vr: 'US', Value: [0x0112] },
    })
  }
})

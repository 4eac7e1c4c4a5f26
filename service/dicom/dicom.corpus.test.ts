import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { skipUnless } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { searchForms } from './charset.ts'
import { decodeDataSet } from './decode.ts'
import { encodeDataSet } from './encode.ts'
import { alignFrame, locateFrames, pixelDataOf } from './frames.ts'
import { bulkDataRange, stringifyDicomJson, toDicomJson } from './json.ts'
import { type Header, parseHeader } from './part10.ts'
import { EXPLICIT_LITTLE_ENDIAN } from './transfer-syntaxes.ts'
import type { DicomJson, JsonPersonName, JsonValue } from './types.ts'
import { toNativeXml } from './xml.ts'

/** A folder of real DICOM files, pydicom's test files among them. */
const folder = process.env.FIRN_CORPUS
const skip = skipUnless(folder !== undefined, 'FIRN_CORPUS is not set')

interface CorpusFile {
  name: string
  /** The file, or the inflated data set of a deflated one: what the header's offsets are about. */
  bytes: Buffer
  header: Header
}

function corpus(): CorpusFile[] {
  assert.ok(folder, 'FIRN_CORPUS names the folder of files')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.dcm') && !name.includes('DICOMDIR'))
    .sort()
    .flatMap((name) => {
      const bytes = readFileSync(path.join(folder, name))
      try {
        const header = parseHeader(bytes, true)
        return [
          { name: path.basename(name), header, bytes: header.inflated ? Buffer.from(header.dataSet.byteArray) : bytes },
        ]
      } catch (error) {
        assert.ok(isArchiveError(error), `${name}: ${error}`)
        return []
      }
    })
}

/** PS3.5 Annexes H to K, and the names of the other character set files by their makers' documentation. */
const NAMES: Readonly<Record<string, JsonPersonName>> = {
  chrArab: { Alphabetic: 'قباني^لنزار' },
  chrFren: { Alphabetic: 'Buc^Jérôme' },
  chrFrenMulti: { Alphabetic: 'Buc^Jérôme' },
  chrGerm: { Alphabetic: 'Äneas^Rüdiger' },
  chrGreek: { Alphabetic: 'Διονυσιος' },
  chrH31: { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎', Phonetic: 'やまだ^たろう' },
  chrH32: { Alphabetic: 'ﾔﾏﾀﾞ^ﾀﾛｳ', Ideographic: '山田^太郎', Phonetic: 'やまだ^たろう' },
  chrHbrw: { Alphabetic: 'שרון^דבורה' },
  chrI2: { Alphabetic: 'Hong^Gildong', Ideographic: '洪^吉洞', Phonetic: '홍^길동' },
  chrJapMulti: { Alphabetic: 'やまだ^たろう' },
  chrJapMultiExplicitIR6: { Alphabetic: 'やまだ^たろう' },
  chrKoreanMulti: { Alphabetic: '김희중' },
  chrRuss: { Alphabetic: 'Люкceмбypг' },
  chrX1: { Alphabetic: 'Wang^XiaoDong', Ideographic: '王^小東' },
  chrX2: { Alphabetic: 'Wang^XiaoDong', Ideographic: '王^小东' },
}

/** Files with the same pixels in other byte orders. */
const SAME_PIXELS = [
  ['SC_rgb', 'SC_rgb_expb'],
  ['SC_rgb_16bit_2frame', 'SC_rgb_expb_16bit_2frame'],
  ['SC_rgb_32bit_2frame', 'SC_rgb_expb_32bit_2frame'],
  ['OBXXXX1A_2frame', 'OBXXXX1A_expb_2frame'],
  ['liver', 'liver_expb'],
  ['gdcm-US-ALOKA-16', 'gdcm-US-ALOKA-16_big'],
  ['emri_small', 'emri_small_big_endian'],
  ['test_files__MR_small', 'test_files__MR_small_bigendian'],
  ['test_files__MR_small', 'test_files__MR_small_implicit'],
  ['test_files__SC_rgb_small_odd', 'test_files__SC_rgb_small_odd_big_endian'],
] as const

/** The digest of each frame, '' where it isn't in the file; undefined without pixel data. */
async function frameDigests({ bytes, header }: CorpusFile): Promise<string[] | undefined> {
  const pixelData = pixelDataOf(header.dataSet, header.transferSyntaxUid)
  if (!pixelData) return undefined
  const frames = await locateFrames(pixelData, bytes.length, async (start, end) => {
    assert.ok(start >= 0 && start <= end && end <= bytes.length)
    return bytes.subarray(start, end)
  })
  const digests: string[] = []
  for (let number = 1; number <= frames.count; number++) {
    const frame = await frames.frame(number).catch((error) => assert.ok(isArchiveError(error, 'unsupported')))
    if (!frame) {
      digests.push('')
      continue
    }
    const hash = createHash('sha256')
    let length = 0
    const parts = frame.ranges.map(([start, end]) => bytes.subarray(start, end))
    for await (const part of alignFrame(
      frame,
      (async function* () {
        yield* parts
      })(),
    )) {
      hash.update(part)
      length += part.length
    }
    assert.equal(length, frame.length)
    digests.push(hash.digest('hex'))
  }
  return digests
}

describe('the corpus', { skip }, () => {
  let files: CorpusFile[] = []
  const file = (name: string): CorpusFile => {
    const found = files.find((each) => each.name === `${name}.dcm`)
    assert.ok(found, `the corpus has no ${name}.dcm`)
    return found
  }

  before(() => {
    files = corpus()
    assert.ok(files.length > 300, `only ${files.length} files`)
  })

  test('names in every character set', () => {
    for (const [name, expected] of Object.entries(NAMES)) {
      const json = toDicomJson(file(`charset_files__${name}`).header.dataSet)
      assert.deepEqual(json['00100010']?.Value, [expected], name)
    }
    assert.equal(searchForms(NAMES.chrFren as JsonPersonName).Alphabetic, 'BUC^JEROME')
  })

  test('every header becomes JSON and XML, its bulk data is in the file, and what it says survives encoding', () => {
    for (const { name, bytes, header } of files) {
      const paths: string[] = []
      const json = toDicomJson(header.dataSet, { bulkDataUri: (where) => `${paths.push(where)}`, inlineBytesMax: 64 })
      assert.deepEqual(JSON.parse(stringifyDicomJson(json)), JSON.parse(JSON.stringify(json)), name)
      assert.ok(toNativeXml(json).endsWith('</NativeDicomModel>'), name)
      for (const where of paths) {
        const range = bulkDataRange(header.dataSet, where)
        assert.ok(range && range.offset <= bytes.length, `${name} ${where}`)
      }
      const plain = withoutBulk(json)
      const again = withoutBulk(decodeDataSet(encodeDataSet(plain, 'explicit'), EXPLICIT_LITTLE_ENDIAN))
      assert.equal(stringifyDicomJson(again), stringifyDicomJson(plain), name)
    }
  })

  test('every frame is found, and byte order makes no difference', async () => {
    let frames = 0
    for (const each of files) {
      const digests = await frameDigests(each).catch((error) => {
        assert.ok(isArchiveError(error, 'unsupported'), `${each.name}: ${error}`)
      })
      frames += digests?.filter((digest) => digest !== '').length ?? 0
    }
    assert.ok(frames > 400, `only ${frames} frames`)
    for (const [one, other] of SAME_PIXELS) {
      assert.deepEqual(await frameDigests(file(one)), await frameDigests(file(other)), `${one} and ${other}`)
    }
  })
})

/** What depends on where the bytes are, or may change its form without its meaning, at every level. */
function withoutBulk(json: DicomJson): DicomJson {
  const kept: DicomJson = {}
  for (const [tag, attribute] of Object.entries(json)) {
    if (attribute.BulkDataURI !== undefined || tag === '00080005') continue
    const { vr, Value: values } = attribute
    if (vr === 'SQ' && values) kept[tag] = { vr, Value: values.map((item) => withoutBulk((item ?? {}) as DicomJson)) }
    else if (vr === 'DS' && values) kept[tag] = { vr, Value: values.map(nineDigits) }
    else if (attribute.InlineBinary !== undefined) kept[tag] = { vr, InlineBinary: evenLength(attribute.InlineBinary) }
    else kept[tag] = attribute
  }
  return kept
}

/** Makers write decimal strings longer than the standard allows, which are shortened when they are written again. */
function nineDigits(value: JsonValue): JsonValue {
  return typeof value === 'number' ? Number(value.toPrecision(9)) : value
}

/** Values of odd length, which the standard forbids, are padded when they are written again. */
function evenLength(base64: string): string {
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length % 2 === 0 ? base64 : Buffer.concat([bytes, Buffer.of(0)]).toString('base64')
}

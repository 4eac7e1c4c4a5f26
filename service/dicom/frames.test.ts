import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isArchiveError } from '../errors.ts'
import { encodePart10Header } from './fileMeta.ts'
import { alignFrame, type Frame, locateFrames, type PixelData, pixelDataOf } from './frames.ts'
import { toDicomJson } from './json.ts'
import { parseHeader } from './part10.ts'
import { readDataSet } from './read-data-set.ts'

const NATIVE = '1.2.840.10008.1.2.1'
const JPEG = '1.2.840.10008.1.2.4.50'
const RLE = '1.2.840.10008.1.2.5'
const VIDEO = '1.2.840.10008.1.2.4.102'

const LEAD = 100

function pixelData(changes: Partial<PixelData>): PixelData {
  return {
    transferSyntaxUid: NATIVE,
    offset: LEAD,
    length: undefined,
    swapBytes: 1,
    numberOfFrames: 1,
    rows: 4,
    columns: 4,
    samplesPerPixel: 1,
    bitsAllocated: 8,
    photometricInterpretation: 'MONOCHROME2',
    ...changes,
  }
}

/** A file of `LEAD` bytes and a value, with a reader that refuses what isn't there and counts what it gave. */
function file(value: Buffer) {
  const bytes = Buffer.concat([Buffer.alloc(LEAD), value])
  const given = { bytes: 0, reads: 0 }
  const read = async (start: number, end: number): Promise<Buffer> => {
    assert.ok(start >= 0 && start <= end && end <= bytes.length, `read ${start} to ${end} of ${bytes.length}`)
    given.reads++
    given.bytes += end - start
    return bytes.subarray(start, end)
  }
  return { bytes, read, given }
}

async function bytesOfFrame(bytes: Buffer, frame: Frame, chunkBytes = 3): Promise<Buffer> {
  async function* chunks(): AsyncIterable<Buffer> {
    for (const [start, end] of frame.ranges) {
      for (let at = start; at < end; at += chunkBytes) yield bytes.subarray(at, Math.min(at + chunkBytes, end))
    }
  }
  const parts: Buffer[] = []
  for await (const part of alignFrame(frame, chunks())) parts.push(part)
  const joined = Buffer.concat(parts)
  assert.equal(joined.length, frame.length)
  return joined
}

async function allFrames(value: Buffer, changes: Partial<PixelData>): Promise<Buffer[]> {
  const { bytes, read } = file(value)
  const frames = await locateFrames(pixelData(changes), bytes.length, read)
  const all: Buffer[] = []
  for (let number = 1; number <= frames.count; number++) {
    all.push(await bytesOfFrame(bytes, await frames.frame(number)))
  }
  return all
}

const item = (value: Buffer): Buffer => {
  const header = Buffer.from('feff00e000000000', 'hex')
  header.writeUInt32LE(value.length, 4)
  return Buffer.concat([header, value])
}
const table = (...offsets: number[]): Buffer => {
  return item(Buffer.concat(offsets.map(uint32)))
}
const END = Buffer.from('feffdde000000000', 'hex')
const image = (text: string) => Buffer.concat([Buffer.from('ffd8ffe0', 'hex'), Buffer.from(text)])
const refused = (code: 'not_found' | 'unsupported') => (error: unknown) => isArchiveError(error, code)

describe('native frames', () => {
  test('are cut by size', async () => {
    const value = Buffer.from(Array.from({ length: 48 }, (_, index) => index))
    const frames = await allFrames(value, { length: 48, numberOfFrames: 3 })
    assert.deepEqual(Buffer.concat(frames), value)
    const colour = { length: 48, numberOfFrames: 1, samplesPerPixel: 3, photometricInterpretation: 'RGB' }
    assert.deepEqual(await allFrames(value, colour), [value])
    const subsampled = { length: 32, numberOfFrames: 1, samplesPerPixel: 3, photometricInterpretation: 'YBR_FULL_422' }
    assert.deepEqual(await allFrames(value, subsampled), [value.subarray(0, 32)])
  })

  test('of single bits begin at a byte boundary, whatever they did in the file', async () => {
    const shape = fc.record({
      rows: fc.integer({ min: 1, max: 9 }),
      columns: fc.integer({ min: 1, max: 9 }),
      count: fc.integer({ min: 1, max: 5 }),
    })
    await fc.assert(
      fc.asyncProperty(
        shape,
        fc.infiniteStream(fc.nat(1)),
        fc.constantFrom(1, 2),
        async ({ rows, columns, count }, bits, swapBytes) => {
          const size = rows * columns
          const pixels = Array.from({ length: size * count }, () => bits.next().value as number)
          const value = pack(pixels, 2)
          const stored = swapBytes === 2 ? Buffer.from(value).swap16() : value
          const frames = await allFrames(stored, {
            length: stored.length,
            numberOfFrames: count,
            rows,
            columns,
            bitsAllocated: 1,
            swapBytes,
          })
          assert.deepEqual(
            frames,
            Array.from({ length: count }, (_, index) => pack(pixels.slice(index * size, (index + 1) * size), 1)),
          )
        },
      ),
      { numRuns: 200 },
    )
  })

  test('of big endian files come little endian', async () => {
    const value = Buffer.from([1, 2, 3, 4])
    const words = { length: 4, rows: 1, columns: 1, numberOfFrames: 2, bitsAllocated: 16, swapBytes: 2 }
    assert.deepEqual(await allFrames(value, words), [Buffer.from([2, 1]), Buffer.from([4, 3])])
    // Bytes in 16-bit words: a frame of odd length ends inside a word.
    const bytes = { length: 6, rows: 1, columns: 3, numberOfFrames: 2, bitsAllocated: 8, swapBytes: 2 }
    assert.deepEqual(await allFrames(Buffer.from([2, 1, 4, 3, 6, 5]), bytes), [
      Buffer.from([1, 2, 3]),
      Buffer.from([4, 5, 6]),
    ])
  })

  test('that are claimed but could not be in the value are none', async () => {
    const read = async () => Buffer.alloc(0)
    const claimed = pixelData({ length: 48, numberOfFrames: 10 ** 15 })
    assert.equal((await locateFrames(claimed, 1000, read)).count, 3)
    const tiny = pixelData({ length: 2 ** 32 - 2, numberOfFrames: 10 ** 15, rows: 1, columns: 1 })
    await assert.rejects(locateFrames(tiny, 2 ** 40, read), refused('unsupported'))
  })

  test('that are not there are refused', async () => {
    const { bytes, read } = file(Buffer.alloc(40))
    const frames = await locateFrames(pixelData({ length: 48, numberOfFrames: 3 }), bytes.length, read)
    await frames.frame(2)
    await assert.rejects(frames.frame(3), refused('unsupported'))
    for (const number of [0, 4, 1.5, Number.NaN]) await assert.rejects(frames.frame(number), refused('not_found'))
    await assert.rejects(locateFrames(pixelData({ length: 48, rows: 0 }), bytes.length, read), refused('unsupported'))
  })
})

function pack(pixels: readonly number[], multiple: number): Buffer {
  const bytes = Buffer.alloc(Math.ceil(pixels.length / 8 / multiple) * multiple)
  pixels.forEach((pixel, index) => {
    bytes[index >> 3] = (bytes[index >> 3] as number) | (pixel << (index & 7))
  })
  return bytes
}

describe('encapsulated frames', () => {
  const three = [image('one!'), image('two!!!'), image('three!')]

  test('one fragment each, without a table', async () => {
    const value = Buffer.concat([table(), ...three.map(item), END])
    assert.deepEqual(await allFrames(value, { transferSyntaxUid: JPEG, numberOfFrames: 3 }), three)
  })

  test('several fragments each, with a table, by the starts of the images, and all in one', async () => {
    const parts = [image('a'.repeat(4)), Buffer.from('bb'), image('cc'), Buffer.from('dd'), Buffer.from('ee')]
    const joined = [Buffer.concat(parts.slice(0, 2)), Buffer.concat(parts.slice(2))]
    const items = parts.map(item)
    const second = (items[0]?.length ?? 0) + (items[1]?.length ?? 0)
    const withTable = Buffer.concat([table(0, second), ...items, END])
    const two = { transferSyntaxUid: JPEG, numberOfFrames: 2 }
    assert.deepEqual(await allFrames(withTable, two), joined)
    assert.deepEqual(await allFrames(Buffer.concat([table(), ...items, END]), two), joined)
    assert.deepEqual(await allFrames(Buffer.concat([table(0), ...items, END]), { transferSyntaxUid: JPEG }), [
      Buffer.concat(parts),
    ])
    assert.deepEqual(await allFrames(withTable, { transferSyntaxUid: VIDEO, numberOfFrames: 300 }), [
      Buffer.concat(parts),
    ])
    const nobodyKnows = { transferSyntaxUid: RLE, numberOfFrames: 3 }
    await assert.rejects(allFrames(Buffer.concat([table(), ...items, END]), nobodyKnows), refused('unsupported'))
  })

  test('wrong tables do not matter where the items suffice', async () => {
    const items = three.map(item)
    for (const wrong of [
      [0, 4, 8],
      [0, 1, 2],
      [0, 0, 0],
      [7, 8, 9],
      [0, 1 << 20, 1 << 21],
      [0, 16],
    ]) {
      const value = Buffer.concat([table(...wrong), ...items, END])
      assert.deepEqual(await allFrames(value, { transferSyntaxUid: JPEG, numberOfFrames: 3 }), three, String(wrong))
    }
  })

  test('a missing delimiter and a cut last fragment cost the last frame only', async () => {
    const value = Buffer.concat([table(), ...three.map(item)])
    const syntax = { transferSyntaxUid: JPEG, numberOfFrames: 3 }
    assert.deepEqual(await allFrames(value, syntax), three)
    const { bytes, read } = file(value.subarray(0, -3))
    const frames = await locateFrames(pixelData(syntax), bytes.length, read)
    assert.deepEqual(await bytesOfFrame(bytes, await frames.frame(2)), three[1])
    await assert.rejects(frames.frame(3), refused('unsupported'))
    await assert.rejects(allFrames(Buffer.from('no items'), syntax), refused('unsupported'))
    await assert.rejects(allFrames(Buffer.concat([table(), END]), syntax), refused('unsupported'))
  })

  test('the extended offset table, with lengths without padding', async () => {
    const value = extendedTables()
    const changes = { transferSyntaxUid: JPEG, numberOfFrames: 2, offset: 0, extendedOffsetTable: LEAD }
    assert.deepEqual(await allFrames(value, changes), [Buffer.from('abc'), Buffer.from('de')])
  })

  test('a header with an extended offset table is read up to the pixel data', () => {
    const bytes = Buffer.concat([Buffer.from('2800100055530200', 'hex'), Buffer.from([9, 0]), extendedTables()])
    const { dataSet } = parseHeader(fileOf(bytes), true)
    const { x7fe00001, x7fe00002, x7fe00010 } = dataSet.elements
    assert.deepEqual([x7fe00001?.length, x7fe00002?.length, x7fe00010?.length], [16, 16, 0xffffffff])
    const found = pixelDataOf(dataSet, JPEG)
    assert.equal(found?.extendedOffsetTable, (x7fe00001?.dataOffset ?? 0) - 12)
    assert.equal(toDicomJson(dataSet, { bulkDataUri: (path) => path })['7FE00010']?.BulkDataURI, '7FE00010')
  })

  test('100,000 frames take few reads when they are small and little memory', async () => {
    const fragment = item(Buffer.from('ffd8'.padEnd(64, '0'), 'hex'))
    const count = 100_000
    const value = Buffer.concat([table(), ...Array.from({ length: count }, () => fragment), END])
    const { bytes, read, given } = file(value)
    const frames = await locateFrames(pixelData({ transferSyntaxUid: JPEG, numberOfFrames: count }), bytes.length, read)
    assert.equal(frames.count, count)
    assert.ok(given.reads < 1100, `${given.reads} reads`)
    assert.deepEqual((await frames.frame(count)).ranges, [[bytes.length - 8 - 32, bytes.length - 8]])
  })

  test('a table in a file of many gigabytes is followed without reading what is between', async () => {
    const gigabytes = 3 * 2 ** 30
    const frameBytes = 2 ** 20
    const count = 3000
    const offsets = Array.from({ length: count }, (_, index) => index * (frameBytes + 8))
    const start = table(...offsets)
    let given = 0
    const read = async (from: number, to: number): Promise<Buffer> => {
      given += to - from
      const bytes = Buffer.alloc(to - from)
      if (from < LEAD + start.length) return start.subarray(from - LEAD, to - LEAD)
      if ((from - LEAD - start.length) % (frameBytes + 8) === 0) {
        Buffer.from('feff00e0', 'hex').copy(bytes)
        bytes.writeUInt32LE(frameBytes, 4)
      }
      return bytes
    }
    const frames = await locateFrames(
      pixelData({ transferSyntaxUid: JPEG, numberOfFrames: count }),
      gigabytes * 2,
      read,
    )
    const { ranges } = await frames.frame(2900)
    const at = LEAD + start.length + 2899 * (frameBytes + 8) + 8
    assert.deepEqual(ranges, [[at, at + frameBytes]])
    assert.ok(given < 40_000, `${given} bytes read`)
  })

  test('damaged pixel data gives frames within the file, or an error of ours', async () => {
    const model = Buffer.concat([table(0, 16, 34), ...three.map(item), END])
    const changes = fc.array(fc.tuple(fc.nat(model.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(
        changes,
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(JPEG, RLE, VIDEO),
        async (where, numberOfFrames, transferSyntaxUid) => {
          const damaged = Buffer.from(model)
          for (const [at, value] of where) damaged[at] = value
          await allFrames(damaged, { transferSyntaxUid, numberOfFrames }).catch((error) => {
            assert.ok(isArchiveError(error, 'unsupported'), String(error))
          })
        },
      ),
      { numRuns: 1000 },
    )
  })
})

/** Extended Offset Table, its lengths, and two fragments of which the first is padded. */
function extendedTables(): Buffer {
  const wide = (...numbers: number[]) => Buffer.concat(numbers.map((number) => bigUInt64(number)))
  const header = (element: string, vr: string, length: number) =>
    Buffer.concat([Buffer.from(`e07f${element}`, 'hex'), Buffer.from(`${vr}\0\0`), uint32(length)])
  const tables = [header('0100', 'OV', 16), wide(0, 12), header('0200', 'OV', 16), wide(3, 2)]
  const fragments = [item(Buffer.from('abc\0')), item(Buffer.from('de'))]
  return Buffer.concat([...tables, header('1000', 'OB', 0xffffffff), table(), ...fragments, END])
}

function fileOf(dataSet: Buffer): Buffer {
  return Buffer.concat([
    encodePart10Header({ sopClassUid: '1.2', sopInstanceUid: '1.3', transferSyntaxUid: JPEG }),
    dataSet,
  ])
}

function uint32(number: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(number)
  return bytes
}

function bigUInt64(number: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(number))
  return bytes
}

describe('pixelDataOf', () => {
  test('what a header says', () => {
    const bytes = Buffer.from(
      '280002005553020003002800040043530c005942525f46554c4c5f343232280008004953020034202800100055530200050028001100555302000600' +
        '28000001555302000800e07f10004f42000004000000' +
        '01020304',
      'hex',
    )
    assert.deepEqual(pixelDataOf(readDataSet(bytes, 0, bytes.length, 'explicit'), NATIVE), {
      transferSyntaxUid: NATIVE,
      offset: bytes.length - 4,
      length: 4,
      swapBytes: 1,
      numberOfFrames: 4,
      rows: 5,
      columns: 6,
      samplesPerPixel: 3,
      bitsAllocated: 8,
      photometricInterpretation: 'YBR_FULL_422',
    })
    assert.equal(pixelDataOf(readDataSet(bytes, 0, 10, 'explicit'), NATIVE), undefined)
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { pseudoRandom } from '../../test/fixtures/random.ts'
import { within } from '../../test/support/until.ts'
import { isArchiveError } from '../errors.ts'
import { MultipartReader } from './multipart-reader.ts'

interface Wanted {
  headers: [name: string, value: string][]
  body: Buffer
}

/** Cuts at the given places, taken modulo the length. */
async function* cutAt(bytes: Buffer, places: readonly number[]): AsyncGenerator<Buffer> {
  const cuts = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    yield bytes.subarray(from, cut)
    from = cut
  }
}

async function* inSteps(bytes: Buffer, step: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}

async function readAll(source: AsyncIterable<Buffer>, boundary: string): Promise<Wanted[]> {
  const reader = new MultipartReader(source, boundary)
  const parts: Wanted[] = []
  for (let part = await reader.nextPart(); part; part = await reader.nextPart()) {
    const pieces: Buffer[] = []
    for await (const piece of part.body) pieces.push(Buffer.from(piece))
    parts.push({ headers: [...part.headers], body: Buffer.concat(pieces) })
  }
  return parts
}

function encode(parts: readonly Wanted[], boundary: string, preamble = '', epilogue = ''): Buffer {
  const pieces: Buffer[] = [Buffer.from(preamble === '' ? '' : `${preamble}\r\n`)]
  for (const { headers, body } of parts) {
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    pieces.push(Buffer.from(`--${boundary}\r\n${lines}\r\n`), body, Buffer.from('\r\n'))
  }
  pieces.push(Buffer.from(`--${boundary}--${epilogue}`))
  return Buffer.concat(pieces)
}

/** RFC 2046 5.1.1: what a boundary may consist of; not ending in a blank. */
const boundaryText = fc
  .string({ unit: fc.constantFrom(..."abXY09'()+_,-./:=? "), minLength: 1, maxLength: 70 })
  .filter((text) => !text.endsWith(' '))

/** Bytes that are likely to be mistaken for the framing. */
function nearBoundaries(boundary: string): fc.Arbitrary<Buffer> {
  const delimiter = `\r\n--${boundary}`
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.nat({ max: delimiter.length - 1 }).map((length) => Buffer.from(delimiter.slice(0, length))),
    fc
      .constantFrom('\r', '\n', '\r\n', '\r\n\r\n', '--', '\r\r\n--', `\n--${boundary}`, `\r--${boundary}`)
      .map(Buffer.from),
  )
  return fc
    .array(piece, { maxLength: 8 })
    .map((pieces) => Buffer.concat(pieces))
    .filter(
      (body) =>
        !body.includes(delimiter) && !body.subarray(0, delimiter.length - 2).equals(Buffer.from(delimiter.slice(2))),
    )
}

const header = fc.tuple(fc.stringMatching(/^[a-z][a-z-]{0,15}$/), fc.stringMatching(/^[!-9;-~]{0,20}$/))

const message = boundaryText.chain((boundary) =>
  fc.record({
    boundary: fc.constant(boundary),
    parts: fc.array(
      fc
        .tuple(fc.uniqueArray(header, { maxLength: 3, selector: ([name]) => name }), nearBoundaries(boundary))
        .map(([headers, body]) => ({ headers, body })),
      { minLength: 1, maxLength: 5 },
    ),
    preamble: fc.constantFrom('', 'This is a message in MIME format.', '--', 'x\r\n-'),
    epilogue: fc.constantFrom('', '\r\n', '\r\nbehind the end', '--', `\r\n--${boundary}\r\n\r\nx`),
    cuts: fc.array(fc.nat(), { maxLength: 30 }),
  }),
)

const broken = (error: unknown) => isArchiveError(error, 'invalid_request')

describe('multipart reader', () => {
  test('gives every part exactly, however it is framed and chunked', async () => {
    await fc.assert(
      fc.asyncProperty(message, async ({ boundary, parts, preamble, epilogue, cuts }) => {
        const bytes = encode(parts, boundary, preamble, epilogue)
        assert.deepEqual(await readAll(cutAt(bytes, cuts), boundary), parts)
      }),
      { numRuns: 1000 },
    )
  })

  test('whatever the size of the chunks', async () => {
    const boundary = 'b0undary'
    const near = Buffer.from('\r\n--b0undar\r\n--b0undarY\r\r\n--b0undar\n--b0undary\r\n--')
    const parts = [Buffer.alloc(0), near, pseudoRandom('multipart', 5000)].map((body) => ({
      headers: [['content-type', 'application/dicom']] as [string, string][],
      body,
    }))
    const bytes = encode(parts, boundary)
    for (const step of [1, 2, 3, 7, 11, 12, 13, 64, 1000, bytes.length]) {
      assert.deepEqual(await readAll(inSteps(bytes, step), boundary), parts, `chunks of ${step}`)
    }
  })

  test('a part that is left early is skipped', async () => {
    const parts = [1, 2, 3].map((n) => ({
      headers: [['n', String(n)]] as [string, string][],
      body: pseudoRandom(`${n}`, 9000),
    }))
    const reader = new MultipartReader(inSteps(encode(parts, 'x'), 1000), 'x')
    const seen: (string | undefined)[] = []
    for (let part = await reader.nextPart(); part; part = await reader.nextPart()) {
      seen.push(part.headers.get('n'))
      if (seen.length === 2) continue
      for await (const _ of part.body) break
    }
    assert.deepEqual(seen, ['1', '2', '3'])
  })

  test('blanks behind a boundary, header names in capitals and lines without a colon are let through', async () => {
    const text = '--x \t\r\nContent-TYPE:  application/dicom \r\nnonsense\r\n\r\nbody\r\n--x--'
    const [part] = await readAll(inSteps(Buffer.from(text), 5), 'x')
    assert.deepEqual(part, { headers: [['content-type', 'application/dicom']], body: Buffer.from('body') })
  })

  test('cut short anywhere before its closing boundary, it fails, and gives no byte too many', async () => {
    const parts = [
      { headers: [['a', 'b']] as [string, string][], body: Buffer.from('first') },
      { headers: [], body: Buffer.from('second\r\n--y') },
    ]
    const bytes = encode(parts, 'yy')
    for (let length = 0; length < bytes.length; length++) {
      await assert.rejects(readAll(inSteps(bytes.subarray(0, length), 4), 'yy'), broken, `${length} bytes`)
    }
    await readAll(inSteps(bytes, 4), 'yy')
  })

  test('garbage is refused', async () => {
    await assert.rejects(readAll(inSteps(Buffer.from('--x junk\r\n\r\nbody\r\n--x--'), 9), 'x'), broken)
    await assert.rejects(readAll(inSteps(Buffer.from('--xyz\r\n\r\nbody\r\n--x--'), 9), 'x'), broken)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 500 }), async (bytes, step) => {
        await assert.rejects(readAll(inSteps(Buffer.from(bytes), step), 'never-there'), broken)
      }),
      { numRuns: 100 },
    )
  })

  for (const [what, opening, filler] of [
    ['a preamble', '', 'x'],
    ['a line behind a boundary', '--x', ' '],
    ['a header line', '--x\r\na: ', 'x'],
    ['headers', '--x\r\n', 'a: b\r\n'],
  ] as const) {
    test(`${what} without end is refused after bounded reading`, async () => {
      let given = 0
      const endless = async function* () {
        yield Buffer.from(opening)
        for (;;) {
          given += 6000
          yield Buffer.from(filler.repeat(6000 / filler.length))
        }
      }
      await assert.rejects(within('a refusal', 5_000, readAll(endless(), 'x')), broken)
      assert.ok(given <= 128 * 1024, `${given} bytes were read`)
    })
  }

  test('many tiny chunks of headers and near-boundaries cost no quadratic time', async () => {
    const body = Buffer.from('\r\n--bbbbbbbbb'.repeat(20_000))
    const parts = [{ headers: [['h', 'v'.repeat(15_000)]] as [string, string][], body }]
    const bytes = encode(parts, 'b'.repeat(70))
    const [part] = await within('reading', 10_000, readAll(inSteps(bytes, 3), 'b'.repeat(70)))
    assert.ok(part?.body.equals(body))
  })
})

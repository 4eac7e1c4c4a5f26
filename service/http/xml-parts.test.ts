import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import type { DicomJson } from '../dicom/types.ts'
import { objectsOf, xmlParts } from './xml-parts.ts'

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

it('takes an array of lines apart however it is cut', async () => {
  const value = fc.string({ unit: 'binary' })
  await fc.assert(
    fc.asyncProperty(
      fc.array(value, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 40 }),
      async (values, size) => {
        const objects: DicomJson[] = values.map((text) => ({ '00100020': { vr: 'LO', Value: [text, '},\n]'] } }))
        const text = Buffer.from(`[${objects.map((one) => JSON.stringify(one)).join(',\n')}]`)
        const found: DicomJson[] = []
        for await (const one of objectsOf(cut(text, size))) found.push(one)
        // A lone surrogate doesn't survive UTF-8.
        assert.deepEqual(found, JSON.parse(text.toString()))
      },
    ),
    { numRuns: 100 },
  )
})

it('parts one data set from the next', async () => {
  let text = ''
  const hostile = { '00100020': { vr: 'LO', Value: ['\r\n--firn-xml--\r\n'] } }
  for await (const piece of xmlParts([hostile, hostile])) text += piece
  assert.equal(text.split('\r\n--firn-xml').length, 3)
})

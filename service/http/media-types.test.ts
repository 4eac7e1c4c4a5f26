import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Request } from 'express'
import { ArchiveError, isArchiveError } from '../errors.ts'
import { parseAccept, parseMediaType } from './media-types.ts'
import { bulkForm, type InstanceForm, instanceForms, rangeOf } from './negotiate.ts'

const EXPLICIT = '1.2.840.10008.1.2.1'
const JPEG = '1.2.840.10008.1.2.4.50'

/** As much of a request as negotiation looks at. */
function request(headers: Record<string, string>, query: Record<string, string> = {}): Request {
  return { query, get: (name: string) => headers[name.toLowerCase()] } as unknown as Request
}

describe('media types', () => {
  const table: readonly [text: string, type: string | undefined, parameters?: Record<string, string>][] = [
    ['application/dicom', 'application/dicom', {}],
    [' Application/DICOM+json ; Charset=UTF-8', 'application/dicom+json', { charset: 'UTF-8' }],
    [
      'multipart/related; type="application/dicom"; boundary=abc',
      'multipart/related',
      { type: 'application/dicom', boundary: 'abc' },
    ],
    ['multipart/related; boundary="a;b,c=\\"d\\""', 'multipart/related', { boundary: 'a;b,c="d"' }],
    ['multipart/related; boundary="unterminated', 'multipart/related', { boundary: 'unterminated' }],
    ['*/*;q=0.1', '*/*', { q: '0.1' }],
    ['', undefined],
    ['dicom', undefined],
    ['application/', undefined],
    ['application/dicom/more', undefined],
    ['app lication/dicom', undefined],
  ]
  for (const [text, type, parameters] of table) {
    test(JSON.stringify(text), () => {
      const parsed = parseMediaType(text)
      assert.equal(parsed?.type, type)
      if (parameters) assert.deepEqual(parsed?.parameters, parameters)
    })
  }

  test('Accept is ordered by quality, then as written; what is not wanted is left out', () => {
    const types = (header: string | undefined) => parseAccept(header).map(({ type }) => type)
    assert.deepEqual(types('a/a;q=0.5, b/b, c/c;q=0.9, d/d'), ['b/b', 'd/d', 'c/c', 'a/a'])
    assert.deepEqual(types('a/a;q=0, b/b'), ['b/b'])
    assert.deepEqual(types('multipart/related; type="x/y,z/z", a/a'), ['multipart/related', 'a/a'])
    assert.deepEqual(types(undefined), ['*/*'])
    assert.deepEqual(types(' '), ['*/*'])
    assert.deepEqual(types('nonsense'), [])
  })

  test('an endless header costs nothing', () => {
    const started = performance.now()
    parseAccept('a/a,'.repeat(1_000_000))
    parseMediaType(`a/a;${'x="'.repeat(1_000_000)}`)
    assert.ok(performance.now() - started < 1_000)
  })
})

describe('in which form instances are given', () => {
  const table: readonly [accept: string | undefined, isInstance: boolean, expected: InstanceForm[] | undefined][] = [
    [undefined, true, [{ kind: 'multipart' }]],
    ['*/*', false, [{ kind: 'multipart' }]],
    ['multipart/related; type="application/dicom"', false, [{ kind: 'multipart' }]],
    ['multipart/related', false, [{ kind: 'multipart' }]],
    ['multipart/related; type="application/dicom"; transfer-syntax=*', false, [{ kind: 'multipart' }]],
    [
      `multipart/related; type="application/dicom"; transfer-syntax=${JPEG}, multipart/related; type="application/dicom"`,
      true,
      [{ kind: 'multipart', transferSyntaxUid: JPEG }, { kind: 'multipart' }],
    ],
    ['application/dicom', true, [{ kind: 'single' }]],
    ['application/dicom', false, undefined],
    ['application/zip;q=0.5, application/dicom', true, [{ kind: 'single' }, { kind: 'zip' }]],
    ['image/jpeg', true, undefined],
    ['multipart/related; type="image/jpeg"', true, undefined],
    ['application/dicom;q=0', true, undefined],
  ]
  for (const [accept, isInstance, expected] of table) {
    test(`${accept} for ${isInstance ? 'an instance' : 'a study'}`, () => {
      const forms = () => instanceForms(request(accept === undefined ? {} : { accept }), isInstance)
      if (expected) assert.deepEqual(forms(), expected)
      else assert.throws(forms, (error) => isArchiveError(error, 'not_acceptable'))
    })
  }

  test('the query counts for the header', () => {
    const req = request({ accept: 'image/png' }, { accept: 'application/zip' })
    assert.deepEqual(instanceForms(req, false), [{ kind: 'zip' }])
  })
})

describe('in which form frames are given', () => {
  const native = { uid: EXPLICIT, mediaType: 'application/octet-stream', encapsulated: false }
  const jpeg = { uid: JPEG, mediaType: 'image/jpeg', encapsulated: true }
  const asJpeg = `image/jpeg; transfer-syntax=${JPEG}`
  const table: readonly [accept: string | undefined, syntax: typeof jpeg, kind: string, contentType?: string][] = [
    [undefined, native, 'multipart', 'application/octet-stream'],
    ['multipart/related; type="application/octet-stream"', native, 'multipart', 'application/octet-stream'],
    ['application/octet-stream', native, 'single', 'application/octet-stream'],
    [undefined, jpeg, 'multipart', asJpeg],
    ['image/jpeg', jpeg, 'single', asJpeg],
    ['image/*', jpeg, 'single', asJpeg],
    [`multipart/related; type="image/jpeg"; transfer-syntax=${JPEG}`, jpeg, 'multipart', asJpeg],
    ['multipart/related; type="image/jpeg"; transfer-syntax=*', jpeg, 'multipart', asJpeg],
    [`multipart/related; type="image/jpeg"; transfer-syntax=${EXPLICIT}`, jpeg, 'refused'],
    ['multipart/related; type="application/octet-stream"', jpeg, 'refused'],
    [
      'multipart/related; type="application/octet-stream"; transfer-syntax=*',
      jpeg,
      'multipart',
      `application/octet-stream; transfer-syntax=${JPEG}`,
    ],
    ['image/png', jpeg, 'refused'],
    ['image/png, image/jpeg;q=0.1', jpeg, 'single', asJpeg],
    ['image/jpeg', native, 'refused'],
  ]
  for (const [accept, syntax, kind, contentType] of table) {
    test(`${accept} of ${syntax.mediaType}: ${kind}`, () => {
      const form = () => bulkForm(request(accept === undefined ? {} : { accept }), syntax)
      if (kind === 'refused')
        assert.throws(form, (error) => error instanceof ArchiveError && error.code === 'not_acceptable')
      else assert.deepEqual(form(), { kind, contentType })
    })
  }
})

test('ranges of a value of 100 bytes', () => {
  const table: readonly [range: string, expected: ReturnType<typeof rangeOf>][] = [
    ['bytes=0-0', { start: 0, end: 1 }],
    ['bytes=10-', { start: 10, end: 100 }],
    ['bytes=90-1000', { start: 90, end: 100 }],
    ['bytes=-7', { start: 93, end: 100 }],
    ['bytes=-1000', { start: 0, end: 100 }],
    ['bytes=100-', 'bad'],
    ['bytes=-0', 'bad'],
    ['bytes=-', undefined],
    ['bytes=0-1,5-6', undefined],
    ['lines=1-2', undefined],
    ['', undefined],
  ]
  for (const [range, expected] of table) assert.deepEqual(rangeOf(request({ range }), 100), expected, range)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { JudgedReference, Reference } from '../commitment/ports.ts'
import { isArchiveError } from '../errors.ts'
import { readRequestModule, responseModule } from './commitment-modules.ts'

const uid = fc.constantFrom('1.2', '1.3', '1.4', '1.5.6')
const grouped = fc.record({ sopClassUid: uid, sopInstanceUid: uid, studyUid: uid, seriesUid: uid })
const key = (one: Reference) => JSON.stringify([one.studyUid, one.seriesUid, one.sopClassUid, one.sopInstanceUid])

test('an answer in which all is committed names what a request in the same form does', () => {
  fc.assert(
    fc.property(fc.array(grouped, { minLength: 1 }), fc.boolean(), (references, isGrouped) => {
      const judged = references.map((one, n): JudgedReference => ({ ...one, number: n + 1, verdict: 'committed' }))
      const form = isGrouped ? 'studies' : 'instances'
      const read = readRequestModule(JSON.parse(JSON.stringify(responseModule(form, judged))))
      assert.equal(read.form, form)
      const wanted = isGrouped
        ? references
        : references.map(({ sopClassUid, sopInstanceUid }) => ({ sopClassUid, sopInstanceUid }))
      assert.deepEqual(read.references.map(key).sort(), wanted.map(key).sort())
    }),
  )
})

test('what failed stands in sequences of its own, with the reason', () => {
  const one = { sopClassUid: '1.2', sopInstanceUid: '1.3', studyUid: '1.4', seriesUid: '1.5', number: 1 }
  assert.deepEqual(responseModule('instances', [{ ...one, verdict: 'class_conflict' }]), {
    '00081198': {
      vr: 'SQ',
      Value: [
        {
          '00081150': { vr: 'UI', Value: ['1.2'] },
          '00081155': { vr: 'UI', Value: ['1.3'] },
          '00081197': { vr: 'US', Value: [0x0119] },
        },
      ],
    },
  })
  assert.deepEqual(Object.keys(responseModule('studies', [{ ...one, verdict: 'class_conflict' }])), ['0008119B'])
})

test('whatever JSON comes is read or refused in words', () => {
  const tags = fc.constantFrom('00081199', '00081110', '00081115', '00081112', '0008114A', '00081150', 'Value', 'vr')
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      fc.jsonValue(),
      fc.dictionary(tags, tie('tree'), { maxKeys: 4 }),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }))
  fc.assert(
    fc.property(tree, (payload) => {
      try {
        readRequestModule(payload)
      } catch (error) {
        assert.ok(isArchiveError(error, 'invalid_request'), String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

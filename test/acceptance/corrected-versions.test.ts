/** The corrected version of an instance: only on request, marked, and telling what was before. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Firn } from '../support/firn.ts'
import type { Instance } from '../support/instances.ts'
import { Officer } from '../support/officer.ts'
import { elements } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import {
  type DataSetJson,
  first,
  get,
  instancePath,
  items,
  json,
  parts,
  retrieve,
  search,
  stow,
} from '../support/web.ts'

const random = new Random(newSeed())
const AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'

describe(`corrected versions (seed ${random.seed})`, () => {
  let firn: Firn
  let officer: Officer

  before(async () => {
    firn = await Firn.start()
    officer = new Officer(firn, random)
  })
  after(() => firn?.kill())

  const retrieveCorrected = (instance: Instance) =>
    get(`${firn.dicomWeb}${instancePath(instance)}?corrected=true`, 'application/dicom; transfer-syntax=*')

  for (const transferSyntax of ['explicitLittle', 'implicitLittle', 'jpegBaseline'] as const) {
    it(`gives a corrected version when asked, and says what was before (${transferSyntax})`, async () => {
      const before = { '04000561': ['SQ', [{ '04000565': ['CS', 'COERCE'] }]] } as const
      const [one, two] = officer.study({
        transferSyntax,
        accessionNumber: 'BEFORE',
        undefinedLengths: transferSyntax !== 'explicitLittle',
        attributes: { '00080000': ['UL', 400], '00081140': ['SQ', [{ '00081150': ['UI', '1.2.3'] }]], ...before },
      }) as [Instance, Instance]
      await officer.store(one, two)
      const untouched = await retrieveCorrected(one)
      assert.equal(untouched.headers.get('firn-corrected'), 'false')
      assert.ok(untouched.bytes.equals(one.file))
      const attributes = { AccessionNumber: 'AFTER', StudyDescription: 'Schädel', StudyID: null }
      await officer.ok('POST', `/studies/${one.studyUid}/corrections`, { attributes })
      const answer = await retrieveCorrected(one)
      assert.equal(answer.status, 200, answer.bytes.toString())
      assert.equal(answer.headers.get('firn-corrected'), 'true')
      assert.match(answer.headers.get('content-type') ?? '', /firn-corrected=true/)
      const [was, is] = [elements(one.file), elements(answer.bytes)]
      assert.equal(is.get('00080050')?.value?.toString().trim(), 'AFTER')
      assert.equal(is.get('00081030')?.value?.toString('utf8').trim(), 'Schädel')
      assert.equal(is.get('00080005')?.value?.toString().trim(), 'ISO_IR 192')
      assert.equal(is.get('00200010')?.value?.length, 0)
      const changed = new Set(['00080000', '00080005', '00080050', '00081030', '00200010', '04000561'])
      for (const [tag, element] of was) {
        if (!changed.has(tag)) assert.deepEqual(is.get(tag)?.value, element.value, tag)
      }
      // Stored as an instance of its own elsewhere, it tells all of that to another reader.
      const reader = await Firn.start()
      try {
        assert.equal((await stow(reader.dicomWeb, [answer.bytes])).status, 200)
        const [header] = json<DataSetJson[]>(await get(`${reader.dicomWeb}${instancePath(one)}/metadata`))
        const [coerced, corrected, more] = items(header ?? {}, '04000561')
        assert.equal(first(coerced, '04000565'), 'COERCE')
        assert.equal(more, undefined)
        assert.deepEqual([first(corrected, '04000563'), first(corrected, '04000565')], ['FIRN', 'CORRECT'])
        const [modified] = items(corrected ?? {}, '04000550')
        assert.deepEqual([first(modified, '00080050'), first(modified, '00081030')], ['BEFORE', 'Synthetic study'])
        assert.ok(first(modified, '00200010') !== '')
        const frames = await get(`${reader.dicomWeb}${instancePath(one)}/frames/1`)
        const own = await get(`${firn.dicomWeb}${instancePath(one)}/frames/1`)
        assert.deepEqual(frames.bytes.length, own.bytes.length)
      } finally {
        await reader.kill()
      }
      const all = parts(await get(`${firn.dicomWeb}/studies/${one.studyUid}?corrected=true`, AS_STORED))
      assert.equal(all.length, 2)
      assert.ok(all.some(({ body }) => body.equals(answer.bytes)))
      // Without being asked for it nobody gets it.
      assert.ok((await retrieve(firn.dicomWeb, instancePath(one)))[0]?.equals(one.file))
      await officer.sameBytes([one, two])
    })
  }

  for (const options of [
    { transferSyntax: 'deflated' },
    { transferSyntax: 'explicitBig' },
    { characterSet: 'ISO_IR 144' },
    { patientName: Buffer.from('M\xfcller', 'latin1') },
  ] as const) {
    it(`answers 406 where no corrected version can be made (${JSON.stringify(options).slice(0, 40)})`, async () => {
      const [one] = officer.study({ ...options }) as [Instance]
      await officer.store(one)
      await officer.ok('POST', `/studies/${one.studyUid}/corrections`, { attributes: { StudyDescription: 'Schädel' } })
      assert.equal((await retrieveCorrected(one)).status, 406)
      const multipart = await get(`${firn.dicomWeb}/studies/${one.studyUid}?corrected=true`, AS_STORED)
      assert.equal(multipart.status, 406)
      assert.equal(
        first((await search(firn.dicomWeb, `/studies?StudyInstanceUID=${one.studyUid}`))[0], '00081030'),
        'Schädel',
      )
    })
  }
})

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { databases } from '../../../test/property/databases.ts'
import { type FoundStudy, NO_RESULT, type StudyOutcome } from '../../import/ports.ts'

const study = (n: number, instances?: number): FoundStudy => ({
  studyUid: `1.2.${n}`,
  patientId: `P${n % 2}`,
  attributes: { '00100020': { vr: 'LO', Value: [`P${n % 2}`] } },
  instances,
})
const file = (path: string, n: number, sizeBytes = 10) => ({
  path,
  studyUid: `1.2.${n}`,
  sopInstanceUid: `1.2.${n}.${path}`,
  sizeBytes,
})
const done = (n: number, more: Partial<StudyOutcome> = {}): StudyOutcome => ({
  studyUid: `1.2.${n}`,
  state: 'done',
  attempts: 0,
  reason: '',
  result: { ...NO_RESULT, expected: 2, here: 2, stored: 2, bytes: 20 },
  findings: [],
  ...more,
})
const BEGIN = { name: 'old', listOnly: false, verify: 0.5, relist: true, again: false }

for (const database of databases) {
  describe(`what imports keep, in ${database.name}`, { skip: database.skip }, () => {
    after(() => database.stop())

    test('a listing is kept with its place, and a study that has more waits again', async (t) => {
      const { catalogue, close } = await database.open()
      t.after(close)
      const { imports } = catalogue
      assert.equal(await imports.get('old'), undefined)
      await imports.begin(BEGIN)
      const finding = { studyUid: '', kind: 'not_dicom' as const, object: 'x', detail: 'no' }
      await imports.listed('old', {
        studies: [study(1), study(2)],
        files: [file('a', 1), file('b', 1), file('c', 2)],
        findings: [finding],
        cursor: 'c',
      })
      // The same page again, as after a crash, counts nothing twice.
      await imports.listed('old', { studies: [study(1)], files: [file('a', 1), file('b', 1)], cursor: 'c' })
      let record = await imports.get('old')
      assert.deepEqual([record?.cursor, record?.listed, record?.verify, record?.state], ['c', false, 0.5, 'running'])
      assert.deepEqual(
        [record?.totals.studies, record?.totals.listedInstances, record?.totals.listedBytes, record?.totals.findings],
        [2, 3, 30, 1],
      )
      await imports.settle('old', done(1))
      await imports.settle('old', done(2, { findings: [{ ...finding, studyUid: '1.2.2', kind: 'missing' }] }))
      await imports.settle('old', done(2))
      record = await imports.get('old')
      assert.deepEqual([record?.totals.done, record?.totals.here, record?.totals.findings], [2, 4, 1])
      assert.deepEqual(await imports.studies('old', { after: 0, limit: 9, state: 'waiting' }), [])
      await imports.listed('old', { studies: [study(2)], files: [file('d', 2), file('c', 2)], cursor: 'd' })
      const [waiting] = await imports.studies('old', { after: 0, limit: 9, state: 'waiting' })
      assert.deepEqual([waiting?.studyUid, waiting?.expected], ['1.2.2', 2])
      assert.equal((await imports.get('old'))?.totals.done, 1)
      const paths: string[] = []
      for await (const { path } of imports.files('old', '1.2.2')) paths.push(path)
      assert.deepEqual(paths, ['c', 'd'])
      assert.deepEqual(
        (await imports.ofPatient('old', 'P1', 10)).map(({ studyUid }) => studyUid),
        ['1.2.1'],
      )
    })

    test('what failed is tried again at the next start, and everything when that is asked for', async (t) => {
      const { catalogue, close } = await database.open()
      t.after(close)
      const { imports } = catalogue
      await imports.begin(BEGIN)
      await imports.listed('old', { studies: [study(1, 2), study(2, 2)], cursor: '20240101' })
      await imports.settle('old', done(1))
      await imports.settle('old', done(2, { state: 'failed', attempts: 3, reason: 'away', result: { ...NO_RESULT } }))
      assert.deepEqual([(await imports.get('old'))?.totals.done, (await imports.get('old'))?.totals.failed], [1, 1])
      await imports.end('old', 'stopped')
      await imports.begin({ ...BEGIN, relist: false })
      const again = await imports.get('old')
      assert.deepEqual([again?.cursor, again?.totals.done, again?.totals.failed], ['20240101', 1, 0])
      assert.equal((await imports.studies('old', { after: 0, limit: 9, state: 'waiting' })).length, 1)
      await imports.begin({ ...BEGIN, again: true })
      assert.equal((await imports.get('old'))?.cursor, null)
      assert.equal((await imports.studies('old', { after: 0, limit: 9, state: 'waiting' })).length, 2)
      // One that somebody asked for before the listing came to it.
      await imports.settle('old', done(3))
      assert.equal((await imports.study('old', '1.2.3'))?.state, 'done')
      assert.equal((await imports.get('old'))?.totals.studies, 3)
    })

    test('packs come in the order of the bytes of their keys', async (t) => {
      const { catalogue, close } = await database.open()
      t.after(close)
      const keys = ['packs/a/B', 'packs/a/a', 'packs/a-b/a', 'packs/a/Z', 'packs/A/a', 'packs/a.b']
      for (const key of keys) {
        await catalogue.addPack({
          studyUid: '1.2',
          key,
          sha256: '0'.repeat(64),
          sizeBytes: 1,
          sealedAt: '',
          copies: [{ store: 'one', verifiedAt: '' }],
          instances: [],
        })
      }
      const found: string[] = []
      for (let page = await catalogue.packsByKey('', 2); page.length > 0; ) {
        found.push(...page.map(({ key }) => key))
        page = await catalogue.packsByKey(found.at(-1) as string, 2)
      }
      assert.deepEqual(found, [...keys].sort())
    })
  })
}

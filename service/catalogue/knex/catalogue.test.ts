import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { dicomFile, identifiers } from '../../../test/fixtures/dicom.ts'
import { all, described, landingIn, openSite, SOURCE } from '../../../test/property/core.ts'
import { databases, type Opened } from '../../../test/property/databases.ts'
import { tempDir } from '../../../test/support/host.ts'
import { isArchiveError } from '../../errors.ts'
import type { CatalogueJournal, Change, NewInstance } from '../ports.ts'

const instance = (n: number, study = 0, over: Partial<NewInstance> = {}): NewInstance => {
  const name = `catalogue/${study}`
  const uids = { studyUid: identifiers({ seed: name }).studyUid, seriesUid: identifiers({ seed: name }).seriesUid }
  const options = { seed: `${name}/${n}`, ...uids, patientId: `P${study}`, instanceNumber: n, rows: 0 }
  return described(options, { location: { segment: 1 + study, offset: 2048 + n }, ...over })
}

/** The same UID with other bytes. */
const conflicting = (one: NewInstance, digit: string): NewInstance => ({
  ...one,
  sha256: digit.repeat(64),
  sizeBytes: 77,
})

async function everyChange(journal: CatalogueJournal): Promise<Change[]> {
  const found: Change[] = []
  for (;;) {
    const page = await journal.changes(found.length, 100)
    found.push(...page)
    if (page.length === 0) return found
  }
}

const sequence = (changes: readonly Change[]) => changes.map(({ seq }) => seq)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

for (const database of databases) {
  describe(`catalogue on ${database.name}`, { skip: database.skip }, () => {
    const opened: Opened[] = []
    after(async () => {
      for (const one of opened) await one.close()
      await database.stop()
    })
    const open = async () => {
      const one = await database.open()
      opened.push(one)
      return one
    }

    test('stored, duplicate, conflict: outcomes, digests, counts and bytes', async () => {
      const { catalogue } = await open()
      const one = instance(1)
      const other = conflicting(one, 'a')
      assert.equal(await catalogue.record(one), 'stored')
      assert.equal(await catalogue.record(one), 'duplicate')
      assert.equal(await catalogue.record(other), 'conflict')
      assert.equal(await catalogue.record(other), 'duplicate')
      assert.equal(await catalogue.record(conflicting(one, 'b')), 'conflict')
      assert.deepEqual(
        [...(await catalogue.digests(one.sopInstanceUid))].sort(),
        ['a'.repeat(64), 'b'.repeat(64), one.sha256].sort(),
      )
      assert.deepEqual(await catalogue.digests('1.2.3'), [])
      const totals = { patients: 1, studies: 1, series: 1, instances: 1, conflicts: 2, bytes: one.sizeBytes }
      assert.deepEqual(await catalogue.totals(), totals)
      const listed = await catalogue.conflicts(10)
      assert.deepEqual(
        listed.map(({ conflict }) => [conflict.sha256, conflict.servedSha256]),
        [
          ['b'.repeat(64), one.sha256],
          ['a'.repeat(64), one.sha256],
        ],
      )
      assert.deepEqual(await catalogue.conflicts(10, listed[0]?.id), listed.slice(1))
      const { attributes: _, ...record } = one
      assert.deepEqual(await catalogue.byDigest(one.sha256), record)
      assert.deepEqual((await catalogue.byDigest('a'.repeat(64)))?.location, other.location)
      assert.equal(await catalogue.byDigest('c'.repeat(64)), undefined)
    })

    test('a thousand at once: counts of every study, and a change for each, in order without gaps', async () => {
      const { catalogue } = await open()
      const work = Array.from({ length: 1000 }, (_, n) => instance(n, n % 7))
      const outcomes = await Promise.all([...work, ...work.slice(0, 50)].map((one) => catalogue.record(one)))
      assert.deepEqual([outcomes.filter((one) => one === 'stored').length, outcomes.length], [1000, 1050])
      const totals = await catalogue.totals()
      const bytes = work.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      assert.deepEqual(totals, { patients: 7, studies: 7, series: 7, instances: 1000, conflicts: 0, bytes })
      const query = { level: 'study', match: [], include: [], fuzzy: false } as const
      const counts = (await all(catalogue.find(query))).map((json) => json['00201208']?.Value?.[0])
      assert.deepEqual(counts.sort(), [142, 143, 143, 143, 143, 143, 143])
      const changes = await everyChange(catalogue)
      assert.deepEqual(sequence(changes), upTo(1000))
      assert.equal(new Set(changes.map(({ sopInstanceUid }) => sopInstanceUid)).size, 1000)
      assert.deepEqual(sequence(await catalogue.changes(990, 5)), [991, 992, 993, 994, 995])
    })

    test('one that the database cannot take spoils none of its batch, nor those after it', async () => {
      const { catalogue } = await open()
      // The first of its study and series: what it made before it failed must not be remembered.
      const poison = instance(0, 1, { sizeBytes: null as unknown as number })
      const work = [instance(1), instance(2), poison, instance(3), instance(1, 1), instance(2, 1)]
      const results = await Promise.allSettled(work.map((one) => catalogue.record(one)))
      assert.deepEqual(
        results.map((result) => (result.status === 'fulfilled' ? result.value : 'refused')),
        ['stored', 'stored', 'refused', 'stored', 'stored', 'stored'],
      )
      const failed = results[2] as PromiseRejectedResult
      assert.ok(isArchiveError(failed.reason, 'catalogue_failed') && failed.reason.retry === 'reconcile')
      assert.equal(await catalogue.record(instance(0, 1)), 'stored')
      const totals = await catalogue.totals()
      assert.deepEqual([totals.studies, totals.series, totals.instances, totals.conflicts], [2, 2, 6, 0])
      assert.deepEqual(sequence(await everyChange(catalogue)), upTo(6))
    })

    test("once it is closed nothing is written: the folder may be another process's by now", async () => {
      const one = await database.open()
      await one.catalogue.record(instance(1))
      await one.catalogue.close()
      await assert.rejects(one.catalogue.probe(), /ended/)
      await assert.rejects(one.catalogue.record(instance(2)), /ended/)
      await one.close()
    })

    test('who follows the changes while they are made misses none', async () => {
      const { catalogue, another } = await open()
      const nodes = database.manyNodes ? [catalogue, await another()] : [catalogue]
      let isOver = false
      const follow = async () => {
        const seen: Change[] = []
        for (let last = false; ; last = isOver) {
          for (;;) {
            const page = await catalogue.changes(seen.length, 37)
            // Each page goes on where the last one ended: nothing appears later in between.
            for (const change of page) assert.equal(change.seq, seen.push(change))
            if (page.length === 0) break
          }
          if (last) return seen
          await new Promise(setImmediate)
        }
      }
      const following = follow()
      for (let round = 0; round < 10; round++) {
        const work = Array.from({ length: 30 }, (_, n) => instance(round * 30 + n, n % 3))
        await Promise.all(work.map((one, n) => (nodes[n % nodes.length] as typeof catalogue).record(one)))
      }
      isOver = true
      assert.equal(new Set((await following).map(({ sopInstanceUid }) => sopInstanceUid)).size, 300)
      const totals = await catalogue.totals()
      assert.deepEqual([totals.studies, totals.series, totals.instances], [3, 3, 300])
    })

    test("marking segments complete and recording do not get in each other's way", async () => {
      const { catalogue } = await open()
      for (let round = 0; round < 15; round++) {
        const work: Promise<unknown>[] = Array.from({ length: 20 }, (_, n) =>
          catalogue.record(instance(round * 20 + n)),
        )
        for (let mark = 0; mark < 5; mark++) {
          await new Promise((resolve) => setTimeout(resolve, 3))
          work.push(catalogue.segmentComplete(round * 5 + mark))
        }
        await Promise.all(work)
      }
      assert.equal((await catalogue.completeSegments()).size, 75)
      assert.equal((await catalogue.totals()).instances, 300)
    })

    test('instances come series by series and by number, over many pages, and by every scope', async () => {
      const { catalogue } = await open()
      const numbers = Array.from({ length: 1201 }, (_, n) => (n * 7919) % 1201)
      const work = numbers.map((n) => instance(n, n % 2, n < 4 ? { instanceNumber: null } : {}))
      await Promise.all(work.map((one) => catalogue.record(one)))
      const found = await all(catalogue.instances({}))
      assert.equal(found.length, 1201)
      const places = found.map(({ seriesUid, instanceNumber }) => [seriesUid, instanceNumber ?? -1] as const)
      for (let i = 1; i < places.length; i++) {
        const [[seriesBefore, before], [series, number]] = [places[i - 1], places[i]] as [
          (typeof places)[0],
          (typeof places)[0],
        ]
        if (series === seriesBefore) assert.ok(before <= number, `${before} before ${number}`)
      }
      assert.equal(new Set(places.map(([series]) => series)).size, 2)
      const changesOfSeries = places.filter(([series], i) => i > 0 && series !== places[i - 1]?.[0]).length
      assert.equal(changesOfSeries, 1)
      const [one] = work as [NewInstance]
      const count = async (scope: Parameters<typeof catalogue.instances>[0]) =>
        (await all(catalogue.instances(scope))).length
      const study = work.filter(({ studyUid }) => studyUid === one.studyUid).length
      assert.equal(await count({ studyUids: [one.studyUid] }), study)
      assert.equal(await count({ seriesUids: [one.seriesUid], studyUids: [one.studyUid] }), study)
      assert.equal(await count({ studyUids: ['1.2.3'], seriesUids: [one.seriesUid] }), 0)
      assert.equal(await count({ sopInstanceUids: [one.sopInstanceUid, '1.2.3'] }), 1)
      assert.equal(await count({ patientId: 'P1' }), 600)
      assert.equal(await count({ patientId: 'p1' }), 0)
    })

    test('a version changes with every instance of its study, and with no other', async () => {
      const { catalogue } = await open()
      const { studyUid } = instance(1)
      assert.equal(await catalogue.studyVersion(studyUid), undefined)
      await catalogue.record(instance(1))
      const first = await catalogue.studyVersion(studyUid)
      await catalogue.record(instance(1, 1))
      await catalogue.record(instance(1))
      assert.equal(await catalogue.studyVersion(studyUid), first)
      await catalogue.record(instance(2))
      assert.notEqual(await catalogue.studyVersion(studyUid), first)
    })

    test('a rebuild from the landing gives the same catalogue', async () => {
      const { catalogue } = await open()
      const dir = tempDir('rebuild')
      const site = await openSite(landingIn(dir), catalogue, { segmentBytes: 40_000 })
      for (const file of filesToRebuild) {
        const body = (async function* () {
          yield file
        })()
        await site.receiver.receive({ body, source: SOURCE })
      }
      await site.landing.close()
      const before = await contents(catalogue)
      await catalogue.clear()
      const { instances, conflicts } = await catalogue.totals()
      assert.deepEqual([instances, conflicts], [0, 0])
      const rebuilt = await openSite(landingIn(dir), catalogue)
      await rebuilt.landing.close()
      assert.equal(rebuilt.report.replayed, filesToRebuild.length)
      assert.deepEqual(await contents(catalogue), before)
      assert.deepEqual(sequence(await everyChange(catalogue)), upTo(filesToRebuild.length))
    })

    test('it keeps the name of its archive, and which segments need no look', async () => {
      const { catalogue, another } = await open()
      assert.equal(await catalogue.archiveId(), undefined)
      await catalogue.setArchiveId('one')
      await catalogue.segmentComplete(7)
      await catalogue.segmentComplete(7)
      await catalogue.segmentComplete(9)
      const again = await another()
      assert.equal(await again.archiveId(), 'one')
      assert.deepEqual([...(await again.completeSegments())].sort(), [7, 9])
      await again.clear()
      assert.equal(await catalogue.archiveId(), 'one')
      assert.equal((await catalogue.completeSegments()).size, 0)
    })
  })
}

/** Several studies, series and modalities, one patient with two studies, one without ID, and two conflicts. */
const filesToRebuild = [
  ...Array.from({ length: 40 }, (_, n) => {
    const study = `rebuild/${n % 5}`
    const series = `${study}/${n % 3}`
    return dicomFile({
      seed: `rebuild/${n}`,
      studyUid: identifiers({ seed: study }).studyUid,
      seriesUid: identifiers({ seed: series }).seriesUid,
      patientId: ['', 'P1', 'P1', 'P2', 'P3'][n % 5] as string,
      accessionNumber: study,
      patientName: Buffer.from('Müller^Jürgen=王^小東'),
      characterSet: 'ISO_IR 192',
      attributes: { '00200010': ['SH', study] },
      modality: ['CT', 'MR', 'PT'][n % 3] as string,
      instanceNumber: n,
      frames: (n % 4) + 1,
    })
  }),
  ...['x', 'y'].map((name) =>
    dicomFile({ seed: `rebuild/${name}`, sopInstanceUid: identifiers({ seed: 'rebuild/3' }).sopInstanceUid }),
  ),
]

/** All that a catalogue says, without row numbers and in an order of its own. */
async function contents(catalogue: Opened['catalogue']): Promise<unknown> {
  const sorted = (items: unknown[]) => items.map((item) => JSON.stringify(item)).sort()
  const levels = []
  for (const level of ['patient', 'study', 'series', 'instance'] as const) {
    levels.push(sorted(await all(catalogue.find({ level, match: [], include: 'all', fuzzy: false }))))
  }
  const changes = (await everyChange(catalogue)).map(({ seq: _, ...change }) => change)
  return {
    levels,
    instances: sorted(await all(catalogue.instances({}))),
    conflicts: sorted((await catalogue.conflicts(1000)).map(({ conflict }) => conflict)),
    changes: sorted(changes),
    totals: await catalogue.totals(),
  }
}

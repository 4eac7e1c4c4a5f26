import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { all } from '../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { Officer } from './officer.ts'

const officer = (name: string, ...roles: Officer['roles'][number][]): Officer => ({
  name,
  role: 'records',
  from: '',
  roles,
})
const anna = officer('anna', 'records')
const bert = officer('bert', 'records')
const adam = officer('adam', 'admin')

/** Ten years from the study date, and no house minimum: what was made in 2000 has expired. */
const EXPIRING = {
  retention: {
    volumes: {
      default: {
        rules: [{ id: 'ten', class: 'any', years: 10, anchor: 'study-date' }],
        houseMinimum: { years: 0, from: 'study-date' },
      },
    },
  },
  stores: [
    { id: 'one', type: 'file', folder: 'one' },
    { id: 'two', type: 'file', folder: 'two' },
  ],
  sealing: { copies: 2 },
}

const made = (name: string, studyDate = '20000115', n = 0) =>
  dicomFile({
    seed: `${name}/${n}`,
    studyUid: uidOf(name),
    patientId: name,
    studyDate,
    pixelData: pixels(name, n),
    rows: 64,
    columns: 64,
  })
const uidOf = (name: string): string => `1.2.3.${[...name].map((sign) => sign.charCodeAt(0)).join('.')}`
/** Something that an outside scan finds. */
const pixels = (name: string, n: number): Buffer => Buffer.from(`<<${name}/${n}>>`.padEnd(4096, '.').repeat(1))

/** Every file below a folder that holds these bytes. */
function scan(folder: string, wanted: Buffer): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && readFileSync(path).includes(wanted))
}

async function approved(site: OpenedSite, studyUid: string): Promise<string> {
  const { dispositions } = site.retention
  const { disposition } = await dispositions.nominate(studyUid, anna)
  await dispositions.review(disposition.id, true, 'no interest left', anna)
  await dispositions.approve(disposition.id, 'agreed', bert)
  return disposition.id
}

describe('retention at a site', () => {
  test('a study is destroyed by two persons, wherever it is, and its neighbours stay', async () => {
    const dir = tempDir('retention')
    const [doomed, neighbour] = [uidOf('doomed'), uidOf('neighbour')]
    const files = [0, 1, 2].map((n) => made('doomed', '20000115', n))
    await withSite(dir, EXPIRING, async (site) => {
      const { archive, retention, sealer, sealing } = site
      for (const file of [...files, made('neighbour')]) await site.send(file)
      await sealer.seal(doomed)
      // Late ones, still in the landing when it is destroyed.
      await site.send(made('doomed', '20000115', 3))
      await retention.evaluate()
      assert.ok(scan(dir, pixels('doomed', 3)).length > 0)
      const id = await approved(site, doomed)
      const { disposition, certificate, digest } = await retention.dispositions.carryOut(id, anna)
      assert.equal(disposition.state, 'certified')
      assert.equal(certificate?.subject.instances, 4)
      assert.deepEqual([certificate?.reviewedBy, certificate?.approvedBy], ['anna', ['bert']])
      assert.match(digest ?? '', /^[0-9a-f]{64}$/)
      for (const n of [0, 1, 2, 3]) assert.deepEqual(scan(dir, pixels('doomed', n)), [])
      assert.equal(scan(dir, pixels('neighbour', 0)).length, 2, 'in both stores')
      assert.deepEqual(await all(archive.catalogue.instances({ studyUids: [doomed] })), [])
      assert.equal((await all(archive.catalogue.instances({ studyUids: [neighbour] }))).length, 1)
      await assert.rejects(site.send(files[0] as Buffer), { code: 'destroyed' })
      await assert.rejects(retention.explain(doomed, 'en'), { code: 'not_found' })
      await sealing.run()
      // Something else under the study's name is new.
      await site.send(made('doomed', '20000115', 9))
    })
    // And after a new start too.
    await withSite(dir, EXPIRING, async (site) => {
      await assert.rejects(site.send(files[1] as Buffer), { code: 'destroyed' })
      assert.equal((await all(site.archive.catalogue.instances({ studyUids: [doomed] }))).length, 1)
      assert.deepEqual(site.archive.troubles(), [])
    })
  })

  test('who may do what, and what forbids it', async () => {
    await withSite(tempDir('retention'), EXPIRING, async (site) => {
      const { retention } = site
      const { holds, dispositions } = retention
      const [old, young] = [uidOf('old'), uidOf('young')]
      await site.send(made('old'))
      await site.send(made('young', '20250101'))
      await assert.rejects(dispositions.nominate(young, anna), /in_retention/)
      await assert.rejects(dispositions.nominate(old, adam), { code: 'forbidden' })
      await assert.rejects(dispositions.nominate(old, officer('', 'records', 'admin')), /firn token create/)
      const { disposition } = await dispositions.nominate(old, anna)
      await assert.rejects(dispositions.nominate(old, anna), { code: 'conflict' })
      await assert.rejects(dispositions.approve(disposition.id, 'x', bert), { code: 'conflict' })
      await dispositions.review(disposition.id, true, 'fine', anna)
      await assert.rejects(dispositions.approve(disposition.id, 'x', anna), { code: 'forbidden' })
      await assert.rejects(dispositions.approve(disposition.id, 'x', officer(' Anna', 'records')), {
        code: 'forbidden',
      })
      await assert.rejects(dispositions.approve(disposition.id, 'x', adam), { code: 'forbidden' })
      await assert.rejects(dispositions.carryOut(disposition.id, anna), { code: 'conflict' })
      await dispositions.approve(disposition.id, 'fine', bert)
      const hold = await holds.place(
        { patient: { patientId: 'old' }, caseReference: 'C', reason: 'claim', holder: 'court' },
        anna,
      )
      assert.deepEqual([hold.state, hold.assurance], ['active', 'guaranteed'])
      const aborted = await dispositions.carryOut(disposition.id, anna)
      assert.equal(aborted.disposition.state, 'aborted')
      assert.deepEqual(aborted.disposition.steps.at(-1)?.blocks, ['on_hold'])
      assert.deepEqual((await retention.explain(old, 'en')).blocks, ['on_hold'])
      await assert.rejects(holds.release(hold.holdId, 'over', adam), { code: 'forbidden' })
      assert.equal((await holds.release(hold.holdId, 'over', anna)).state, 'active')
      await assert.rejects(holds.release(hold.holdId, 'over', anna), { code: 'forbidden' })
      assert.equal((await holds.release(hold.holdId, 'over', bert)).state, 'released')
      assert.deepEqual((await retention.explain(old, 'en')).blocks, [])
    })
  })

  test("a query's hold is on what it found, and on nothing that comes later", async () => {
    await withSite(tempDir('retention'), EXPIRING, async ({ send, retention, archive }) => {
      const { isHeld } = archive.catalogue.retention
      const held = (name: string) => isHeld.call(archive.catalogue.retention, [uidOf(name)])
      for (const name of ['a', 'b']) await send(made(name, '20000115'))
      await send(made('other', '20010115'))
      const request = { caseReference: 'C', reason: 'R', holder: 'H' }
      const query = [{ path: ['00080020'], value: '20000101-20001231' }]
      const { holdId, studies } = await retention.holds.place({ ...request, query }, anna)
      await send(made('late', '20000116'))
      assert.equal(studies, 2)
      assert.deepEqual(await Promise.all(['a', 'b', 'other', 'late'].map(held)), [true, true, false, false])
      await assert.rejects(retention.holds.place({ ...request, studyUid: '9.9' }, anna), { code: 'not_found' })
      await assert.rejects(retention.holds.place({ ...request, query: [] }, anna), { code: 'invalid_request' })
      assert.equal((await retention.holds.list('active', { limit: 10 }))[0]?.holdId, holdId)
    })
  })

  test('a class that an officer names takes the place of the rules; no date is ever shortened', async () => {
    const dir = tempDir('retention')
    const policy = (version: string, years: number) => ({
      ...EXPIRING,
      retention: {
        volumes: {
          default: {
            version,
            rules: [
              { id: 'exam', class: 'examination', years, anchor: 'study-date' },
              { id: 'therapy', class: 'treatment', years: years + 20, anchor: 'study-date' },
            ],
            houseMinimum: { years: 0, from: 'study-date' },
          },
        },
      },
    })
    const study = uidOf('one')
    const until = async ({ retention }: OpenedSite) => {
      const { standing, evaluation } = await retention.explain(study, 'de')
      assert.equal(evaluation.stored?.retainUntil, standing.decision.retainUntil, 'what is said is what is recorded')
      return [standing.decision.retainUntil, standing.decision.rule]
    }
    await withSite(dir, policy('1', 10), async (site) => {
      await site.send(made('one', '20000115'))
      await site.retention.facts.classify(study, ['examination'], 'as the report says', anna)
      assert.deepEqual(await until(site), ['2010-01-15', 'exam'])
      await assert.rejects(site.retention.facts.classify(study, ['treatment'], 'R', adam), { code: 'forbidden' })
      await site.retention.facts.classify(study, ['treatment'], 'it is a plan', bert)
      assert.deepEqual(await until(site), ['2030-01-15', 'therapy'])
      await site.retention.facts.classify(study, ['examination'], 'it is none', anna)
      assert.deepEqual(await until(site), ['2030-01-15', 'previous'])
    })
    await withSite(dir, policy('2', 1), async (site) => {
      await site.retention.evaluate()
      assert.deepEqual(await until(site), ['2030-01-15', 'previous'])
      const policies = await site.archive.catalogue.retention.policies()
      assert.equal(policies.size, 2, 'both policies are kept')
    })
  })

  test('a crash at any step leaves the study whole, or is gone on with to the certificate', async (t) => {
    let fault = 0
    const outcomes: string[] = []
    for (let hit = true; hit; fault++) {
      const dir = tempDir('retention-crash')
      const name = `doomed-${fault}`
      const study = uidOf(name)
      const counter = { left: fault, hit: false }
      const id = await withSite(dir, EXPIRING, async (site) => {
        for (const n of [0, 1]) await site.send(made(name, '20000115', n))
        const approvedId = await approved(site, study)
        failAfter(site, counter)
        await site.retention.dispositions.carryOut(approvedId, anna).catch((error: Error) => {
          assert.ok(counter.hit, `failed without a fault: ${error.message}`)
        })
        return approvedId
      })
      hit = counter.hit
      await withSite(dir, EXPIRING, async (site) => {
        const { disposition } = await site.retention.dispositions.show(id)
        outcomes.push(disposition.state)
        if (disposition.state === 'approved') {
          const copies = await all(site.archive.catalogue.instances({ studyUids: [study] }))
          assert.equal(copies.length, 2)
          for (const copy of copies) assert.ok(await site.archive.instances.isIntact(copy))
          await site.retention.dispositions.carryOut(id, anna)
        } else await site.retention.resume()
        assert.equal((await site.retention.dispositions.show(id)).disposition.state, 'certified')
        assert.deepEqual(
          [0, 1].flatMap((n) => scan(dir, pixels(name, n))),
          [],
        )
        assert.deepEqual(await all(site.archive.catalogue.instances({ studyUids: [study] })), [])
        await assert.rejects(site.send(made(name, '20000115', 0)), { code: 'destroyed' })
      })
    }
    t.diagnostic(`${outcomes.length - 1} steps failed at: ${outcomes.join(', ')}`)
    for (const state of ['approved', 'destroying', 'certified']) assert.ok(outcomes.includes(state), state)
  })
})

/** From the `left`th step on nothing works any more: no event is written, no object freed, as after a crash. */
function failAfter({ archive }: OpenedSite, counter: { left: number; hit: boolean }): void {
  const step = (): void => {
    if (!counter.hit && counter.left > 0) {
      counter.left -= 1
      return
    }
    counter.hit = true
    throw new Error('a crash')
  }
  const { append } = archive.events
  archive.events.append = async (...events: readonly KnownEvent[]) => {
    step()
    return append.call(archive.events, ...events)
  }
  for (const { adapter } of archive.stores.all) {
    const { remove } = adapter
    adapter.remove = async (...all) => {
      step()
      await remove.apply(adapter, all)
      // And once more between the deed and what is written of it.
      step()
    }
  }
  const { forgetDoomed } = archive.catalogue.retention
  archive.catalogue.retention.forgetDoomed = async (id) => {
    step()
    await forgetDoomed.call(archive.catalogue.retention, id)
    step()
  }
}

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { all } from '../../test/property/core.ts'
import { withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import type { Event } from '../events/event.ts'
import type { Officer } from './officer.ts'

const officer = (name: string): Officer => ({ name, role: 'records', from: '', roles: ['records'] })
const [anna, bert] = [officer('anna'), officer('bert')]
const STUDY = '1.2.3.4'
const file = dicomFile({ seed: 'old', studyUid: STUDY, patientId: 'old', studyDate: '20000115', rows: 16, columns: 16 })

const ALONE = {
  retention: {
    volumes: {
      default: {
        rules: [{ id: 'ten', class: 'any', years: 10, anchor: 'study-date' }],
        houseMinimum: { years: 0, from: 'study-date' },
      },
    },
  },
  stores: [{ id: 'one', type: 'file', folder: 'one' }],
  sealing: { copies: 1 },
}
/** Another site that is never there. */
const OF_TWO = { ...ALONE, peer: { name: 'a', listen: { port: 0 }, addresses: ['http://127.0.0.1:9'] } }

describe('retention where there are two sites', () => {
  test('one of them destroys nothing by itself, and guarantees no hold', async () => {
    await withSite(tempDir('both-sites'), OF_TWO, async ({ archive, retention, sealer, send }) => {
      await send(file)
      await sealer.seal(STUDY)
      await assert.rejects(retention.dispositions.nominate(STUDY, anna), /peer_away/)
      assert.equal((await all(archive.catalogue.instances({ studyUids: [STUDY] }))).length, 1)
      const hold = await retention.holds.place(
        { studyUid: STUDY, caseReference: 'C', reason: 'claim', holder: 'court' },
        anna,
      )
      assert.equal(hold.assurance, 'local only')
    })
  })

  test('what the other one has committed alone is not carried out here', async () => {
    const theirs: Event[] = []
    const site = await withSite(tempDir('both-sites'), ALONE, async ({ archive, retention, sealer, send }) => {
      await send(file)
      await sealer.seal(STUDY)
      const { disposition } = await retention.dispositions.nominate(STUDY, anna)
      await retention.dispositions.review(disposition.id, true, 'no interest left', anna)
      await retention.dispositions.approve(disposition.id, 'agreed', bert)
      await retention.dispositions.carryOut(disposition.id, anna)
      for await (const event of archive.events.read()) {
        theirs.push(event)
        if (event.kind === 'disposition.committed') break
      }
      return archive.events.site
    })
    await withSite(tempDir('both-sites'), OF_TWO, async ({ archive, retention, sealer, send }) => {
      await send(file)
      await sealer.seal(STUDY)
      await retention.holds.place({ studyUid: STUDY, caseReference: 'C', reason: 'claim', holder: 'court' }, anna)
      await archive.catalogue.project(site, theirs, theirs.at(-1)?.seq ?? 0)
      await retention.resume()
      const [kept] = await all(archive.catalogue.instances({ studyUids: [STUDY] }))
      assert.ok(kept && (await archive.instances.isIntact(kept)))
      assert.match(retention.troubles.join(), /not carried out/)
    })
  })
})

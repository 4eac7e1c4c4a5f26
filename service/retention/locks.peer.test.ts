import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, HeadObjectCommand, ListObjectVersionsCommand, S3Client } from '@aws-sdk/client-s3'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { withSite } from '../../test/property/site.ts'
import { skipUnless, tempDir } from '../../test/support/host.ts'
import { type Gateway, rgwInstalled, startGateway } from '../../test/support/rgw.ts'
import type { Officer } from './officer.ts'

const BUCKET = 'firn-retention'
const officer = (name: string): Officer => ({ name, role: 'records', from: '', roles: ['records'] })
const [anna, bert] = [officer('anna'), officer('bert')]
const file = (name: string, studyDate: string) =>
  dicomFile({ seed: name, studyUid: `1.2.3.${name.length}`, patientId: name, studyDate, rows: 16, columns: 16 })

describe('retention and the locks of a real store', { skip: skipUnless(rgwInstalled, 'Ceph is not installed') }, () => {
  let gateway: Gateway
  let owner: S3Client
  before(async () => {
    gateway = await startGateway()
    Object.assign(process.env, { LOCKS_KEY: gateway.accessKey, LOCKS_SECRET: gateway.secretKey })
    owner = new S3Client({
      endpoint: gateway.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: gateway.accessKey, secretAccessKey: gateway.secretKey },
    })
    await owner.send(new CreateBucketCommand({ Bucket: BUCKET, ObjectLockEnabledForBucket: true }))
  })
  after(async () => {
    owner?.destroy()
    await gateway?.stop()
  })

  test('a decision is the date of the lock, a hold its legal hold, and what is locked is not destroyed', async () => {
    const houseMinimum = { years: 0, from: 'study-date' as const }
    const rules = [{ id: 'ten', class: 'any', years: 10, anchor: 'study-date' }]
    const settings = {
      retention: { volumes: { default: { rules, houseMinimum } } },
      stores: [
        {
          id: 'locked',
          type: 's3',
          bucket: BUCKET,
          endpoint: gateway.endpoint,
          credentials: { accessKeyIdVariable: 'LOCKS_KEY', secretAccessKeyVariable: 'LOCKS_SECRET' },
          objectLock: 'compliance',
          initialLockDays: 15 / 86_400,
        },
      ],
    }
    await withSite(tempDir('retention-locks'), settings, async ({ archive, retention, sealer, worm, send }) => {
      const [old, young] = ['1.2.3.3', '1.2.3.5']
      await send(file('old', '20000115'))
      await send(file('young', '20250115'))
      for (const study of [old, young]) await sealer.seal(study)
      await retention.evaluate()
      await worm.run()
      const lockOf = async (studyUid: string) => {
        const [pack] = await archive.catalogue.packs({ studyUid, limit: 10 })
        return owner.send(new HeadObjectCommand({ Bucket: BUCKET, Key: pack?.key }))
      }
      const { ObjectLockRetainUntilDate, ObjectLockMode } = await lockOf(young)
      assert.equal(ObjectLockMode, 'COMPLIANCE')
      assert.match(ObjectLockRetainUntilDate?.toISOString() ?? '', /^2035-01-1[67]T/)

      const hold = await retention.holds.place(
        { studyUid: old, caseReference: 'C', reason: 'claim', holder: 'court' },
        anna,
      )
      await worm.run()
      assert.equal((await lockOf(old)).ObjectLockLegalHoldStatus, 'ON')
      for (const who of [anna, bert]) await retention.holds.release(hold.holdId, 'over', who)
      await worm.run()
      assert.equal((await lockOf(old)).ObjectLockLegalHoldStatus, 'OFF')

      const { disposition } = await retention.dispositions.nominate(old, anna)
      await retention.dispositions.review(disposition.id, true, 'no interest left', anna)
      await retention.dispositions.approve(disposition.id, 'agreed', bert)
      const until = (await lockOf(old)).ObjectLockRetainUntilDate ?? new Date()
      await assert.rejects(retention.dispositions.carryOut(disposition.id, anna), /store locked locks packs.* until/)
      assert.equal((await archive.catalogue.packs({ studyUid: old, limit: 10 })).length, 1, 'it is still there')
      await sleep(Math.max(0, until.getTime() - Date.now()) + 1_500)
      const done = await retention.dispositions.carryOut(disposition.id, anna)
      assert.equal(done.disposition.state, 'certified')
      const { Versions = [], DeleteMarkers = [] } = await owner.send(
        new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: 'packs/' }),
      )
      assert.deepEqual([Versions.length, DeleteMarkers.length], [1, 0], 'the other one')
    })
  })
})

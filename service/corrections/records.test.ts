import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { Records } from './records.ts'
import { contentOf } from './with-records.ts'

describe('records', () => {
  test('are kept under their digest, once', async () => {
    const folder = join(tempDir('records'), 'records')
    const records = new Records(folder)
    const digest = await records.put('{"firn":1}\n')
    assert.equal(await records.put('{"firn":1}\n'), digest)
    assert.equal(await records.get(digest), '{"firn":1}\n')
    assert.deepEqual(readdirSync(join(folder, digest.slice(0, 2))), [`${digest}.json`])
    assert.equal(await records.get('0'.repeat(64)), undefined)
  })

  test('one that was changed is none', async () => {
    const folder = join(tempDir('records'), 'records')
    const records = new Records(folder)
    const digest = await records.put('true')
    writeFileSync(join(folder, digest.slice(0, 2), `${digest}.json`), 'false')
    assert.equal(await records.get(digest), undefined)
    assert.equal(await contentOf(digest, records), undefined)
  })

  test('a name that is no digest never becomes a path, and a long record is refused', async () => {
    const records = new Records(join(tempDir('records'), 'records'))
    await assert.rejects(records.get('../../etc/passwd'), RangeError)
    assert.equal(await contentOf('../../etc/passwd', records), undefined)
    await assert.rejects(records.put('x'.repeat(300_000)), (error) => isArchiveError(error, 'invalid_request'))
  })
})

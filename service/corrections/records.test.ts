import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MemoryStore } from '../../storage-adapters/memory/memory.ts'
import { storesOf } from '../../test/property/stores.ts'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { RecordCopies, recoverRecords } from './record-copies.ts'
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

  test('get to every store, to one that is away when it is back, and come back from there', async () => {
    const records = new Records(join(tempDir('records'), 'records'))
    const digests = [await records.put('1'), await records.put('2')]
    const adapters = [new MemoryStore({ id: 'one' }), new MemoryStore({ id: 'two' })]
    for (const adapter of adapters) await adapter.open()
    const away = new Map([['two', 'no power']])
    const stores = storesOf(adapters, away)
    const warnings: string[] = []
    const copies = new RecordCopies({ stores, records, warn: (message) => void warnings.push(message) })
    const held = async (index: number): Promise<string[]> => {
      const keys: string[] = []
      for await (const { key } of (adapters[index] as MemoryStore).list()) keys.push(key)
      return keys
    }
    copies.soon()
    copies.soon()
    await copies.idle()
    assert.deepEqual(await held(0), digests.map((digest) => `records/${digest}.json`).sort())
    assert.deepEqual(await held(1), [])
    away.clear()
    copies.soon()
    await copies.idle()
    assert.deepEqual(await held(1), await held(0))
    assert.deepEqual(warnings, [])
    await copies.stop()
    const other = new Records(join(tempDir('records'), 'records'))
    const missing = [...digests, '0'.repeat(64)]
    assert.equal(await recoverRecords({ missingRecords: async () => missing }, other, stores), 2)
    assert.equal(await other.get(digests[1] as string), '2')
  })
})

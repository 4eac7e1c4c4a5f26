import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import '../../../test/property/ts-workers.ts'
import { tempDir } from '../../../test/support/host.ts'
import { migrate, openWriter } from './connect.ts'
import { retireSegment } from './pack-writes.ts'

/** What SQLite calls them: with FULL each commit is synced, and with it those before. */
const [NORMAL, FULL] = [1, 2]

describe('the catalogue of packs', () => {
  test('retiring a segment is durable before it resolves: its file is removed next', async () => {
    const options = { file: join(tempDir('pack-writes'), 'catalogue.sqlite') }
    await migrate(options)
    const knex = openWriter(options)
    await knex.raw('CREATE TABLE seen (mode INTEGER)')
    await knex.raw(
      'CREATE TRIGGER retiring AFTER UPDATE ON segments BEGIN ' +
        'INSERT INTO seen SELECT synchronous FROM pragma_synchronous; END',
    )
    await knex('segments').insert({ id: 7 })
    await retireSegment(knex, 7)
    assert.deepEqual(await knex('seen').select(), [{ mode: FULL }])
    assert.deepEqual(await knex('segments').select(), [{ id: 7, state: 'retired' }])
    assert.deepEqual(await knex.raw('PRAGMA synchronous'), [{ synchronous: NORMAL }])
    await knex.destroy()
  })
})

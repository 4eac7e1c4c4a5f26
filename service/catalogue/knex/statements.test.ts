import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import '../../../test/property/ts-workers.ts'
import { tempDir } from '../../../test/support/host.ts'
import { openWriter } from './connect.ts'
import { insertInto, marksFor, StatementRunner } from './statements.ts'

async function opened() {
  const knex = openWriter({ file: join(tempDir('statements'), 'catalogue.sqlite') })
  await knex.raw('CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER)')
  const runner = new StatementRunner(knex)
  const close = async () => {
    await runner.close()
    await knex.destroy()
  }
  return { knex, runner, close }
}

const row = (n: number) => [`thing ${n}`, n * 2 ** 40]

describe('statements of the hot path', () => {
  test('what a transaction writes is there as a whole, or not at all', async () => {
    const { knex, runner, close } = await opened()
    const add = (n: number) =>
      runner.transaction(async ({ all }) => {
        await all(insertInto('things', ['name', 'size']), row(n))
        await all(insertInto('things', ['name', 'size']), row(1))
      })
    await runner.transaction(({ all }) => all(insertInto('things', ['name', 'size'], 2), [...row(1), ...row(2)]))
    await assert.rejects(add(3), /UNIQUE/)
    assert.deepEqual(await knex('things').pluck('name'), ['thing 1', 'thing 2'])
    assert.deepEqual(await knex('things').pluck('size'), [2 ** 40, 2 ** 41])
    // The connection is free again, for this and for others.
    await runner.transaction(({ all }) => all(insertInto('things', ['name', 'size']), row(4)))
    assert.equal((await knex('things')).length, 3)
    await close()
  })

  test('many texts are kept prepared, not all, and the database still closes', async () => {
    const { runner, close } = await opened()
    await runner.transaction(({ all }) => all(insertInto('things', ['name', 'size']), row(1)))
    for (let count = 1; count <= 450; count++) {
      const names = Array.from({ length: count }, (_, n) => `thing ${n}`)
      const sql = `SELECT name FROM things WHERE name IN (${marksFor(count)})`
      const found = await runner.use(({ all }) => all(sql, names))
      assert.equal(found.length, count > 1 ? 1 : 0)
    }
    await close()
  })
})

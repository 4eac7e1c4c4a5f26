import type { Knex } from 'knex'

/** Volumes, when a pack may have to move, what each store holds and held, and alarms. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('packs', (table) => {
    table.string('volume', 64).notNullable().defaultTo('default')
    // Dates (YYYY-MM-DD). The move rules look at the pack again on this day; empty: as soon as they can.
    table.string('next_look', 10).notNullable().defaultTo('')
    // When a client read from it last; empty: not since this is recorded.
    table.string('last_used', 10).notNullable().defaultTo('')
  })
  await knex.raw('CREATE INDEX packs_next_look ON packs (next_look, id)')
  await knex.schema.createTable('tallies', (table) => {
    // `store ID` or `volume ID`.
    table.string('name', 80).primary()
    table.bigInteger('packs').notNullable()
    table.bigInteger('bytes').notNullable()
  })
  await knex.schema.createTable('store_days', (table) => {
    table.string('day', 10).notNullable()
    table.string('store', 64).notNullable()
    table.bigInteger('bytes').notNullable()
    table.bigInteger('bytes_total')
    table.bigInteger('bytes_free')
    table.primary(['day', 'store'])
  })
  await knex.schema.createTable('alarms', (table) => {
    table.string('subject', 80).notNullable()
    table.string('alarm', 32).notNullable()
    table.text('detail').notNullable()
    table.string('since', 32).notNullable()
    table.primary(['subject', 'alarm'])
  })
  await knex.schema.createTable('leftovers', (table) => {
    table.bigInteger('pack').notNullable()
    table.string('store', 64).notNullable()
    table.primary(['pack', 'store'])
  })
  await knex.schema.createTable('pins', (table) => {
    table.string('id', 64).primary()
    // Empty while only its release is known: two sites' events come in any order.
    table.string('study_uid', 64).notNullable().defaultTo('').index()
    table.text('reason').notNullable().defaultTo('')
    table.string('by').notNullable().defaultTo('')
    table.string('at', 32).notNullable().defaultTo('')
    table.boolean('released').notNullable().defaultTo(false)
  })
  await knex.raw(`INSERT INTO tallies (name, packs, bytes) SELECT 'volume ' || volume, count(*), sum(size_bytes)
    FROM packs GROUP BY volume`)
  await knex.raw(`INSERT INTO tallies (name, packs, bytes) SELECT 'store ' || store, count(*), sum(size_bytes)
    FROM pack_copies JOIN packs ON packs.id = pack_copies.pack GROUP BY store`)
  for (const statement of isPostgres(knex) ? postgresTriggers() : sqliteTriggers()) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const { name, table } of TRIGGERS) {
    await knex.raw(isPostgres(knex) ? `DROP TRIGGER ${name} ON ${table}` : `DROP TRIGGER ${name}`)
    if (isPostgres(knex)) await knex.raw(`DROP FUNCTION ${name}_tally()`)
  }
  for (const table of ['leftovers', 'pins', 'alarms', 'store_days', 'tallies']) await knex.schema.dropTable(table)
  await knex.raw('DROP INDEX packs_next_look')
  await knex.schema.alterTable('packs', (table) => table.dropColumns('volume', 'next_look', 'last_used'))
}

const isPostgres = (knex: Knex): boolean => knex.client.config.client === 'pg'

/**
 * What stores and volumes hold is counted by the database itself, with each change and in its transaction: capacity is
 * asked for all the time, a sum over all packs would take longer every year, and no writer of packs can forget it.
 */
const sizeOf = (row: string): string => `(SELECT size_bytes FROM packs WHERE id = ${row}.pack)`
const TRIGGERS = (
  [
    ['packs', 'INSERT', 'NEW'],
    ['packs', 'DELETE', 'OLD'],
    ['pack_copies', 'INSERT', 'NEW'],
    ['pack_copies', 'DELETE', 'OLD'],
  ] as const
).map(([table, event, row]) => {
  const sign = event === 'INSERT' ? '' : '-'
  const name = table === 'packs' ? `'volume ' || ${row}.volume` : `'store ' || ${row}.store`
  const bytes = table === 'packs' ? `${row}.size_bytes` : sizeOf(row)
  return {
    name: `${table}_${event.toLowerCase()}`,
    table,
    event,
    row,
    body:
      `INSERT INTO tallies (name, packs, bytes) VALUES (${name}, ${sign}1, ${sign}${bytes}) ` +
      'ON CONFLICT (name) DO UPDATE SET packs = tallies.packs + excluded.packs, bytes = tallies.bytes + excluded.bytes;',
  }
})

function sqliteTriggers(): string[] {
  return TRIGGERS.map(
    ({ name, table, event, body }) => `CREATE TRIGGER ${name} AFTER ${event} ON ${table} BEGIN ${body} END`,
  )
}

/** The lock comes before any row of tallies is touched, so that two transactions can't wait for each other's rows. */
const LOCK = 4_019_114_004

function postgresTriggers(): string[] {
  return TRIGGERS.flatMap(({ name, table, event, row, body }) => [
    `CREATE FUNCTION ${name}_tally() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       PERFORM pg_advisory_xact_lock(${LOCK}); ${body} RETURN ${row}; END $$`,
    `CREATE TRIGGER ${name} AFTER ${event} ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}_tally()`,
  ])
}

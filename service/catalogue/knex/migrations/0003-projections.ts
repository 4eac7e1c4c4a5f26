import type { Knex } from 'knex'

/** How far each site's event log is in the catalogue. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('projection_cursors', (table) => {
    table.string('site', 64).primary()
    table.bigInteger('seq').notNullable()
  })
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable('projection_cursors')
}

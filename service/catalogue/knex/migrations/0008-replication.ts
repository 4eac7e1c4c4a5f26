import type { Knex } from 'knex'

/** Copies that the other site may lack. Empty while both sites are up. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('owed', (table) => {
    table.bigIncrements('id')
    table.string('uid', 64).notNullable()
    table.string('sha256', 64).notNullable()
    table.unique(['sha256', 'uid'])
  })
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable('owed')
}

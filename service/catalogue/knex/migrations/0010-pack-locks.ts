import type { Knex } from 'knex'

/** What is known of the lock of each copy of a pack, and when it is to be looked at next. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('pack_copies', (table) => {
    // ISO 8601; empty: at once, which is what every new copy begins with.
    table.string('lock_due', 32).notNullable().defaultTo('')
    // As the store showed it last; null: nobody has looked.
    table.string('lock_mode', 16)
    table.string('lock_until', 32)
    table.boolean('legal_hold')
    table.index(['store', 'lock_due'], 'pack_copies_lock_due')
  })
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.alterTable('pack_copies', (table) => {
    table.dropIndex(['store', 'lock_due'], 'pack_copies_lock_due')
    table.dropColumns('lock_due', 'lock_mode', 'lock_until', 'legal_hold')
  })
}

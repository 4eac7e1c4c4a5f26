import type { Knex } from 'knex'

const TABLE = 'audit_events'

/** Events that somebody may ask for: who did what with which study, when. The log is the truth, this is its index. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable(TABLE, (table) => {
    table.string('site', 64).notNullable()
    table.bigInteger('seq').notNullable()
    table.string('hash', 64).notNullable()
    table.string('at', 32).notNullable()
    table.string('kind', 64).notNullable()
    table.string('actor', 256).notNullable()
    table.string('role', 256).notNullable()
    table.string('address', 256).notNullable()
    table.string('study', 256)
    // Canonical JSON, as the log has it.
    table.text('subject').notNullable()
    table.text('data').notNullable()
    table.primary(['site', 'seq'])
    // Each of them ends like the order in which events are listed, so that a page is read without sorting.
    table.index(['at', 'site', 'seq'])
    table.index(['actor', 'at', 'site', 'seq'])
    table.index(['kind', 'at', 'site', 'seq'])
  })
  // Partial: most events are of no study, and cost this index nothing.
  await knex.raw(`CREATE INDEX audit_events_study ON ${TABLE} (study, at, site, seq) WHERE study IS NOT NULL`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable(TABLE)
}

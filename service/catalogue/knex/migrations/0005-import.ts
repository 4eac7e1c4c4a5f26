import type { Knex } from 'knex'

/** What imports from old archives have found and done. None of it is needed to read what was imported. */
export async function up(knex: Knex): Promise<void> {
  const isPg = knex.client.config.client === 'pg'
  // Listings are compared in the order of bytes, whatever the database's locale.
  const text = isPg ? 'text COLLATE "C"' : 'text'
  await knex.schema.createTable('imports', (table) => {
    table.string('name', 32).primary()
    table.string('state', 16).notNullable()
    table.integer('list_only').notNullable()
    table.string('verify', 32).notNullable()
    // Where the listing of the source is; null: not begun.
    table.text('cursor')
    table.integer('listed').notNullable()
    table.text('totals').notNullable()
    table.string('started_at', 32).notNullable()
    table.string('ended_at', 32)
  })
  await knex.schema.createTable('import_studies', (table) => {
    table.bigIncrements('id')
    table.string('import', 32).notNullable()
    table.specificType('uid', text).notNullable()
    table.specificType('patient_id', text).notNullable()
    table.text('attributes').notNullable()
    table.string('state', 16).notNullable()
    table.integer('attempts').notNullable()
    // Null: the source doesn't say before it is asked for the study.
    table.integer('expected')
    table.bigInteger('listed_bytes').notNullable()
    table.text('result').notNullable()
    table.text('reason').notNullable()
    table.unique(['import', 'uid'])
    table.index(['import', 'state', 'id'])
    table.index(['import', 'patient_id'])
  })
  await knex.schema.createTable('import_files', (table) => {
    table.string('import', 32).notNullable()
    table.specificType('path', text).notNullable()
    table.specificType('study_uid', text).notNullable()
    table.specificType('sop_uid', text).notNullable()
    table.bigInteger('size_bytes').notNullable()
    table.primary(['import', 'path'])
    table.index(['import', 'study_uid', 'path'])
  })
  await knex.schema.createTable('import_findings', (table) => {
    table.bigIncrements('id')
    table.string('import', 32).notNullable()
    table.specificType('study_uid', text).notNullable()
    table.string('kind', 24).notNullable()
    table.text('object').notNullable()
    table.text('detail').notNullable()
    table.index(['import', 'id'])
    table.index(['import', 'study_uid'])
  })
  // Reconciling merges the stores' listings, which are in the order of bytes, with the catalogue's.
  if (isPg) await knex.raw('CREATE INDEX packs_key_bytes ON packs (key COLLATE "C")')
}

export async function down(knex: Knex): Promise<void> {
  if (knex.client.config.client === 'pg') await knex.raw('DROP INDEX packs_key_bytes')
  for (const table of ['import_findings', 'import_files', 'import_studies', 'imports']) {
    await knex.schema.dropTable(table)
  }
}

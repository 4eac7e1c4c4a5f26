import type { Knex } from 'knex'

/** Packs, the stores that hold them, and which instances are in them. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('packs', (table) => {
    table.bigIncrements('id')
    table.string('study_uid', 64).notNullable().index()
    table.string('key').notNullable().unique()
    table.string('sha256', 64).notNullable()
    table.bigInteger('size_bytes').notNullable()
    table.integer('instance_count').notNullable()
    table.bigInteger('payload_bytes').notNullable()
    table.string('sealed_at', 32).notNullable()
  })
  await knex.schema.createTable('pack_copies', (table) => {
    table.bigInteger('pack').notNullable().references('packs.id')
    table.string('store', 64).notNullable().index()
    table.string('verified_at', 32).notNullable().index()
    table.primary(['pack', 'store'])
  })
  for (const name of ['instances', 'conflicts']) {
    await knex.schema.alterTable(name, (table) => {
      // Null: only the landing has it. Where it is set and `segment` is 0, only packs have it.
      table.bigInteger('pack').references('packs.id')
      table.bigInteger('pack_offset')
    })
  }
  // Partial indexes: what is sealed costs them nothing.
  await knex.raw('CREATE INDEX instances_unsealed ON instances (study) WHERE pack IS NULL')
  await knex.raw('CREATE INDEX conflicts_unsealed ON conflicts (study_uid) WHERE pack IS NULL')
  await knex.raw('CREATE INDEX instances_unsealed_segment ON instances (segment) WHERE pack IS NULL')
  await knex.raw('CREATE INDEX conflicts_unsealed_segment ON conflicts (segment) WHERE pack IS NULL')
  await knex.schema.alterTable('segments', (table) => {
    // complete: gets no more entries. retired: nobody reads it any more. removed: its file is gone, its number stays taken.
    table.string('state', 16).notNullable().defaultTo('complete').index()
  })
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.alterTable('segments', (table) => table.dropColumn('state'))
  for (const name of ['instances', 'conflicts']) {
    await knex.raw(`DROP INDEX ${name}_unsealed`)
    await knex.raw(`DROP INDEX ${name}_unsealed_segment`)
    await knex.schema.alterTable(name, (table) => table.dropColumns('pack', 'pack_offset'))
  }
  await knex.schema.dropTable('pack_copies')
  await knex.schema.dropTable('packs')
}

import type { Knex } from 'knex'

/** Retention, holds and dispositions, as the event logs tell them. */
export async function up(knex: Knex): Promise<void> {
  const text = textColumns(knex)

  await knex.schema.createTable('retention_policies', (table) => {
    table.string('digest', 64).primary()
    table.string('volume', 64).notNullable()
    table.text('body').notNullable()
    table.string('site', 64).notNullable()
    table.bigInteger('seq').notNullable()
  })

  await knex.schema.createTable('retention_decisions', (table) => {
    table.string('study_uid', 64).primary()
    // A day, or `forever`, which sorts behind all days.
    text(table, 'retain_until')
    table.string('rule').notNullable()
    table.string('policy').notNullable()
    table.text('inputs').notNullable()
    table.string('at', 32).notNullable()
    table.string('site', 64).notNullable()
    table.bigInteger('seq').notNullable()
    table.index(['retain_until', 'study_uid'])
  })

  // What this node has looked at, so that a run finds what has changed since. Not told by events.
  await knex.schema.createTable('retention_evaluated', (table) => {
    table.string('study_uid', 64).primary()
    table.string('received', 32).notNullable()
    table.string('policy_digest', 64).notNullable()
    table.string('classes').notNullable()
  })

  await knex.schema.createTable('retention_overrides', (table) => {
    table.string('id').primary()
    table.string('study_uid', 64).notNullable().index()
    table.text('body').notNullable()
  })

  await knex.schema.createTable('retention_notes', (table) => {
    table.string('id').primary()
    // Of a study or of a patient.
    table.string('target_kind', 16).notNullable()
    text(table, 'target')
    table.text('body').notNullable()
    table.index(['target_kind', 'target'])
  })

  await knex.schema.createTable('holds', (table) => {
    table.string('id', 64).primary()
    table.string('state', 16).notNullable().index()
  })
  await knex.schema.createTable('hold_events', (table) => {
    table.string('hold', 64).notNullable()
    table.string('site', 64).notNullable()
    table.bigInteger('seq').notNullable()
    table.text('body').notNullable()
    table.primary(['hold', 'site', 'seq'])
  })
  await knex.schema.createTable('hold_targets', (table) => {
    table.string('hold', 64).notNullable()
    table.string('kind', 16).notNullable()
    text(table, 'target')
    table.primary(['hold', 'kind', 'target'])
    table.index(['kind', 'target'])
  })

  await knex.schema.createTable('dispositions', (table) => {
    table.string('id', 64).primary()
    table.string('study_uid', 64).notNullable().index()
    table.string('state', 16).notNullable().index()
  })
  await knex.schema.createTable('disposition_steps', (table) => {
    table.string('disposition', 64).notNullable()
    table.string('site', 64).notNullable()
    table.bigInteger('seq').notNullable()
    table.text('body').notNullable()
    table.primary(['disposition', 'site', 'seq'])
  })
  await knex.schema.createTable('disposition_instances', (table) => {
    table.string('disposition', 64).notNullable()
    table.string('uid', 64).notNullable()
    table.string('sha256', 64).notNullable()
    table.bigInteger('size_bytes').notNullable()
    table.primary(['disposition', 'uid', 'sha256'])
  })
  // Never forgotten: what is in here isn't taken in again.
  await knex.schema.createTable('tombstones', (table) => {
    table.string('uid', 64).notNullable()
    table.string('sha256', 64).notNullable().index()
    table.string('study_uid', 64).notNullable()
    table.string('disposition', 64).notNullable()
    table.primary(['uid', 'sha256'])
  })

  await knex.schema.createTable('compliance_clocks', (table) => {
    table.string('site', 64).primary()
    table.string('clock', 64).notNullable()
    table.bigInteger('compliance_ms').notNullable()
  })
}

export async function down(knex: Knex): Promise<void> {
  for (const table of TABLES) await knex.schema.dropTable(table)
}

const TABLES = [
  'compliance_clocks',
  'tombstones',
  'disposition_instances',
  'disposition_steps',
  'dispositions',
  'hold_targets',
  'hold_events',
  'holds',
  'retention_notes',
  'retention_overrides',
  'retention_evaluated',
  'retention_decisions',
  'retention_policies',
]

/** As in the first migration: compared byte by byte on both databases. */
function textColumns(knex: Knex) {
  const type = knex.client.config.client === 'pg' ? 'text COLLATE "C"' : 'text'
  return (table: Knex.CreateTableBuilder, name: string) => table.specificType(name, type).notNullable().defaultTo('')
}

import type { Knex } from 'knex'

/** Rejections and corrections, as the event logs tell of them, and what they change of what is shown. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('instances', (table) => {
    // Rejected, and for a reason for which rejected instances are hidden: nobody is shown it, nothing of it is freed.
    table.boolean('hidden').notNullable().defaultTo(false)
  })
  await knex.schema.alterTable('studies', (table) => {
    // Grows with whatever changes what is shown of a study other than instances that come.
    table.integer('revision').notNullable().defaultTo(0)
  })
  await knex.schema.alterTable('patients', (table) => {
    // No stored file names the patient: what is shown came with a correction.
    table.boolean('named_only').notNullable().defaultTo(false)
  })
  await knex.schema.createTable('rejections', (table) => {
    table.string('id', 64).primary()
    table.string('study_uid', 64).notNullable().index()
    table.string('code', 32).notNullable()
    table.text('reason').notNullable()
    // SOP Instance UID of the Key Object Selection document; empty where none was sent.
    table.string('note_uid', 64).notNullable()
    madeColumns(table)
  })
  await knex.schema.createTable('rejected_instances', (table) => {
    table.string('instance_uid', 64).notNullable()
    table.string('rejection', 64).notNullable().index()
    table.string('study_uid', 64).notNullable()
    table.string('code', 32).notNullable()
    // The Key Object Selection document itself rather than what it rejects.
    table.boolean('is_note').notNullable()
    table.primary(['instance_uid', 'rejection'])
  })
  await knex.schema.createTable('restorations', (table) => {
    table.string('rejection', 64).notNullable()
    // Empty: all instances of the rejection.
    table.string('instance_uid', 64).notNullable()
    table.text('reason').notNullable()
    madeColumns(table)
    table.primary(['rejection', 'instance_uid'])
  })
  await knex.schema.createTable('corrections', (table) => {
    table.string('id', 64).primary()
    // patient, merge, move, study or series.
    table.string('kind', 16).notNullable()
    table.string('study_uid', 64).notNullable().index()
    table.string('series_uid', 64).notNullable().index()
    table.text('patient_id').notNullable()
    table.text('issuer').notNullable()
    table.text('to_patient_id').notNullable()
    table.text('to_issuer').notNullable()
    table.string('record', 64).notNullable()
    // DICOM JSON; null as long as the record isn't here.
    table.text('attributes')
    table.text('reason').notNullable()
    table.bigInteger('place').notNullable().index()
    madeColumns(table)
    table.index(['patient_id', 'issuer'])
    table.index(['to_patient_id', 'to_issuer'])
  })
  await knex.schema.createTable('withdrawals', (table) => {
    table.string('correction', 64).primary()
    table.text('reason').notNullable()
    madeColumns(table)
  })
  for (const level of ['study', 'series', 'patient']) {
    await knex.schema.createTable(`${level}_originals`, (table) => {
      table.bigInteger('id').primary()
      // DICOM JSON as the stored files say it; the level's own table holds what is shown.
      table.text('attributes').notNullable()
      table.text('laid').notNullable()
    })
  }
}

export async function down(knex: Knex): Promise<void> {
  const originals = ['study_originals', 'series_originals', 'patient_originals']
  for (const table of [
    ...originals,
    'withdrawals',
    'corrections',
    'restorations',
    'rejected_instances',
    'rejections',
  ]) {
    await knex.schema.dropTable(table)
  }
  await knex.schema.alterTable('patients', (table) => table.dropColumn('named_only'))
  await knex.schema.alterTable('studies', (table) => table.dropColumn('revision'))
  await knex.schema.alterTable('instances', (table) => table.dropColumn('hidden'))
}

/** Who did it and when, and in which event. */
function madeColumns(table: Knex.CreateTableBuilder): void {
  table.string('site', 64).notNullable()
  table.bigInteger('seq').notNullable()
  table.text('by').notNullable()
  table.text('role').notNullable()
  table.text('address').notNullable()
  table.string('at', 32).notNullable()
}

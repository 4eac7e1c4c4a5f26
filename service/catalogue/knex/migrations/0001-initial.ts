import type { Knex } from 'knex'

export async function up(knex: Knex): Promise<void> {
  const text = textColumns(knex)

  await knex.schema.createTable('meta', (table) => {
    table.string('key').primary()
    table.text('value').notNullable()
  })

  await knex.schema.createTable('sources', (table) => {
    table.increments('id')
    table.string('protocol', 16).notNullable()
    table.string('name').notNullable()
    table.string('address').notNullable()
    table.unique(['protocol', 'name', 'address'])
  })

  await knex.schema.createTable('patients', (table) => {
    table.bigIncrements('id')
    // Issuer and patient ID; a study without patient ID is a patient of its own.
    text(table, 'identity').unique()
    text(table, 'patient_id').index()
    text(table, 'issuer')
    text(table, 'name_alphabetic').index()
    text(table, 'name_ideographic').index()
    text(table, 'name_phonetic').index()
    text(table, 'birth_date').index()
    text(table, 'sex')
    // DICOM JSON of the patient level, as the first study said it.
    table.text('attributes').notNullable()
  })

  await knex.schema.createTable('studies', (table) => {
    table.bigIncrements('id')
    text(table, 'uid').unique()
    table.bigInteger('patient').notNullable().references('patients.id').index()
    text(table, 'patient_id').index()
    text(table, 'issuer')
    text(table, 'name_alphabetic').index()
    text(table, 'name_ideographic').index()
    text(table, 'name_phonetic').index()
    text(table, 'birth_date').index()
    text(table, 'sex')
    text(table, 'study_date')
    text(table, 'study_time')
    text(table, 'accession').index()
    text(table, 'study_id').index()
    text(table, 'description').index()
    text(table, 'referring').index()
    text(table, 'institution')
    // Of all its series, as \CT\PT\.
    text(table, 'modalities')
    table.integer('series_count').notNullable()
    table.integer('instance_count').notNullable()
    table.bigInteger('bytes').notNullable()
    table.string('first_received', 32).notNullable()
    table.string('last_received', 32).notNullable().index()
    // DICOM JSON of the patient and study levels, as the first instance said it.
    table.text('attributes').notNullable()
    // The order of answers: newest study first.
    table.index(['study_date', 'id'])
  })

  await knex.schema.createTable('series', (table) => {
    table.bigIncrements('id')
    table.bigInteger('study').notNullable().references('studies.id')
    text(table, 'uid').index()
    text(table, 'modality').index()
    table.bigInteger('series_number')
    text(table, 'description')
    text(table, 'body_part')
    text(table, 'station')
    text(table, 'pps_start_date').index()
    text(table, 'pps_start_time')
    // Of the request attributes sequence; several values as \a\b\.
    text(table, 'scheduled_step_ids')
    text(table, 'requested_procedure_ids')
    table.integer('instance_count').notNullable()
    table.bigInteger('bytes').notNullable()
    table.text('attributes').notNullable()
    table.unique(['study', 'uid'])
    table.index(['study', 'modality'])
  })

  await knex.schema.createTable('instances', (table) => {
    table.bigIncrements('id')
    table.bigInteger('study').notNullable().references('studies.id')
    table.bigInteger('series').notNullable().references('series.id')
    text(table, 'uid').unique()
    copyColumns(table, text)
    table.bigInteger('instance_number')
    table.bigInteger('number_of_frames')
    // Place within the series: the instance number, those without one first.
    table.bigInteger('position').notNullable()
    table.text('attributes').notNullable()
    table.index(['series', 'position', 'id'])
    table.index(['study'])
  })

  await knex.schema.createTable('conflicts', (table) => {
    table.bigIncrements('id')
    text(table, 'study_uid')
    text(table, 'series_uid')
    text(table, 'uid')
    copyColumns(table, text)
    text(table, 'served_sha256')
    table.unique(['uid', 'sha256'])
  })

  await knex.schema.createTable('segments', (table) => {
    table.bigInteger('id').primary()
  })

  await knex.schema.createTable('changes', (table) => {
    table.bigInteger('seq').primary()
    table.string('kind', 32).notNullable()
    table.string('at', 32).notNullable()
    table.string('study_uid', 64).notNullable()
    table.string('series_uid', 64).notNullable()
    table.string('instance_uid', 64).notNullable()
    table.string('sha256', 64).notNullable()
  })

  await knex.schema.createTable('counters', (table) => {
    table.string('name').primary()
    table.bigInteger('value').notNullable()
  })
  await knex('counters').insert({ name: 'changes', value: 0 })
}

export async function down(knex: Knex): Promise<void> {
  const tables = [
    'counters',
    'changes',
    'segments',
    'conflicts',
    'instances',
    'series',
    'studies',
    'patients',
    'sources',
  ]
  for (const table of [...tables, 'meta']) await knex.schema.dropTable(table)
}

type TextColumn = (table: Knex.CreateTableBuilder, name: string) => Knex.ColumnBuilder

/**
 * Text that is searched, compared byte by byte on both databases: prefix wildcards become ranges, and the order of
 * answers doesn't depend on a locale. Empty stands for unknown, so that a range never has to think of NULL.
 */
function textColumns(knex: Knex): TextColumn {
  const type = knex.client.config.client === 'pg' ? 'text COLLATE "C"' : 'text'
  return (table, name) => table.specificType(name, type).notNullable().defaultTo('')
}

/** What is known of one stored copy's bytes. */
function copyColumns(table: Knex.CreateTableBuilder, text: TextColumn): void {
  text(table, 'sha256')
  // The digest's first 31 bits: a small index that finds a digest among 100 million.
  table.integer('digest_prefix').notNullable().index()
  text(table, 'sop_class')
  text(table, 'transfer_syntax')
  table.bigInteger('size_bytes').notNullable()
  table.integer('data_set_offset').notNullable()
  table.integer('source').notNullable().references('sources.id')
  table.string('received', 32).notNullable()
  table.bigInteger('segment').notNullable()
  table.bigInteger('segment_offset').notNullable()
  table.index(['segment', 'segment_offset'])
}

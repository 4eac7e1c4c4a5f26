import type { Knex } from 'knex'

/** Requests for storage commitment and what was found of each instance in them. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('commitments', (table) => {
    table.bigIncrements('id')
    table.string('transaction_uid', 64).notNullable()
    table.string('protocol', 16).notNullable()
    table.string('requester_name').notNullable()
    table.string('requester_address').notNullable()
    table.string('form', 16).notNullable()
    table.string('content', 64).notNullable()
    table.integer('reference_count').notNullable().defaultTo(0)
    table.integer('committed').notNullable().defaultTo(0)
    table.integer('failed').notNullable().defaultTo(0)
    // incoming: its references are being written, nobody was told that it is accepted.
    table.string('state', 16).notNullable()
    table.bigInteger('requested_at').notNullable()
    table.bigInteger('answered_at')
    table.bigInteger('ended_at')
    table.integer('attempts').notNullable().defaultTo(0)
    table.bigInteger('next_at')
    table.text('trouble').notNullable().defaultTo('')
    table.index(['transaction_uid'])
    table.index(['state', 'id'])
  })
  await knex.schema.createTable('commitment_references', (table) => {
    table.bigInteger('commitment').notNullable().references('commitments.id')
    table.integer('number').notNullable()
    table.text('sop_class').notNullable()
    table.text('sop_instance').notNullable()
    table.text('study')
    table.text('series')
    table.string('verdict', 24).notNullable()
    table.primary(['commitment', 'number'])
  })
  // Partial indexes: what is over costs them nothing.
  await knex.raw('CREATE INDEX commitments_due ON commitments (state, next_at) WHERE next_at IS NOT NULL')
  await knex.raw('CREATE INDEX commitments_ended ON commitments (ended_at) WHERE ended_at IS NOT NULL')
  await knex.raw(
    "CREATE INDEX commitment_references_pending ON commitment_references (commitment, number) WHERE verdict = 'pending'",
  )
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable('commitment_references')
  await knex.schema.dropTable('commitments')
}

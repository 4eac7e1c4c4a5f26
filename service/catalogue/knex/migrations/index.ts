import type { Knex } from 'knex'
import * as initial from './0001-initial.ts'
import * as packs from './0002-packs.ts'
import * as replication from './0008-replication.ts'

/** In order, never changed once released: a later change is a further migration. */
const ALL: readonly { name: string; migration: Knex.Migration }[] = [
  { name: '0001-initial', migration: initial },
  { name: '0002-packs', migration: packs },
  { name: '0008-replication', migration: replication },
]

export const migrations: Knex.MigrationSource<(typeof ALL)[number]> = {
  getMigrations: async () => [...ALL],
  getMigrationName: ({ name }) => name,
  getMigration: async ({ migration }) => migration,
}

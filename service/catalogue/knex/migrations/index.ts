import type { Knex } from 'knex'
import * as initial from './0001-initial.ts'
import * as packs from './0002-packs.ts'
import * as projections from './0003-projections.ts'
import * as retention from './0003-retention.ts'
import * as tiers from './0004-tiers.ts'
import * as imports from './0005-import.ts'
import * as corrections from './0006-corrections.ts'
import * as commitment from './0007-commitment.ts'
import * as replication from './0008-replication.ts'
import * as audit from './0009-audit.ts'
import * as packLocks from './0010-pack-locks.ts'

/** In order, never changed once released: a later change is a further migration. */
const ALL: readonly { name: string; migration: Knex.Migration }[] = [
  { name: '0001-initial', migration: initial },
  { name: '0002-packs', migration: packs },
  { name: '0003-projections', migration: projections },
  { name: '0003-retention', migration: retention },
  { name: '0004-tiers', migration: tiers },
  { name: '0005-import', migration: imports },
  { name: '0010-pack-locks', migration: packLocks },
  { name: '0006-corrections', migration: corrections },
  { name: '0009-audit', migration: audit },
  { name: '0007-commitment', migration: commitment },
  { name: '0008-replication', migration: replication },
]

export const migrations: Knex.MigrationSource<(typeof ALL)[number]> = {
  getMigrations: async () => [...ALL],
  getMigrationName: ({ name }) => name,
  getMigration: async ({ migration }) => migration,
}

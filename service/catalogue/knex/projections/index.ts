import type { Knex } from 'knex'
import type { Event } from '../../../events/event.ts'
import { known } from '../../../events/kinds.ts'
import { audit } from './audit.ts'
import { corrections } from './corrections.ts'
import { dispositions } from './dispositions.ts'
import { holds } from './holds.ts'
import { pins } from './pins.ts'
import type { Projection } from './projection.ts'
import { rejections } from './rejections.ts'
import { retention } from './retention.ts'

/** One file for each subject. */
const PROJECTIONS: readonly Projection[] = [retention, holds, dispositions, pins, rejections, corrections, audit]

const CURSORS = 'projection_cursors'

const byKind = new Map<string, Projection[]>()
for (const projection of PROJECTIONS) {
  for (const kind of projection.kinds) byKind.set(kind, [...(byKind.get(kind) ?? []), projection])
}

/** Tables that the event logs fill again. */
export const projectedTables: readonly string[] = [...PROJECTIONS.flatMap(({ tables }) => tables), CURSORS]

export const isProjected = (kind: string): boolean => byKind.has(kind)

export async function projectedUpTo(knex: Knex, site: string): Promise<number> {
  return (await knex(CURSORS).where({ site }).first('seq'))?.seq ?? 0
}

export interface Projected {
  site: string
  events: readonly Event[]
  upTo: number
}

/** All of it in one transaction, so that a crash leaves neither an event out nor one applied that isn't counted. */
export async function project(knex: Knex, { site, events, upTo }: Projected): Promise<void> {
  await knex.transaction(async (trx) => {
    const before = await projectedUpTo(trx, site)
    for (const event of events) {
      if (event.seq <= before) continue
      const understood = known(event)
      if (!understood) continue
      for (const { apply } of byKind.get(event.kind) ?? []) await apply(trx, understood, site)
    }
    if (upTo > before) await trx(CURSORS).insert({ site, seq: upTo }).onConflict('site').merge()
  })
}

import type { Knex } from 'knex'
import type { Event } from '../../../events/event.ts'
import { known } from '../../../events/kinds.ts'
import { audit } from './audit.ts'
import { corrections } from './corrections.ts'
import { dispositions } from './dispositions.ts'
import { holds } from './holds.ts'
import { locks } from './locks.ts'
import { pins } from './pins.ts'
import type { ProjectedEvent, Projection } from './projection.ts'
import { rejections } from './rejections.ts'
import { retention } from './retention.ts'

/** One file for each subject. Locks come behind what they depend on. */
const PROJECTIONS: readonly Projection[] = [retention, holds, dispositions, locks, pins, rejections, corrections, audit]

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

/** Events of one kind that follow one another. */
function* runs(events: readonly ProjectedEvent[]): Generator<ProjectedEvent[]> {
  let run: ProjectedEvent[] = []
  for (const event of events) {
    if (run.length > 0 && run[0]?.kind !== event.kind) {
      yield run
      run = []
    }
    run.push(event)
  }
  if (run.length > 0) yield run
}

export interface Projected {
  site: string
  events: readonly Event[]
  upTo: number
  /** The number goes back to `upTo`. */
  again?: boolean
}

/** All of it in one transaction, so that a crash leaves neither an event out nor one applied that isn't counted. */
export async function project(knex: Knex, { site, events, upTo, again = false }: Projected): Promise<void> {
  await knex.transaction(async (trx) => {
    const before = await projectedUpTo(trx, site)
    const fresh = events.filter(({ seq }) => seq > before).flatMap((event) => known(event) ?? [])
    for (const run of runs(fresh)) {
      for (const { apply, many } of byKind.get(run[0]?.kind ?? '') ?? []) {
        const all = many?.[run[0]?.kind ?? '']
        if (all) await all(trx, run, site)
        else for (const event of run) await apply(trx, event, site)
      }
    }
    if (again ? upTo < before : upTo > before) await trx(CURSORS).insert({ site, seq: upTo }).onConflict('site').merge()
  })
}

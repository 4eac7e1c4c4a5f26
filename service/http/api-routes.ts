import { z } from 'zod'
import type { AuditQueries } from '../audit/ports.ts'
import type { CataloguePacks } from '../catalogue/ports.ts'
import type { Commitments } from '../commitment/ports.ts'
import type { Role } from '../config/tokens.ts'
import type { Actor } from '../events/event.ts'
import type { Drainer } from '../lifecycle/drain.ts'
import type { Reconciler } from '../lifecycle/reconcile.ts'
import type { Scrubber } from '../lifecycle/scrub.ts'
import type { Sealed } from '../lifecycle/seal.ts'
import type { Tiering } from '../lifecycle/tiers/tiering.ts'
import type { Worm } from '../lifecycle/worm/worm.ts'
import type { Officer } from '../retention/officer.ts'
import type { Retention } from '../retention/retention.ts'
import type { Stores } from '../stores/ports.ts'
import type { DicomWebContext } from './context.ts'
import type { ImportUseCases } from './import-routes.ts'
import type { SiteControl } from './site-routes.ts'

/** What the API needs beside the archive itself. */
export interface ApiContext extends DicomWebContext {
  version: string
  status(): Promise<z.output<typeof statusSchema>>
  packs: Pick<CataloguePacks, 'packs' | 'holdings'>
  stores: Stores
  auditQueries: AuditQueries
  /** Seals what is in no pack of a study, now. */
  seal(studyUid: string): Promise<Sealed>
  drainer: Pick<Drainer, 'plan' | 'start' | 'cancel' | 'report' | 'list'>
  scrubber: Pick<Scrubber, 'now' | 'report'>
  retention: Retention
  tiering: Pick<Tiering, 'capacity' | 'mover' | 'pins' | 'admin'>
  imports: ImportUseCases
  reconciler: Pick<Reconciler, 'start' | 'report' | 'findings'>
  worm: Pick<Worm, 'probe' | 'report'>
  /** Undefined where it is switched off. */
  commitments: Commitments | undefined
  /** Undefined where there is one site. */
  site: SiteControl | undefined
}

export const uid = z.string().max(64)
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
export const timestamp = z.string().describe('ISO 8601, UTC')
export const count = z.int().min(0)

export const statusSchema = z.object({
  version: z.string(),
  startedAt: timestamp,
  ready: z.boolean(),
  degraded: z.array(z.string()).describe('what the node cannot do although it serves'),
  catalogue: z.object({
    dialect: z.enum(['sqlite', 'postgres']),
    patients: count,
    studies: count,
    series: count,
    instances: count,
    conflicts: count,
    bytes: count,
  }),
  landing: z.object({ bytesFree: count, bytesTotal: count, reserveBytes: count }),
  dimse: z.object({ aeTitle: z.string(), host: z.string(), port: z.int() }).nullable(),
})

/** What a request brings beside its address. */
export interface Call<Body extends z.ZodType> {
  body: z.output<Body>
  /** Who asks, with which roles. */
  officer: Officer
  /** The same, for the event log. */
  actor: Actor
}

export interface Route<Query extends z.ZodObject, Answer extends z.ZodType, Body extends z.ZodType = z.ZodType> {
  path: string
  /** Default get. */
  method?: 'get' | 'post' | 'delete'
  summary: string
  role: Role
  parameters?: z.ZodObject
  query?: Query
  /** JSON; at most 1 MiB. */
  body?: Body
  answer: Answer
  handle(
    context: ApiContext,
    query: z.output<Query>,
    parameters: Record<string, string>,
    call: Call<Body>,
  ): Promise<z.input<Answer>>
}

export function route<Query extends z.ZodObject, Answer extends z.ZodType, Body extends z.ZodType>(
  one: Route<Query, Answer, Body>,
): Route<z.ZodObject, z.ZodType> {
  return one as unknown as Route<z.ZodObject, z.ZodType>
}

export const pageSize = z.coerce.number().int().min(1).max(10_000).default(1000)

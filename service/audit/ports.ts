import type { JsonObject } from '../events/canonical.ts'
import type { Actor, Subject } from '../events/event.ts'

export type { Actor } from '../events/event.ts'

/** Who does something, as protocols know it. */
export interface Person extends Actor {
  /** The token's ID; also the one that somebody only claims to have. */
  token?: string | undefined
}

export interface Place {
  studyUid?: string | undefined
  seriesUid?: string | undefined
  sopInstanceUid?: string | undefined
}

export interface Read extends Place {
  /** `wado-rs`, `metadata`, `frames`, `c-move` ... */
  service: string
  instances: number
  /** Sent, as far as this side knows. */
  bytes: number
  /** False when it was broken off or some of it could not be sent. */
  complete: boolean
  frames?: number
  /** AE title to which a C-MOVE has sent. */
  destination?: string
  /** Of HTTP, where it isn't 200. */
  status?: number
}

export interface Began extends Place {
  service: string
  instances: number
  destination: string
}

export interface Asked {
  service: string
  level: string
  /** Tags or names of the attributes that were matched, without their values. */
  keys: readonly string[]
  matches: number
  complete: boolean
  /** Of a C-FIND: the information model. */
  sopClass?: string
}

export interface Denied {
  service: string
  reason: string
}

export interface Received extends Place {
  service: string
  instances: number
  bytes: number
  duplicates: number
  conflicts: number
  refused: number
  complete: boolean
}

export interface Called {
  method: string
  /** As the API declares it, without what the caller put in. */
  route: string
  status: number
  /** What the path names: `study`, `store` ... */
  subject: Readonly<Record<string, string>>
}

/**
 * Where protocols say who did what, when it is done. Saying it costs no waiting: events are put together, and written in
 * groups behind the answer.
 */
export interface AuditTrail {
  /** Why nothing may be read now; undefined where reading is allowed (`audit.whenUnwritable`). */
  readonly refusal: string | undefined
  began(who: Person, what: Began): void
  read(who: Person, what: Read): void
  query(who: Person, what: Asked): void
  denied(who: Person, what: Denied): void
  received(who: Person, what: Received): void
  called(who: Person, what: Called): void
  logRead(who: Person, what: { service: string; filter: readonly string[]; events: number }): void
}

/** An event as the index of the audit trail has it. */
export interface AuditedEvent {
  site: string
  seq: number
  hash: string
  at: string
  kind: string
  actor: Actor
  subject: Subject
  data: JsonObject
}

export interface AuditFilter {
  study?: string | undefined
  /** The name of a token, or an AE title. */
  actor?: string | undefined
  /** `access.read`, or `access` for all that begin with it and a dot. */
  kind?: string | undefined
  /** ISO 8601 in UTC with milliseconds; from it on, and before it. */
  from?: string | undefined
  to?: string | undefined
}

export interface AuditPlace {
  at: string
  site: string
  seq: number
}

export interface AuditPage {
  events: AuditedEvent[]
  /** Where to go on; there may be none behind it. A page may hold fewer events than asked for and not be the last. */
  next: AuditPlace | undefined
}

export interface AuditQueries {
  /** The newest first, in bounded time whatever is asked for. */
  audit(filter: AuditFilter, page: { limit: number; before?: AuditPlace | undefined }): Promise<AuditPage>
}

/** For what has no trail to keep, such as tests of one part. */
export const NO_AUDIT: AuditTrail = {
  refusal: undefined,
  began() {},
  read() {},
  query() {},
  denied() {},
  received() {},
  called() {},
  logRead() {},
}

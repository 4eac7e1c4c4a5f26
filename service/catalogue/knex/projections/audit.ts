import type { AuditedEvent } from '../../../audit/ports.ts'
import { canonical } from '../../../events/canonical.ts'
import type { Event } from '../../../events/event.ts'
import { KINDS, type KnownEvent } from '../../../events/kinds.ts'
import type { Projection } from './projection.ts'

export const AUDIT_TABLE = 'audit_events'

/** What is told of storage itself, by the million: found in the log, not in the index. */
const NOT_INDEXED: ReadonlySet<string> = new Set([
  'instance.stored',
  'instance.conflict',
  'pack.sealed',
  'pack.placed',
  'pack.verified',
  'pack.moved',
  'retention.decided',
  'site.head',
])

const kinds = (Object.keys(KINDS) as KnownEvent['kind'][]).filter((kind) => !NOT_INDEXED.has(kind))

export const isAudited = (kind: string): boolean => (kinds as readonly string[]).includes(kind)

export interface AuditRow {
  site: string
  seq: number
  hash: string
  at: string
  kind: string
  actor: string
  role: string
  address: string
  study: string | null
  subject: string
  data: string
}

export function toRow({ seq, hash, at, kind, actor, subject, data }: Event, site: string): AuditRow {
  return {
    site,
    seq,
    hash,
    at,
    kind,
    actor: actor.name,
    role: actor.role,
    address: actor.from,
    study: subject.study ?? null,
    subject: canonical(subject),
    data: canonical(data),
  }
}

export function fromRow({ actor, role, address, subject, data, study: _, ...row }: AuditRow): AuditedEvent {
  return {
    ...row,
    actor: { name: actor, role, from: address },
    subject: JSON.parse(subject),
    data: JSON.parse(data),
  }
}

export const audit: Projection = {
  kinds,
  tables: [AUDIT_TABLE],
  async apply(trx, event, site) {
    await trx(AUDIT_TABLE).insert(toRow(event, site)).onConflict(['site', 'seq']).ignore()
  },
}

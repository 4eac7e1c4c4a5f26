import { z } from 'zod'
import type { JsonObject } from './canonical.ts'
import type { Actor, Event, NewEvent, Subject } from './event.ts'
import { isHash } from './line.ts'

/** Names, reasons and the like. What is longer belongs elsewhere, and its digest here. */
const text = z.string().max(4096)
const name = z.string().max(256)
const count = z.int().min(0)
const sha256 = z.string().refine(isHash, 'no SHA-256')
const date = z.iso.date()
const list = z.array(name).max(1000)
const json = z.custom<JsonObject>((value) => typeof value === 'object' && value !== null && !Array.isArray(value))
const instance = { sha256, sizeBytes: count }
const placed = { store: name, sizeBytes: count }
const head = { seq: count, hash: sha256 }
/** For accesses: how many like this one the event stands for, the first one's time, and whose token it was by its ID. */
const repeated = { requests: count.optional(), since: name.optional(), token: name.optional() }

/**
 * What is known of each kind's `data`; `subject` names what it is about. A kind's meaning never changes and its members
 * are never removed; later versions may add members that are optional. Patients' names and attributes don't belong in
 * here: the log is never cleaned.
 */
export const KINDS = {
  /** Subject: study, series, instance. Its bytes are durable at this site. */
  'instance.stored': z.object({
    ...instance,
    sopClass: name,
    transferSyntax: name,
    protocol: name,
    /** Whether the peer had confirmed the same by then. */
    durability: z.enum(['local', 'both']).optional(),
  }),
  /** Subject: study, series, instance. Other bytes under a known SOP Instance UID; both are kept. */
  'instance.conflict': z.object({ ...instance, servedSha256: sha256 }),

  /** Subject: study, pack. `events` is the log's head when the pack was made: an anchor outside of the log. */
  'pack.sealed': z.object({ sizeBytes: count, instances: count, events: z.object(head).optional() }),
  'pack.placed': z.object(placed),
  'pack.verified': z.object({ ...placed, intact: z.boolean(), found: text.optional() }),
  'pack.moved': z.object({ from: name, to: name, sizeBytes: count }),
  /** `permit` identifies the right by which the bytes were freed. */
  'pack.freed': z.object({ ...placed, permit: name, reason: text }),

  /** A segment of the landing, all of which is in packs, is about to be removed. `permit` as above. */
  'landing.freed': z.object({ segment: count, instances: count, permit: name, packs: list }),

  'store.added': z.object({ adapter: name, tier: name, capabilities: json.optional() }),
  'store.drained': z.object({ packs: count, bytes: count }),
  'store.alarm': z.object({ alarm: name, detail: text, raised: z.boolean() }),

  /** Subject: hold, and study or patient. */
  'hold.placed': z.object({ case: name, reason: text, holder: name, query: json.optional() }),
  /** `approvedBy` is the second person. */
  'hold.released': z.object({ reason: text, approvedBy: name }),

  /** Subject: study. Rule, inputs and result, so that the decision can be followed by hand. No date: kept for ever. */
  'retention.decided': z.object({
    rule: name,
    policy: name,
    inputs: json,
    retainUntil: date.optional(),
    trigger: name.optional(),
  }),

  /** Subject of all: disposition, study. */
  'disposition.listed': z.object({ rule: name, retainUntil: date }),
  'disposition.reviewed': z.object({ accepted: z.boolean(), reason: text }),
  'disposition.approved': z.object({ reason: text, reviewedBy: name }),
  'disposition.rejected': z.object({ reason: text }),
  /** The numbered protocol of both sites. */
  'disposition.prepared': z.object({ proposal: count, coordinator: name }),
  'disposition.aborted': z.object({ proposal: count, reason: text }),
  'disposition.committed': z.object({ proposal: count, packs: list }),
  /** The certificate: `digest` is that of its whole text, kept with it. */
  'disposition.destroyed': z.object({
    proposal: count,
    instances: count,
    bytes: count,
    digest: sha256,
    receipts: json,
  }),

  /**
   * Subject: study (and series, instance) where it is known. Instances and bytes are what was sent, frames where single
   * ones were asked for, `destination` the AE title of a C-MOVE. One event may stand for several requests: see `repeated`.
   */
  'access.read': z.object({
    service: name,
    instances: count,
    bytes: count,
    complete: z.boolean(),
    frames: count.optional(),
    destination: name.optional(),
    status: count.optional(),
    ...repeated,
  }),
  /** Subject: study. Instances are about to be sent to another AE title, or back over the same association. */
  'access.began': z.object({ service: name, instances: count, destination: name }),
  /** `keys` are the attributes that were matched; their values may name patients, so they stay out. */
  'access.query': z.object({
    service: name,
    level: name,
    keys: list,
    matches: count,
    sopClass: name.optional(),
    complete: z.boolean().optional(),
    ...repeated,
  }),
  /** Somebody was turned away: no valid token, not the role, not the AE title. `token` is the one that was claimed. */
  'access.denied': z.object({ service: name, reason: name, ...repeated }),
  /** Subject: study, none for what couldn't be told. Who sent it: one event for a request, or an association and study. */
  'study.received': z.object({
    service: name,
    instances: count,
    bytes: count,
    duplicates: count,
    conflicts: count,
    refused: count,
    complete: z.boolean(),
    ...repeated,
  }),
  /** Somebody has read the audit trail itself. `filter` names what was asked for, not its values. */
  'audit.read': z.object({ service: name, filter: list, events: count, ...repeated }),
  /** The log could not be written for so long that so many audit events were given up. Nothing else ever drops one. */
  'audit.lost': z.object({ events: count, since: name, until: name }),
  /** A call of the own API that changes something, whether it was carried out or not. Subject: what the path names. */
  'admin.called': z.object({ method: name, route: name, status: count, ...repeated }),

  /** `by`: the operating system's user who changed the file of tokens, where it is known. */
  'token.created': z.object({
    token: name,
    name,
    roles: list,
    by: name.optional(),
    edited: z.boolean().optional(),
  }),
  /** `edited`: it was taken out of the file by hand; above: it got other roles, or was revived, in the same way. */
  'token.revoked': z.object({ token: name, name, by: name.optional(), edited: z.boolean().optional() }),

  /** `digest` is that of the configuration without its secrets. */
  'config.changed': z.object({ keys: list, digest: sha256 }),

  'site.started': z.object({ version: name, config: sha256.optional() }),
  'site.stopped': z.object({}),
  'site.paired': z.object({ certificate: sha256.optional() }),
  /** Subject of these: site, the other one. */
  'site.lost': z.object({ reason: text }),
  'site.back': z.object({}),
  /**
   * The other site's head as this one has it, imported and durable: what later proves that the other's log was cut or
   * rewritten. Written now and then, never because of a `site.head` of the other, or the two would answer each other for ever.
   */
  'site.head': z.object(head),
  'site.fenced': z.object({ reason: text, head: z.object(head).optional() }),
  'site.rejoined': z.object({ generation: name }),
  'site.removed': z.object({ reason: text, approvedBy: name }),
} as const

export type Kind = keyof typeof KINDS
export type DataOf<K extends Kind> = z.input<(typeof KINDS)[K]>

/** An event of a kind that this version knows. */
export type KnownEvent = {
  [K in Kind]: { kind: K; actor: Actor; subject: Subject; data: DataOf<K> }
}[Kind]

const isKind = (kind: string): kind is Kind => Object.hasOwn(KINDS, kind)

const strict = new Map<string, z.ZodType>(Object.entries(KINDS).map(([kind, schema]) => [kind, schema.strict()]))

/** Nothing is written of which this version doesn't know what it means. Throws RangeError, ZodError. */
export function assertKnown(event: NewEvent): asserts event is KnownEvent {
  const schema = strict.get(event.kind)
  if (!schema) throw new RangeError(`there is no kind of event called ${event.kind}`)
  schema.parse(event.data)
}

/**
 * An event that was read, typed by its kind; undefined for one that a newer version wrote: of an unknown kind, or with
 * data that this version doesn't understand. Members that are merely new do no harm.
 */
export function known(event: Event): (Event & KnownEvent) | undefined {
  return isKind(event.kind) && KINDS[event.kind].safeParse(event.data).success
    ? (event as Event & KnownEvent)
    : undefined
}

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

  /** Subject: study, series or instance. */
  'access.read': z.object({ service: name, instances: count, bytes: count, complete: z.boolean() }),
  /** `keys` are the attributes that were matched; their values may name patients, so they stay out. */
  'access.query': z.object({ service: name, level: name, keys: list, matches: count }),

  /** `digest` is that of the configuration without its secrets. */
  'config.changed': z.object({ keys: list, digest: sha256 }),

  'site.started': z.object({ version: name, config: sha256.optional() }),
  'site.stopped': z.object({}),
  'site.paired': z.object({ certificate: sha256.optional() }),
  /** Subject of these: site, the other one. */
  'site.lost': z.object({ reason: text }),
  'site.back': z.object({}),
  /** A comparison of both sites found them equal. */
  'site.in-sync': z.object({ compared: count }),
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

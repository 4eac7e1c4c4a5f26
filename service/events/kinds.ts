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
  /**
   * The lock that the store shows, read back. Texts are times as in ISO 8601; `wanted` is until when the study must be kept,
   * which may be later than the store locks.
   */
  'pack.locked': z.object({
    store: name,
    mode: z.enum(['none', 'governance', 'compliance']),
    until: z.iso.datetime().optional(),
    wanted: z.iso.datetime(),
    legalHold: z.boolean(),
  }),
  /** From one tier to another. */
  'pack.moved': z.object({ from: name, to: name, sizeBytes: count }),
  /** `permit` identifies the right by which the bytes were freed. */
  'pack.freed': z.object({ ...placed, permit: name, reason: text }),

  /** A segment of the landing, all of which is in packs, is about to be removed. `permit` as above. */
  'landing.freed': z.object({ segment: count, instances: count, permit: name, packs: list }),

  'store.added': z.object({ adapter: name, tier: name, capabilities: json.optional() }),
  /** `report` is the digest of the list of what was moved, with `packs` lines or more. */
  'store.drained': z.object({ packs: count, bytes: count, report: sha256.optional() }),
  /** All stores were compared with the catalogue; `findings` by kind. */
  'store.reconciled': z.object({
    apply: z.boolean(),
    objects: count,
    packs: count,
    copies: count,
    applied: count,
    findings: z.record(name, count),
  }),
  'store.removed': z.object({ tier: name }),
  /** Subject: store, tier or volume. */
  'store.alarm': z.object({ alarm: name, detail: text, raised: z.boolean() }),

  /** Subject: study, pin. A study that is not to leave the fastest tier. */
  'study.pinned': z.object({ reason: text }),
  'study.unpinned': z.object({}),

  /** Subject: import. `source` is its type; `verify` the share of instances that are read twice. */
  'import.started': z.object({ source: name, listOnly: z.boolean(), again: z.boolean(), verify: name }),
  /** `instances` is what the source lists of the studies that were taken, `here` how many of those this site has. */
  'import.finished': z.object({
    state: name,
    studies: count,
    done: count,
    failed: count,
    instances: count,
    here: count,
    bytes: count,
    findings: count,
  }),

  /** Subject: hold, and study or patient. */
  'hold.placed': z.object({ case: name, reason: text, holder: name, query: json.optional() }),
  /** Subject: hold. Studies that its query had found; written before the hold is placed, as many events as it takes. */
  'hold.expanded': z.object({ studies: list }),
  /** One person's consent to a release, which releases nothing yet. */
  'hold.agreed': z.object({ reason: text }),
  /** The site that writes this has the hold. */
  'hold.confirmed': z.object({}),
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
  /** Subject: volume. From here on this policy is in force; decisions refer to it by its digest. */
  'retention.policy': z.object({ digest: sha256, policy: json }),
  /** Subject: study. An officer says what it is, in place of the rules and of those decisions that it names. No classes: nobody knows. */
  'retention.classified': z.object({ id: name, classes: list, reason: text, supersedes: list }),
  /** Subject: study or patient. What happened outside of the archive: a death, a claim and its end. See RetentionEvent. */
  'retention.noted': z.object({
    id: name,
    kind: name,
    reason: text,
    recordedOn: date,
    date: name.optional(),
    ends: name.optional(),
  }),
  /** The site's compliance clock, now and then, so that a lost file does not make it start anew. */
  'clock.observed': z.object({ clockId: name, complianceMs: count }),
  /** One person's wish to take out a lag of the clock, and the second one's consent. */
  'clock.proposed': z.object({ toMs: count, reason: text }),
  'clock.set': z.object({ clockId: name, complianceMs: count, reason: text, proposedBy: name }),

  /** Subject of all: disposition, study. */
  'disposition.listed': z.object({
    rule: name,
    retainUntil: date,
    /** What is agreed to: the study as it was then, see DispositionSubject. */
    subject: json.optional(),
    approvals: count.optional(),
  }),
  'disposition.reviewed': z.object({ accepted: z.boolean(), reason: text }),
  'disposition.approved': z.object({ reason: text, reviewedBy: name }),
  'disposition.rejected': z.object({ reason: text }),
  /** The numbered protocol of both sites. */
  'disposition.prepared': z.object({ proposal: count, coordinator: name }),
  'disposition.aborted': z.object({ proposal: count, reason: text, blocks: list.optional() }),
  /** SOP Instance UID and digest of what the next commit destroys; as many events as it takes, before that. */
  'disposition.doomed': z.object({ instances: z.array(z.tuple([name, sha256, count])).max(1000) }),
  /** `decision`: the last one, by which it may be destroyed. The instances named before are tombstones from here on. */
  'disposition.committed': z.object({ proposal: count, packs: list, decision: json.optional() }),
  /** The certificate: `digest` is that of its whole text, kept with it. */
  'disposition.destroyed': z.object({
    proposal: count,
    instances: count,
    bytes: count,
    digest: sha256,
    receipts: json,
    certificate: json.optional(),
  }),

  /** Subject: rejection, study. `code` as in service/corrections/codes.ts; `note` is the document that asked for it. */
  'instances.rejected': z.object({ code: name, reason: text, instances: list, note: name.optional() }),
  /** Subject: rejection, study. Without `instances` all that the rejection names. */
  'instances.restored': z.object({ reason: text, instances: list.optional() }),
  /** Subject: correction, and study and series where it is of one. `record` is the digest of the file with its values. */
  'correction.made': z.object({
    type: z.enum(['patient', 'merge', 'move', 'study', 'series']),
    place: count,
    keys: list,
    record: sha256,
    patient: z.object({ id: name, issuer: name }).optional(),
    to: z.object({ id: name, issuer: name }).optional(),
  }),
  /** Subject: correction. */
  'correction.withdrawn': z.object({ reason: text }),

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

  /** Subject of both: transaction, its UID. Somebody has asked for commitment; a crash may come before it is accepted. */
  'commitment.requested': z.object({ protocol: name, references: count }),
  /** Decided, and told from here on; may stand twice after a crash. `failures`: how many failed for which reason. */
  'commitment.answered': z.object({ protocol: name, requester: name, committed: count, failed: count, failures: json }),

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

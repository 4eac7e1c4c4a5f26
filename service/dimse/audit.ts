import type { AuditTrail, Person, Received } from '../audit/ports.ts'
import type { InstanceRecord } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { Receipt } from '../ingest/ports.ts'
import type { Association } from './association.ts'
import type { Operation } from './association-types.ts'
import type { AssociateReject } from './pdu.ts'

/** An AE title proves nothing by itself; with client certificates or a list of AE titles it says a little more. */
export function personOf({ callingAeTitle, peerAddress }: Association): Person {
  return { name: callingAeTitle, role: 'dimse', from: peerAddress }
}

/** Throws ArchiveError `unavailable` where nothing may be read now. */
export function assertReadable(audit: AuditTrail): void {
  if (audit.refusal !== undefined) throw new ArchiveError('unavailable', audit.refusal)
}

/** PS3.8 Table 9-21: what says that somebody isn't welcome, rather than that he speaks wrongly. */
const NOT_WELCOME: ReadonlyMap<number, string> = new Map([
  [3, 'the calling AE title is not admitted'],
  [7, 'the called AE title is another'],
])

export function tellRejected(audit: AuditTrail, association: Association, { source, reason }: AssociateReject): void {
  const why = source === 1 ? NOT_WELCOME.get(reason) : undefined
  if (why !== undefined) audit.denied(personOf(association), { service: 'dimse', reason: why })
}

interface Sent {
  instances: number
  bytes: number
  failed: number
}

/** What one C-MOVE or C-GET has sent, by study. */
export class SentStudies {
  readonly #studies = new Map<string, Sent>()

  add({ studyUid, sizeBytes }: InstanceRecord, delivered: boolean): void {
    const sent = this.#studies.get(studyUid) ?? { instances: 0, bytes: 0, failed: 0 }
    this.#studies.set(studyUid, sent)
    if (delivered) {
      sent.instances += 1
      sent.bytes += sizeBytes
    } else sent.failed += 1
  }

  /** `wanted`: all that was to be sent, so that what was never tried shows as incomplete. */
  tell(audit: AuditTrail, operation: Operation, service: string, wanted: readonly InstanceRecord[]): void {
    const { command, association } = operation
    const destination = command.moveDestination
    for (const [studyUid, count] of countByStudy(wanted)) {
      const { instances, bytes } = this.#studies.get(studyUid) ?? { instances: 0, bytes: 0 }
      const complete = instances === count
      const to = destination === undefined ? {} : { destination }
      audit.read(personOf(association), { service, studyUid, instances, bytes, complete, ...to })
    }
  }
}

export function tellBegan(
  audit: AuditTrail,
  { command, association }: Operation,
  service: string,
  records: readonly InstanceRecord[],
): void {
  const destination = command.moveDestination ?? association.callingAeTitle
  for (const [studyUid, instances] of countByStudy(records)) {
    audit.began(personOf(association), { service, studyUid, instances, destination })
  }
}

function countByStudy(records: readonly InstanceRecord[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { studyUid } of records) counts.set(studyUid, (counts.get(studyUid) ?? 0) + 1)
  return counts
}

/** An association may stay open for days: what it has stored is told at least so often. */
const TELL_MS = 60_000
const STUDIES_MAX = 1000

/** What one association stores, by study: told when it ends, and now and then before. */
export class StoredStudies {
  readonly #audit: AuditTrail
  readonly #association: Association
  #studies = new Map<string, Received>()
  #since = 0

  constructor(audit: AuditTrail, association: Association) {
    this.#audit = audit
    this.#association = association
    void association.settled().then(() => this.#tell())
  }

  stored({ studyUid, sizeBytes, outcome }: Receipt): void {
    const of = this.#of(studyUid)
    of.instances += 1
    of.bytes += sizeBytes
    if (outcome === 'duplicate') of.duplicates += 1
    if (outcome === 'conflict') of.conflicts += 1
    this.#tellNowAndThen()
  }

  /** What was refused may not have told its study. */
  refused(studyUid: string | undefined): void {
    const of = this.#of(studyUid)
    of.refused += 1
    of.complete = false
    this.#tellNowAndThen()
  }

  #of(studyUid: string | undefined): Received {
    const key = studyUid ?? ''
    const known = this.#studies.get(key)
    if (known) return known
    if (this.#studies.size === 0) this.#since = Date.now()
    const counts = { instances: 0, bytes: 0, duplicates: 0, conflicts: 0, refused: 0 }
    const fresh: Received = {
      ...(studyUid === undefined ? {} : { studyUid }),
      service: 'c-store',
      ...counts,
      complete: true,
    }
    this.#studies.set(key, fresh)
    return fresh
  }

  #tellNowAndThen(): void {
    if (this.#studies.size >= STUDIES_MAX || Date.now() - this.#since > TELL_MS) this.#tell()
  }

  #tell(): void {
    const studies = this.#studies
    this.#studies = new Map()
    for (const one of studies.values()) this.#audit.received(personOf(this.#association), one)
  }
}

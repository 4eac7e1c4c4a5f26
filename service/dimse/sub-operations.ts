import type { InstanceRecord, InstanceScope } from '../catalogue/ports.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { ArchiveError } from '../errors.ts'
import type { Operation } from './association-types.ts'
import { SentStudies } from './audit.ts'
import type { OutgoingCommand } from './exchanges.ts'
import { identifierEncoding } from './identifier.ts'
import type { DimseCatalogue } from './service.ts'
import { isWarning, Status } from './status-map.ts'

/** More instances than one request may ask for; a record takes some hundred bytes, and counts have 16 bits. */
const INSTANCES_MAX = 65_535
const REPORT_EVERY_MS = 1000
const FAILED_SOP_INSTANCE_UID_LIST = '00080058'
/** The value of a UI element with 16-bit length. */
const LIST_BYTES_MAX = 65_534

/** Throws ArchiveError `too_large`. */
export async function instancesOf(catalogue: DimseCatalogue, scope: InstanceScope): Promise<InstanceRecord[]> {
  const records: InstanceRecord[] = []
  for await (const record of catalogue.instances(scope)) {
    if (records.length === INSTANCES_MAX) {
      throw new ArchiveError('too_large', `more than ${INSTANCES_MAX} instances match`)
    }
    records.push(record)
  }
  return records
}

/** The C-STORE sub-operations of one C-MOVE or C-GET: their counts, and the responses that report them. */
export class SubOperations {
  readonly sent = new SentStudies()
  readonly #operation: Operation
  #remaining: number
  #completed = 0
  #warning = 0
  readonly #failed: string[] = []
  #reportedAt = Number.NEGATIVE_INFINITY

  constructor(operation: Operation, total: number) {
    this.#operation = operation
    this.#remaining = total
  }

  get cancelled(): boolean {
    return this.#operation.cancelled.aborted
  }

  /** `status`: of the C-STORE response; undefined when none came. Reports the first and then one a second. */
  async done(record: InstanceRecord, status: number | undefined): Promise<void> {
    this.#remaining--
    if (status === Status.success) this.#completed++
    else if (status !== undefined && isWarning(status)) this.#warning++
    else this.#failed.push(record.sopInstanceUid)
    this.sent.add(record, status === Status.success || (status !== undefined && isWarning(status)))
    const now = performance.now()
    if (this.#remaining === 0 || now - this.#reportedAt < REPORT_EVERY_MS) return
    this.#reportedAt = now
    await this.#respond(Status.pending, { remainingSubOperations: this.#remaining })
  }

  /** The final response: success, cancelled with what remained, or how it failed (PS3.4 C.4.2.1.5). */
  async finish(): Promise<number> {
    const failures = this.#failed.length
    const isCancelled = this.#remaining > 0 && this.cancelled
    let status: number = Status.success
    if (isCancelled) status = Status.cancel
    else if (failures > 0 && this.#completed + this.#warning === 0) status = Status.outOfResourcesSubOperations
    else if (failures + this.#warning > 0) status = Status.subOperationsWithFailures
    await this.#respond(status, isCancelled ? { remainingSubOperations: this.#remaining } : {}, this.#failedList())
    return status
  }

  #respond(status: number, fields: Partial<OutgoingCommand>, identifier?: Buffer): Promise<void> {
    const counts = {
      completedSubOperations: this.#completed,
      failedSubOperations: this.#failed.length,
      warningSubOperations: this.#warning,
    }
    return this.#operation.association.respond(this.#operation, { status, ...fields, ...counts }, identifier)
  }

  #failedList(): Buffer | undefined {
    if (this.#failed.length === 0) return undefined
    const uids: string[] = []
    let bytes = 0
    for (const uid of this.#failed) {
      bytes += uid.length + 1
      if (bytes > LIST_BYTES_MAX) break
      uids.push(uid)
    }
    const list = { [FAILED_SOP_INSTANCE_UID_LIST]: { vr: 'UI', Value: uids } }
    return encodeDataSet(list, identifierEncoding(this.#operation.context.transferSyntax))
  }
}

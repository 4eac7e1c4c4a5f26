import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Commitments, Deliver, Delivery, Transaction } from '../commitment/ports.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { Association } from './association.ts'
import { type AcceptedContext, AssociationError, type AssociationLimits, type Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { encodeReport } from './commitment-data.ts'
import { identifierEncoding } from './identifier.ts'
import { openAssociation, type Peer } from './requestor.ts'
import { STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE } from './sop-classes.ts'
import { isWarning, mayTakeLater, Status } from './status-map.ts'

/** PS3.4 J.3.3.1: Event Type ID of a result. */
const EventType = { successful: 1, failuresExist: 2 } as const

/** Most requesters release at once; a report must not cross their A-RELEASE-RQ. */
const RELEASE_GRACE_MS = 200
/** Requesters that are waited for; the oldest are no longer when there are more. */
const EXPECTED_MAX = 1000

/** A requester that may still be on the line. */
interface Requester {
  association: Association
  context: AcceptedContext
  /** How many operations it had asked for, with this one. */
  operations: number
  askedAt: number
}

export interface ReportsOptions {
  /** Where results come from. */
  references: Commitments['references']
  aeTitle: string
  /** AEs that can be told on an association of Firn's own. */
  peers: readonly Peer[]
  /** A result that is there within so long is told on the association that asked. */
  sameAssociationMs: number
  limits: AssociationLimits
  log: Logger
}

/** Tells results as N-EVENT-REPORT (PS3.4 J.3.3): on the association that asked, or on one that Firn opens as SCP. */
export class CommitmentReports implements Deliver {
  readonly #options: ReportsOptions
  readonly #expected = new Map<number, Requester>()

  constructor(options: ReportsOptions) {
    this.#options = options
  }

  /** The requester waits for the result of this transaction; called before it is told that the request was accepted. */
  expect(id: number, { association, context }: Operation): void {
    this.#expected.delete(id)
    this.#forgetLate()
    this.#expected.set(id, { association, context, operations: association.operations, askedAt: Date.now() })
  }

  /** In the order in which they asked, so the late ones stand first. */
  #forgetLate(): void {
    for (const [id, { askedAt }] of this.#expected) {
      const isLate = Date.now() - askedAt >= this.#options.sameAssociationMs
      if (!isLate && this.#expected.size < EXPECTED_MAX) return
      this.#expected.delete(id)
    }
  }

  isHere({ id }: Transaction): boolean {
    return this.#onTheLine(id) !== undefined
  }

  async deliver(transaction: Transaction, signal: AbortSignal): Promise<Delivery> {
    const requester = this.#onTheLine(transaction.id)
    this.#expected.delete(transaction.id)
    const there = requester && (await this.#tellThere(requester, transaction))
    return there ?? (await this.#tellAnew(transaction, signal))
  }

  #onTheLine(id: number): Requester | undefined {
    const requester = this.#expected.get(id)
    return requester && this.#isIdle(requester) ? requester : undefined
  }

  /** One that goes on with other operations doesn't expect a request in between. */
  #isIdle({ association, operations, askedAt }: Requester): boolean {
    const isInTime = Date.now() - askedAt < this.#options.sameAssociationMs
    return isInTime && association.state === 'established' && association.operations === operations
  }

  /** Undefined where the association ended, or the requester is busy with something else. */
  async #tellThere(requester: Requester, transaction: Transaction): Promise<Delivery | undefined> {
    const { association, context } = requester
    await sleep(Math.max(0, requester.askedAt + RELEASE_GRACE_MS - Date.now()))
    if (!this.#isIdle(requester)) return undefined
    try {
      return await this.#tell(association, context, transaction)
    } catch (error) {
      association.log.info({ reason: (error as Error).message }, 'result not taken on the association that asked')
      return undefined
    }
  }

  async #tellAnew(transaction: Transaction, signal: AbortSignal): Promise<Delivery> {
    const { aeTitle, peers, limits, log } = this.#options
    const { name } = transaction.requester
    const peer = peers.find((one) => one.aeTitle === name)
    if (!peer) return { outcome: 'later', reason: `AE ${name} is not in dimse.destinations` }
    const abstractSyntax = STORAGE_COMMITMENT
    const transferSyntaxes = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
    try {
      const association = await openAssociation({
        peer,
        callingAeTitle: aeTitle,
        contexts: [{ id: 1, abstractSyntax, transferSyntaxes }],
        // PS3.7 D.3.3.4: without it the association's requestor would be the SCU.
        roles: [{ sopClassUid: abstractSyntax, scu: false, scp: true }],
        limits,
        log,
      })
      return await this.#tellOn(association, transaction, signal)
    } catch (error) {
      return { outcome: 'later', reason: (error as Error).message }
    }
  }

  async #tellOn(association: Association, transaction: Transaction, signal: AbortSignal): Promise<Delivery> {
    const stop = (): void => association.abort('the service is stopping')
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    try {
      const context = association.findContext(STORAGE_COMMITMENT, undefined, true)
      if (context) return await this.#tell(association, context, transaction)
      throw new AssociationError('rejected', 'the AE does not accept Storage Commitment with Firn as SCP')
    } finally {
      signal.removeEventListener('abort', stop)
      await association.release()
    }
  }

  /** Rejects with AssociationError, and with what reading the result throws. */
  async #tell(association: Association, context: AcceptedContext, transaction: Transaction): Promise<Delivery> {
    const { references, aeTitle } = this.#options
    const { id, transactionUid, committed, failed } = transaction
    const body = encodeReport(
      {
        transactionUid,
        aeTitle,
        failed: failed > 0 ? references(id, 'failed') : undefined,
        committed: committed > 0 ? references(id, 'committed') : undefined,
      },
      identifierEncoding(context.transferSyntax),
    )
    const command = {
      affectedSopClassUid: STORAGE_COMMITMENT,
      commandField: CommandField.nEventReport,
      affectedSopInstanceUid: STORAGE_COMMITMENT_INSTANCE,
      eventTypeId: failed > 0 ? EventType.failuresExist : EventType.successful,
    }
    const { status } = await association.call(context.id, command, body)
    if (status === Status.success || isWarning(status)) return { outcome: 'delivered', reason: '' }
    const reason = `the AE answered the result with status ${status.toString(16).padStart(4, '0').toUpperCase()}`
    return { outcome: mayTakeLater(status) ? 'later' : 'never', reason }
  }
}

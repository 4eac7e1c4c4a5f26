import type { Commitments } from '../commitment/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { type ActionInformation, readActionInformation } from './commitment-data.ts'
import type { CommitmentReports } from './commitment-reports.ts'
import { collect } from './data-set-stream.ts'
import { chooseIdentifierSyntax, identifierEncoding } from './identifier.ts'
import type { DimseService } from './service.ts'
import { STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE } from './sop-classes.ts'
import { actionOutcome, type Outcome, Status } from './status-map.ts'

/** PS3.4 J.3.2.1: Request Storage Commitment, the only action. */
const REQUEST = 1

/** A reference takes some 110 bytes, with the longest UIDs 160, and may carry a file-set's or an AE's name. */
const BYTES_PER_REFERENCE = 256
const BYTES_BESIDE = 65_536
/** For the action information of all associations together. */
const UNDERWAY_BYTES_MAX = 48 * 1024 * 1024

/**
 * Storage Commitment Push Model as SCP (PS3.4 Annex J). The response says that the request is kept durably; the result
 * comes as a report of its own.
 */
export class CommitmentScp implements DimseService {
  readonly commands = [CommandField.nAction]
  /** Firn asks nobody for commitment, so nobody has a result for it. */
  readonly peerMayProvide = false
  readonly #commitments: Commitments
  readonly #reports: CommitmentReports
  #underwayBytes = 0

  constructor(commitments: Commitments, reports: CommitmentReports) {
    this.#commitments = commitments
    this.#reports = reports
  }

  serves(abstractSyntax: string): boolean {
    return abstractSyntax === STORAGE_COMMITMENT
  }

  choose(proposed: readonly string[]): string | undefined {
    return chooseIdentifierSyntax(proposed)
  }

  async operate(operation: Operation): Promise<number> {
    const { association } = operation
    let outcome: Outcome = { status: Status.success }
    let id: number | undefined
    try {
      id = await this.#request(operation)
    } catch (error) {
      if (association.ended.aborted) return Status.cancel
      outcome = error instanceof Refused ? error.outcome : actionOutcome(error)
      association.log.warn({ status: outcome.status, reason: String(error) }, 'N-ACTION refused')
    }
    await operation.dataSet?.discard()
    // Before the response: from here on the result may be ready at any moment.
    if (id !== undefined) this.#reports.expect(id, operation)
    await association.respond(operation, {
      affectedSopClassUid: STORAGE_COMMITMENT,
      affectedSopInstanceUid: STORAGE_COMMITMENT_INSTANCE,
      ...outcome,
    })
    return outcome.status
  }

  /** Resolves with the transaction's ID when the request is kept. */
  async #request(operation: Operation): Promise<number> {
    assertAction(operation)
    const { association } = operation
    const { transactionUid, references } = await this.#read(operation)
    const { transaction } = await this.#commitments.request({
      transactionUid,
      references,
      form: 'instances',
      requester: { protocol: 'dimse', name: association.callingAeTitle, address: association.peerAddress },
    })
    return transaction.id
  }

  async #read({ dataSet, context }: Operation): Promise<ActionInformation> {
    if (!dataSet) throw new ArchiveError('invalid_request', 'the request has no action information')
    const { referencesMax } = this.#commitments
    const syntax = identifierEncoding(context.transferSyntax)
    let bytes = 0
    try {
      const counted = this.#counted(dataSet, (more) => {
        bytes += more
      })
      const whole = await collect(counted, BYTES_BESIDE + referencesMax * BYTES_PER_REFERENCE)
      return readActionInformation(whole, syntax, referencesMax)
    } finally {
      this.#underwayBytes -= bytes
    }
  }

  async *#counted(dataSet: AsyncIterable<Buffer>, count: (bytes: number) => void): AsyncGenerator<Buffer> {
    for await (const part of dataSet) {
      if (this.#underwayBytes + part.length > UNDERWAY_BYTES_MAX) {
        throw new ArchiveError('busy', 'too many large requests at once; ask again later')
      }
      this.#underwayBytes += part.length
      count(part.length)
      yield part
    }
  }
}

class Refused extends Error {
  readonly outcome: Outcome
  constructor(outcome: Outcome) {
    super(outcome.errorComment ?? '')
    this.outcome = outcome
  }
}

function assertAction({ command, context }: Operation): void {
  if (!context.requestorIsScu) {
    throw new Refused({ status: Status.notAuthorized, errorComment: 'the SCU role was not negotiated' })
  }
  if (command.requestedSopClassUid !== STORAGE_COMMITMENT) {
    throw new Refused({ status: Status.invalidArgument, errorComment: 'Requested SOP Class UID is another or missing' })
  }
  if (command.requestedSopInstanceUid !== STORAGE_COMMITMENT_INSTANCE) {
    throw new Refused({
      status: Status.noSuchInstance,
      errorComment: 'Requested SOP Instance UID is not the well-known',
    })
  }
  if (command.actionTypeId !== REQUEST) {
    throw new Refused({ status: Status.noSuchAction, errorComment: 'the only action is 1, request commitment' })
  }
}

import type { AuditTrail } from '../audit/ports.ts'
import { encodePart10Header } from '../dicom/fileMeta.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import { isStorageSopClass, isUid, MEDIA_STORAGE_DIRECTORY, storageSopClasses } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import type { Receive } from '../ingest/ports.ts'
import type { Association } from './association.ts'
import type { Operation } from './association-types.ts'
import { StoredStudies } from './audit.ts'
import { CommandField } from './command.ts'
import type { IncomingDataSet } from './data-set-stream.ts'
import type { DimseService } from './service.ts'
import { type Outcome, Status, storeOutcome } from './status-map.ts'

/** SOP Classes of the standard that aren't for storage, though PS3.6 put them where storage classes are. */
const NOT_STORAGE = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.(200\.[456]|201\.[2-6])$/

function isForStorage(sopClassUid: string, acceptUnknown: boolean): boolean {
  if (sopClassUid === MEDIA_STORAGE_DIRECTORY || NOT_STORAGE.test(sopClassUid) || !isUid(sopClassUid)) return false
  if (!acceptUnknown) return storageSopClasses.has(sopClassUid)
  return isStorageSopClass(sopClassUid) || !sopClassUid.startsWith('1.2.840.10008.')
}

/** The Part 10 file: Firn's header, then the data set's bytes as they came. */
async function* part10(header: Buffer, dataSet: IncomingDataSet): AsyncGenerator<Buffer, void, undefined> {
  yield header
  yield* dataSet
}

/**
 * C-STORE as SCP (PS3.4 B.2, PS3.7 9.1.1). Every storage SOP Class and every transfer syntax is accepted; of several
 * transfer syntaxes in a context the first proposed (but see `choose` for C-GET), which is the sender's preference (usually the form it holds the
 * instances in, so that it has nothing to convert).
 */
export class StoreScp implements DimseService {
  readonly commands = [CommandField.cStore]
  readonly #receive: Receive
  readonly #acceptUnknown: boolean
  readonly #audit: AuditTrail
  readonly #stored = new WeakMap<Association, StoredStudies>()

  constructor(receive: Receive, acceptUnknownSopClasses: boolean, audit: AuditTrail) {
    this.#receive = receive
    this.#acceptUnknown = acceptUnknownSopClasses
    this.#audit = audit
  }

  serves(abstractSyntax: string): boolean {
    return isForStorage(abstractSyntax, this.#acceptUnknown)
  }

  choose(proposed: readonly string[], toSend: boolean): string | undefined {
    // Both uncompressed little endian forms can be sent as implicit, but not as explicit.
    const uncompressed = proposed[0] === EXPLICIT_LITTLE_ENDIAN && proposed.includes(IMPLICIT_LITTLE_ENDIAN)
    if (toSend && uncompressed) return IMPLICIT_LITTLE_ENDIAN
    return proposed.find(isUid)
  }

  async operate(operation: Operation): Promise<number> {
    const { association, command, dataSet } = operation
    const outcome = await this.#store(operation)
    // The peer reads no response before it has sent the whole data set.
    await dataSet?.discard()
    if (association.ended.aborted) return outcome.status
    const { affectedSopInstanceUid } = command
    await association.respond(operation, {
      ...(affectedSopInstanceUid === undefined ? {} : { affectedSopInstanceUid }),
      ...outcome,
    })
    return outcome.status
  }

  async #store(operation: Operation): Promise<Outcome> {
    const { association } = operation
    try {
      const incoming = this.#check(operation)
      const receipt = await this.#receive.receive(incoming)
      association.log.debug({ instance: receipt.sopInstanceUid, outcome: receipt.outcome }, 'stored')
      this.#storedBy(association).stored(receipt)
      return { status: Status.success }
    } catch (error) {
      const outcome = storeOutcome(error)
      logRefusal(operation, outcome, error)
      this.#storedBy(association).refused(error instanceof ArchiveError ? error.identifiers.studyUid : undefined)
      return outcome
    }
  }

  #storedBy(association: Association): StoredStudies {
    const stored = this.#stored.get(association) ?? new StoredStudies(this.#audit, association)
    this.#stored.set(association, stored)
    return stored
  }

  #check({ association, command, context, dataSet }: Operation): Parameters<Receive['receive']>[0] {
    const sopClassUid = command.affectedSopClassUid ?? ''
    const sopInstanceUid = command.affectedSopInstanceUid ?? ''
    if (!dataSet) throw new ArchiveError('not_dicom', 'C-STORE without a data set')
    if (!isUid(sopInstanceUid)) throw new ArchiveError('invalid_identifier', 'Affected SOP Instance UID is no UID')
    if (sopClassUid !== context.abstractSyntax) {
      throw new ArchiveError('instance_mismatch', 'Affected SOP Class UID is not that of the context')
    }
    const header = encodePart10Header({ sopClassUid, sopInstanceUid, transferSyntaxUid: context.transferSyntax })
    return {
      body: part10(header, dataSet),
      source: { protocol: 'dimse', name: association.callingAeTitle, address: association.peerAddress },
      expected: { sopClassUid, sopInstanceUid },
    }
  }
}

/** UIDs and messages, which may quote the data set, only at debug level; a defect of Firn's own with its stack. */
function logRefusal({ association, command, dataSet }: Operation, { status }: Outcome, error: unknown): void {
  if (!(error instanceof ArchiveError)) {
    association.log.error({ err: error, status }, 'C-STORE failed')
    return
  }
  const incomplete = dataSet?.complete === false
  association.log.warn({ status, code: error.code, incomplete }, 'instance refused')
  association.log.debug({ status, reason: error.message, instance: command.affectedSopInstanceUid }, 'instance refused')
}

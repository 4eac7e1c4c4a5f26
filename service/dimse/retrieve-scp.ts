import type { AuditTrail } from '../audit/ports.ts'
import type { InstanceRecord } from '../catalogue/ports.ts'
import { isArchiveError } from '../errors.ts'
import type { Operation } from './association-types.ts'
import { assertReadable, personOf, tellBegan } from './audit.ts'
import { chooseIdentifierSyntax, readIdentifier, readScope } from './identifier.ts'
import type { DimseCatalogue, DimseService } from './service.ts'
import type { InformationModel } from './sop-classes.ts'
import { type Outcome, retrieveOutcome, Status } from './status-map.ts'
import { instancesOf, SubOperations } from './sub-operations.ts'

/** What C-MOVE and C-GET have in common: the identifier, the instances it asks for, counts and the final response. */
export abstract class RetrieveScp implements DimseService {
  abstract readonly commands: readonly number[]
  protected abstract readonly models: ReadonlyMap<string, InformationModel>
  /** As the audit trail calls it. */
  protected abstract readonly serviceName: string
  readonly #catalogue: DimseCatalogue
  readonly #audit: AuditTrail

  constructor(catalogue: DimseCatalogue, audit: AuditTrail) {
    this.#catalogue = catalogue
    this.#audit = audit
  }

  serves(abstractSyntax: string): boolean {
    return this.models.has(abstractSyntax)
  }

  choose(proposed: readonly string[]): string | undefined {
    return chooseIdentifierSyntax(proposed)
  }

  /** Refuses a request before its identifier is looked at. */
  protected abstract refusal(operation: Operation): Outcome | undefined

  /** Sends what it can and reports each instance to `counts`, until that is cancelled. */
  protected abstract transfer(operation: Operation, records: InstanceRecord[], counts: SubOperations): Promise<void>

  async operate(operation: Operation): Promise<number> {
    const records = await this.#prepare(operation)
    if (!Array.isArray(records)) {
      await operation.dataSet?.discard()
      if (!operation.association.ended.aborted) await operation.association.respond(operation, records)
      return records.status
    }
    const counts = new SubOperations(operation, records.length)
    tellBegan(this.#audit, operation, this.serviceName, records)
    try {
      await this.transfer(operation, records, counts)
    } finally {
      counts.sent.tell(this.#audit, operation, this.serviceName, records)
    }
    return operation.association.ended.aborted ? Status.cancel : counts.finish()
  }

  async #prepare(operation: Operation): Promise<InstanceRecord[] | Outcome> {
    const refusal = this.refusal(operation)
    if (refusal) {
      this.#audit.denied(personOf(operation.association), {
        service: this.serviceName,
        reason: refusal.errorComment ?? '',
      })
      return refusal
    }
    try {
      assertReadable(this.#audit)
      const model = this.models.get(operation.context.abstractSyntax)
      if (!model) throw new Error('no context of this service')
      return await instancesOf(this.#catalogue, readScope(await readIdentifier(operation), model))
    } catch (error) {
      const outcome = retrieveOutcome(error)
      const { log } = operation.association
      log.warn({ status: outcome.status, code: isArchiveError(error) ? error.code : 'internal' }, 'retrieval refused')
      log.debug({ err: error }, 'retrieval refused')
      return outcome
    }
  }
}

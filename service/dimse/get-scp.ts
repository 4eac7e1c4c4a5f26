import type { AuditTrail } from '../audit/ports.ts'
import type { InstanceRecord } from '../catalogue/ports.ts'
import type { OpenInstances } from '../retrieve/ports.ts'
import type { Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { RetrieveScp } from './retrieve-scp.ts'
import type { DimseCatalogue } from './service.ts'
import { GET_SOP_CLASSES } from './sop-classes.ts'
import { sendInstance } from './store-scu.ts'
import type { SubOperations } from './sub-operations.ts'

/** C-GET as SCP (PS3.4 C.4.3): the instances go back over the same association, where its requestor is storage SCP. */
export class GetScp extends RetrieveScp {
  readonly commands = [CommandField.cGet]
  protected readonly models = GET_SOP_CLASSES
  protected readonly serviceName = 'c-get'
  readonly #instances: OpenInstances

  constructor(catalogue: DimseCatalogue, instances: OpenInstances, audit: AuditTrail) {
    super(catalogue, audit)
    this.#instances = instances
  }

  protected refusal(): undefined {
    return undefined
  }

  protected async transfer(operation: Operation, records: InstanceRecord[], counts: SubOperations): Promise<void> {
    const { association } = operation
    for (const record of records) {
      if (counts.cancelled) return
      let status: number | undefined
      try {
        status = await sendInstance(association, record, this.#instances)
      } catch (error) {
        if (association.ended.aborted) return
        association.log.warn({ err: error }, 'instance could not be read')
      }
      await counts.done(record, status)
    }
  }
}

import type { AuditTrail } from '../audit/ports.ts'
import type { InstanceRecord } from '../catalogue/ports.ts'
import type { OpenInstances } from '../retrieve/ports.ts'
import type { Association } from './association.ts'
import type { Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { openAssociation, type Peer } from './requestor.ts'
import { RetrieveScp } from './retrieve-scp.ts'
import type { DimseCatalogue } from './service.ts'
import { MOVE_SOP_CLASSES } from './sop-classes.ts'
import { type Outcome, Status } from './status-map.ts'
import { ContextList, sendInstance } from './store-scu.ts'
import type { SubOperations } from './sub-operations.ts'

/** After so many associations in a row that were lost without an instance delivered, the rest counts as failed. */
const FRUITLESS_MAX = 3

export interface MoveOptions {
  catalogue: DimseCatalogue
  instances: OpenInstances
  /** Calling AE title of the sub-operations' associations. */
  aeTitle: string
  destinations: readonly Peer[]
  audit: AuditTrail
}

interface Batch {
  records: InstanceRecord[]
  contexts: ContextList
}

/** Runs of instances whose contexts fit into one association. */
function* batches(records: readonly InstanceRecord[]): Generator<Batch> {
  let batch: Batch = { records: [], contexts: new ContextList() }
  for (const record of records) {
    if (!batch.contexts.add(record)) {
      yield batch
      batch = { records: [], contexts: new ContextList() }
      batch.contexts.add(record)
    }
    batch.records.push(record)
  }
  if (batch.records.length > 0) yield batch
}

/** C-MOVE as SCP (PS3.4 C.4.2): sends to configured destinations only, over associations of its own. */
export class MoveScp extends RetrieveScp {
  readonly commands = [CommandField.cMove]
  protected readonly models = MOVE_SOP_CLASSES
  protected readonly serviceName = 'c-move'
  readonly #options: MoveOptions

  constructor(options: MoveOptions) {
    super(options.catalogue, options.audit)
    this.#options = options
  }

  protected refusal(operation: Operation): Outcome | undefined {
    if (this.#destination(operation)) return undefined
    return { status: Status.moveDestinationUnknown, errorComment: 'the move destination is not configured' }
  }

  protected async transfer(operation: Operation, records: InstanceRecord[], counts: SubOperations): Promise<void> {
    const peer = this.#destination(operation)
    if (!peer) throw new Error('no destination')
    for (const batch of batches(records)) await this.#sendBatch(operation, peer, batch, counts)
  }

  #destination({ command }: Operation): Peer | undefined {
    return this.#options.destinations.find(({ aeTitle }) => aeTitle === command.moveDestination)
  }

  /** An association that is lost costs the instance under way; the others go over a new one. */
  async #sendBatch(operation: Operation, peer: Peer, batch: Batch, counts: SubOperations): Promise<void> {
    const left = [...batch.records]
    for (let fruitless = 0; left.length > 0 && fruitless < FRUITLESS_MAX && !counts.cancelled; fruitless++) {
      const association = await this.#connect(operation, peer, batch.contexts)
      if (!association) break
      const stop = () => association.abort('the association that asked for the move has ended')
      operation.association.ended.addEventListener('abort', stop)
      try {
        if (await this.#sendOver(association, operation, left, counts)) fruitless = -1
      } finally {
        operation.association.ended.removeEventListener('abort', stop)
        await association.release()
      }
    }
    if (counts.cancelled) return
    for (const record of left) await counts.done(record, undefined)
  }

  async #connect(operation: Operation, peer: Peer, contexts: ContextList): Promise<Association | undefined> {
    const { log, limits } = operation.association
    const callingAeTitle = this.#options.aeTitle
    try {
      return await openAssociation({ peer, callingAeTitle, contexts: contexts.contexts, limits, log })
    } catch (error) {
      log.warn({ err: error, destination: peer.aeTitle }, 'no association with the move destination')
      return undefined
    }
  }

  /** Takes from `left` what it has dealt with; true when anything was delivered. */
  async #sendOver(
    association: Association,
    operation: Operation,
    left: InstanceRecord[],
    counts: SubOperations,
  ): Promise<boolean> {
    const originator = { aeTitle: operation.association.callingAeTitle, messageId: operation.messageId }
    let delivered = false
    while (!association.ended.aborted && !counts.cancelled) {
      const record = left.shift()
      if (!record) break
      let status: number | undefined
      try {
        status = await sendInstance(association, record, this.#options.instances, originator)
        delivered = true
      } catch (error) {
        operation.association.log.warn({ err: error }, 'instance could not be sent')
      }
      await counts.done(record, status)
    }
    return delivered
  }
}

import { isUid } from '../dicom/uids.ts'
import type { Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import type { DimseService } from './service.ts'
import { VERIFICATION } from './sop-classes.ts'
import { Status } from './status-map.ts'

/** C-ECHO as SCP (PS3.4 Annex A). It has no data set, so that any transfer syntax will do. */
export class EchoScp implements DimseService {
  readonly commands = [CommandField.cEcho]

  serves(abstractSyntax: string): boolean {
    return abstractSyntax === VERIFICATION
  }

  choose(proposed: readonly string[]): string | undefined {
    return proposed.find(isUid)
  }

  async operate(operation: Operation): Promise<number> {
    await operation.association.respond(operation, { status: Status.success })
    return Status.success
  }
}

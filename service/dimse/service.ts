import type { CatalogueReader } from '../catalogue/ports.ts'
import type { Operation } from './association-types.ts'

/** What the services need of the catalogue. */
export type DimseCatalogue = Pick<CatalogueReader, 'supports' | 'find' | 'instances'>

/**
 * One DIMSE service that the acceptor offers. The server asks its services in order and the first that serves a SOP Class
 * negotiates and carries out what comes in its contexts.
 */
export interface DimseService {
  serves(abstractSyntax: string): boolean
  /** The transfer syntax to accept of those proposed, in the proposer's order; undefined: none. See Policy.choose. */
  choose(proposed: readonly string[], toSend: boolean): string | undefined
  /** Whether the association's requestor may be the SCP (default: as it proposes). */
  readonly peerMayProvide?: boolean
  /** Values of Command Field that it carries out. */
  readonly commands: readonly number[]
  /** Carries out and answers one operation; gives the final status. Rejects only when the association must end. */
  operate(operation: Operation): Promise<number>
}

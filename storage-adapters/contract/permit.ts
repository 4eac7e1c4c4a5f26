import { isMinted } from './permit-mint.ts'

/**
 * On what ground bytes may be freed.
 *
 * - `disposition`: retention has expired, nobody holds it, two persons approved.
 * - `copies_elsewhere`: the same bytes were re-read and verified at as many other places as policy wants.
 * - `never_acknowledged`: what an interrupted write left; no sender was ever told of it.
 */
export type PermitGround = 'disposition' | 'copies_elsewhere' | 'never_acknowledged'

/** The right to destroy one object. Only the gate in retention/ mints it; an object that merely looks like one is refused. */
export interface Permit {
  readonly id: string
  readonly key: string
  readonly sha256: string
  readonly ground: PermitGround
  /** ISO 8601. */
  readonly mintedAt: string
}

/** Whether a permit is genuine and speaks of this object. `sha256` where the caller knows the object's digest. */
export function permits(permit: Permit, key: string, sha256?: string): boolean {
  return isMinted(permit) && permit.key === key && (sha256 === undefined || permit.sha256 === sha256)
}

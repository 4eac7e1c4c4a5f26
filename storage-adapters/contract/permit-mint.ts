import { randomUUID } from 'node:crypto'
import type { Permit } from './permit.ts'

const minted = new WeakSet<object>()

/** Only retention/ may import this file (and tests): the layers check enforces it, the set below does at run time. */
export function mintPermit(grant: Pick<Permit, 'key' | 'sha256' | 'ground'>, now: Date): Permit {
  const permit: Permit = Object.freeze({ ...grant, id: randomUUID(), mintedAt: now.toISOString() })
  minted.add(permit)
  return permit
}

export const isMinted = (permit: unknown): boolean =>
  typeof permit === 'object' && permit !== null && minted.has(permit)

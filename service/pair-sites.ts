import { ArchiveError } from './errors.ts'
import type { Peering } from './peering.ts'
import type { ComplianceClock } from './retention/clock.ts'
import type { Sites } from './retention/ports.ts'

/**
 * Both sites, as retention sees them. Holds are guaranteed when both have confirmed them. Nothing is destroyed while there
 * are two: the two-site protocol (retention/protocol.ts) is not spoken over the line yet, and one site alone must not.
 */
export function pairSites({ pair, memory }: Peering, site: string, clock: ComplianceClock): Sites {
  const notYet = (): never => {
    throw new ArchiveError(
      'unavailable',
      'this archive has two sites, and destroying at both is not supported yet: the study stays as it is',
    )
  }
  return {
    all: () => [
      { site, generation: memory.generation ?? site },
      { site: memory.site ?? 'the other site', generation: pair.theirGeneration ?? '' },
    ],
    clocks: async () => [await clock.observe()],
    agreeToDestroy: async () => notYet(),
    receipts: async () => notYet(),
  }
}

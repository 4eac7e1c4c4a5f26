import { ArchiveError } from '../errors.ts'
import type { ComplianceClock } from './clock.ts'
import type { Sites } from './ports.ts'

const WHY = 'with two sites both must agree to a destruction, which they can not be asked for yet'

/**
 * Two sites keep everything. Their agreement (consistency.md, Destruction) has no line of its own yet: the other site's clock
 * is unknown and it prepares for nothing, so that nothing is destroyed at either on the word of one.
 *
 * @param peer name of the other site's storage; undefined while this one is paired with nobody
 */
export function bothSites(own: string, peer: () => string | undefined, clock: ComplianceClock): Sites {
  const unavailable = async (): Promise<never> => {
    throw new ArchiveError('unavailable', WHY)
  }
  return {
    all: () => [own, peer() ?? 'not paired yet'].map((site) => ({ site, generation: site })),
    clocks: async () => [await clock.observe()],
    agreeToDestroy: unavailable,
    receipts: unavailable,
  }
}

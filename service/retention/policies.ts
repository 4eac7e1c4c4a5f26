import { type ClassRule, DEFAULT_CLASS_RULES } from '../../retention/classify.ts'
import { policyDigest } from '../../retention/record.ts'
import { type Policy, parsePolicy } from '../../retention/rule.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { type RetentionConfig, toPolicy } from '../config/retention.ts'
import type { JsonObject } from '../events/canonical.ts'
import { SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { Recorder } from './record.ts'

/** Until volumes are made by thin provisioning there is one. */
export const VOLUME = 'default'

/** The policy of each volume that is in force, and those that ever were. */
export class Policies {
  readonly #byVolume = new Map<string, Policy>()
  readonly #catalogue: Pick<CatalogueRetention, 'policies'>
  readonly classRules: readonly ClassRule[]
  #known = new Map<string, Policy>()
  #announced: Promise<void> | undefined

  constructor(config: RetentionConfig, catalogue: Pick<CatalogueRetention, 'policies'>) {
    this.#catalogue = catalogue
    this.classRules = config.classRules ?? DEFAULT_CLASS_RULES
    for (const [volume, input] of Object.entries(config.volumes)) {
      const policy = toPolicy(input)
      this.#byVolume.set(volume, policy)
      this.#known.set(policyDigest(policy), policy)
    }
  }

  of(volume: string): Policy {
    const policy = this.#byVolume.get(volume) ?? this.#byVolume.get(VOLUME)
    if (!policy) throw new Error(`no policy for volume ${volume}`)
    return policy
  }

  /** By digest, for decisions of long ago. */
  async ever(): Promise<ReadonlyMap<string, Policy>> {
    for (const [digest, body] of await this.#catalogue.policies()) {
      if (!this.#known.has(digest)) this.#known.set(digest, parsePolicy(body))
    }
    return this.#known
  }

  /** Resolves when every policy in force is in the event log: no decision may refer to one that isn't. */
  announce(recorder: Recorder): Promise<void> {
    this.#announced ??= this.#announce(recorder).catch((error) => {
      this.#announced = undefined
      throw error
    })
    return this.#announced
  }

  async #announce(recorder: Recorder): Promise<void> {
    const events = await this.#announcements()
    if (events.length > 0) await recorder.record(...events)
  }

  /** The events by which policies come into force that no event has told of yet. */
  async #announcements(): Promise<KnownEvent[]> {
    const told = await this.#catalogue.policies()
    return [...this.#byVolume].flatMap(([volume, policy]): KnownEvent[] => {
      const digest = policyDigest(policy)
      if (told.has(digest)) return []
      const data = { digest, policy: policy as unknown as JsonObject }
      return [{ kind: 'retention.policy', actor: SYSTEM, subject: { volume }, data }]
    })
  }
}

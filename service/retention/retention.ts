import type { Language } from '../../retention/explain/explain.ts'
import { type PlanSummary, PolicyPlan } from '../../retention/plan.ts'
import type { Policy } from '../../retention/rule.ts'
import type { CataloguePacks, CatalogueReader } from '../catalogue/ports.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { parseVolumePolicy, type RetentionConfig } from '../config/retention.ts'
import { ArchiveError } from '../errors.ts'
import { SYSTEM } from '../events/event.ts'
import type { EventLog } from '../events/log.ts'
import type { Projector } from '../events/projector.ts'
import type { ClearLanding } from '../lifecycle/clear-landing.ts'
import type { Stores } from '../stores/ports.ts'
import type { ComplianceClock } from './clock.ts'
import { ClockSetting } from './clock-setting.ts'
import { Destroyer, type DestroyerOptions } from './destroy.ts'
import { Dispositions } from './dispositions.ts'
import { Evaluator } from './evaluate.ts'
import { type Explanation, explainStudy } from './explain.ts'
import { Facts } from './facts.ts'
import type { StudyGuard } from './guard.ts'
import { Holds } from './holds.ts'
import { Policies, VOLUME } from './policies.ts'
import type { Sites } from './ports.ts'
import { Recorder } from './record.ts'
import { Standings } from './standings.ts'

export interface RetentionOptions {
  config: RetentionConfig
  catalogue: Pick<CatalogueReader, 'find'> & Pick<CataloguePacks, 'packs'> & { readonly retention: CatalogueRetention }
  events: EventLog
  projector: Projector
  stores: Stores
  clock: ComplianceClock
  guard: StudyGuard
  clearLanding: ClearLanding
  /** Stores whose locks may refuse a destruction; default none. */
  locks?: DestroyerOptions['locks']
  /** Default: this site alone. */
  sites?: Sites
  /** Caches of a study that is destroyed. */
  forget(studyUid: string): Promise<void>
  warn(message: string, details: object): void
}

const HOUR_MS = 3_600_000
/** A destruction that could not be ended is gone on with so often, and the clock's time is in the event log. */
const HOURLY_MS = HOUR_MS

/** Everything about how long studies are kept, put together. */
export class Retention {
  readonly policies: Policies
  readonly holds: Holds
  readonly dispositions: Dispositions
  readonly evaluator: Evaluator
  readonly facts: Facts
  readonly standings: Standings
  readonly clockSetting: ClockSetting
  readonly catalogue: CatalogueRetention
  readonly #options: RetentionOptions
  readonly #destroyer: Destroyer
  readonly #recorder: Recorder
  readonly #timers: NodeJS.Timeout[] = []
  #running: Promise<void> = Promise.resolve()

  constructor(options: RetentionOptions) {
    this.#options = options
    const { config, catalogue: all, events, projector, stores, clock, guard, clearLanding, forget, warn } = options
    const catalogue = all.retention
    this.catalogue = catalogue
    const sites = options.sites ?? onlySite(events.site, clock)
    const recorder = new Recorder({ events, projector })
    this.#recorder = recorder
    const policies = new Policies(config, catalogue)
    this.policies = policies
    const evaluator = new Evaluator({ catalogue, policies, recorder, warn })
    this.evaluator = evaluator
    this.holds = new Holds({ catalogue, find: (query) => all.find(query), recorder, sites })
    this.facts = new Facts({ catalogue, recorder, evaluator, policies, clock })
    const standings = new Standings({ catalogue, evaluator, holds: this.holds, sites })
    this.standings = standings
    this.clockSetting = new ClockSetting({ clock, recorder, catalogue })
    const landingSegments = (studyUid: string) => clearLanding.segmentsOf(studyUid)
    const destroyer = new Destroyer({
      ...{ catalogue, recorder, policies, sites, stores, guard, landingSegments, forget, warn },
      packs: all,
      locks: options.locks,
    })
    this.#destroyer = destroyer
    this.dispositions = new Dispositions({
      ...{ catalogue, recorder, policies, standings, destroyer, sites, guard },
      clearLanding: (studyUid) => clearLanding.clear(studyUid),
    })
  }

  get troubles(): string[] {
    return this.#destroyer.troubles
  }

  /** Goes on with what was begun, and evaluates what has changed, now and then. */
  start(): void {
    const { config, clock } = this.#options
    clock.start()
    this.#running = this.#begin()
    this.#timers.push(setInterval(() => void this.#hourly(), HOURLY_MS).unref())
    this.#timers.push(setInterval(() => void this.evaluate(), config.evaluateHours * HOUR_MS).unref())
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.evaluator.stop()
    await this.#running
  }

  /** Destroys what has committed and was not destroyed to its end. Never rejects. */
  resume(): Promise<void> {
    return this.#destroyer.resume()
  }

  /** A study was sealed: its instances have come, for now. Never rejects. */
  async sealed(studyUid: string): Promise<void> {
    await this.evaluator
      .study(studyUid, 'sealed')
      .catch((error: Error) => this.#options.warn('a study was not evaluated', { reason: error.message }))
  }

  /** Everything that has changed; never rejects. */
  async evaluate(): Promise<void> {
    const { warn } = this.#options
    await this.announce()
      .then(() => this.evaluator.run())
      .catch((error: Error) => warn('the evaluation was broken off; it is taken up again', { reason: error.message }))
  }

  /** Records policies that came into force with this configuration. */
  async announce(): Promise<void> {
    await this.policies.announce(this.#recorder)
  }

  explain(studyUid: string, language: Language): Promise<Explanation> {
    return explainStudy(this, studyUid, language)
  }

  /**
   * What another policy would change, over the whole archive: counts now and then, at last with `done`. Decides nothing. Throws
   * ArchiveError `invalid_request` for what is no policy.
   */
  async *plan(input: unknown): AsyncGenerator<{ done: boolean; policy: string; summary: PlanSummary }> {
    const policy = policyOf(input)
    const name = `${policy.id} ${policy.version}`
    const plan = new PolicyPlan(this.policies.of(VOLUME), policy)
    yield { done: false, policy: name, summary: plan.summary }
    for await (const { decision } of this.evaluator.all()) {
      const { facts, previous } = decision.inputs
      plan.add({ facts, previous })
      if (plan.summary.studies % PROGRESS_STUDIES === 0) yield { done: false, policy: name, summary: plan.summary }
    }
    yield { done: true, policy: name, summary: plan.summary }
  }

  async #begin(): Promise<void> {
    await this.#hourly()
    await this.evaluate()
  }

  async #hourly(): Promise<void> {
    const { clock, warn } = this.#options
    try {
      const { complianceMs } = await clock.observe()
      const data = { clockId: clock.clockId, complianceMs }
      await this.#recorder.append({ kind: 'clock.observed', actor: SYSTEM, subject: {}, data })
    } catch (error) {
      warn('the compliance clock is not in the event log', { reason: (error as Error).message })
    }
    await this.#destroyer.resume()
  }
}

const PROGRESS_STUDIES = 1000

function policyOf(input: unknown): Policy {
  try {
    return parseVolumePolicy(input)
  } catch (error) {
    throw new ArchiveError('invalid_request', `that is no policy: ${(error as Error).message.replaceAll('\n', ' ')}`)
  }
}

/** One site keeps everything: nobody else is to be asked. */
export function onlySite(site: string, clock: ComplianceClock): Sites {
  return {
    all: () => [{ site, generation: site }],
    clocks: async () => [await clock.observe()],
    agreeToDestroy: async () => undefined,
    receipts: async () => [],
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import { type Classification, classify } from '../../retention/classify.ts'
import { formatDate } from '../../retention/dates/civil.ts'
import { civilDateAt } from '../../retention/dates/zone.ts'
import { lastStudies, type StudyFacts } from '../../retention/facts.ts'
import { type Decision, ENGINE, evaluate, FOREVER } from '../../retention/policy.ts'
import { policyDigest, toRecord } from '../../retention/record.ts'
import type { Policy, StudyClass } from '../../retention/rule.ts'
import type {
  CatalogueRetention,
  Evaluated,
  PatientStudy,
  RetentionStudy,
  StoredDecision,
} from '../catalogue/retention-ports.ts'
import type { JsonObject } from '../events/canonical.ts'
import { SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import { type Policies, VOLUME } from './policies.ts'
import type { Recorder } from './record.ts'

export interface EvaluatorOptions {
  catalogue: CatalogueRetention
  policies: Policies
  recorder: Recorder
  warn(message: string, details: object): void
}

/** A study as it is now, and what follows from it. */
export interface Evaluation {
  study: RetentionStudy
  classification: Classification
  decision: Decision
  stored: StoredDecision | undefined
}

export interface RunReport {
  studies: number
  /** Decisions that are new, or not what they were. */
  decided: number
  failed: number
}

const PAGE = 500
const EVALUATED_AT_ONCE = 500

/** Decides how long studies are kept, from what the catalogue knows of them, and records each decision that is a new one. */
export class Evaluator {
  readonly #options: EvaluatorOptions
  #running: Promise<RunReport> | undefined
  #last: (RunReport & { at: string }) | undefined
  readonly #stopping = new AbortController()

  constructor(options: EvaluatorOptions) {
    this.#options = options
  }

  get last(): (RunReport & { at: string }) | undefined {
    return this.#last
  }

  /** Undefined where the catalogue knows no such study. Records nothing. */
  async evaluate(studyUid: string): Promise<Evaluation | undefined> {
    const { catalogue } = this.#options
    const study = await catalogue.study(studyUid)
    if (!study) return undefined
    const classification = await this.#classify(study)
    const others: PatientStudy[] = []
    for await (const other of catalogue.studiesOf(study.patient)) others.push(other)
    return this.#decide(study, classification, this.#lastOf(others, study, classification))
  }

  /** Decides about a study, and about its patient's others, which it may make last longer. */
  async study(studyUid: string, trigger: string): Promise<void> {
    const study = await this.#options.catalogue.study(studyUid)
    if (study) await this.patient(study.patient, trigger, new Set([studyUid]))
  }

  /** Decides about all of a patient's studies; `anew` are those whose instances have changed. */
  async patient(patient: string, trigger: string, anew?: ReadonlySet<string>): Promise<void> {
    const batch = this.#batch({ studies: 0, decided: 0, failed: 0 })
    await this.#patient(patient, trigger, batch, anew)
    await batch.flush()
  }

  /** All that has changed since the last run, one patient after the other. */
  run(): Promise<RunReport> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running?.catch(() => undefined)
  }

  async #run(): Promise<RunReport> {
    const { catalogue, policies } = this.#options
    const report: RunReport = { studies: 0, decided: 0, failed: 0 }
    const digest = policyDigest(policies.of(VOLUME))
    const batch = this.#batch(report)
    let seen = new Set<string>()
    for (let after = 0; !this.#stopping.signal.aborted; ) {
      const page = await catalogue.stale(digest, { after, limit: PAGE })
      for (const patient of new Set(page.map((row) => row.patient))) {
        if (seen.has(patient) || this.#stopping.signal.aborted) continue
        seen.add(patient)
        await this.#patient(patient, 'run', batch)
      }
      after = page.at(-1)?.id ?? after
      if (page.length < PAGE) break
      await batch.flush()
      if (seen.size > 10 * PAGE) seen = new Set()
      // Others need the database too.
      await sleep(0)
    }
    await batch.flush()
    this.#last = { ...report, at: new Date().toISOString() }
    return report
  }

  /**
   * Each study that changed is looked at whole; of the others only what was found last time counts, unless nothing was.
   * A patient with very many studies (a phantom) is gone through without holding more of them than a line each.
   */
  async #patient(patient: string, trigger: string, batch: Batch, anew?: ReadonlySet<string>): Promise<void> {
    const { catalogue, policies, warn } = this.#options
    const studies: PatientStudy[] = []
    for await (const study of catalogue.studiesOf(patient)) studies.push(study)
    const looked = new Map<string, { study: RetentionStudy; classification: Classification }>()
    for (const one of studies) {
      if (one.classes !== undefined && !anew?.has(one.studyUid)) continue
      const study = await catalogue.study(one.studyUid)
      if (!study) continue
      const classification = await this.#classify(study)
      looked.set(one.studyUid, { study, classification })
      one.classes = [...classification.classes]
    }
    const last = lastStudies(studies.map((one) => this.#asLast(one)))
    const digest = policyDigest(policies.of(VOLUME))
    for (const { studyUid } of studies) {
      try {
        const study = looked.get(studyUid)?.study ?? (await catalogue.study(studyUid))
        if (!study) continue
        const classification = looked.get(studyUid)?.classification ?? (await this.#classify(study))
        const { decision, stored } = await this.#decide(study, classification, last)
        const { version } = study
        const event = differs(decision, stored) ? decidedEvent(decision, trigger) : undefined
        batch.add({ studyUid, version, policyDigest: digest, classes: classification.classes }, event)
      } catch (error) {
        batch.report.failed += 1
        warn('a study could not be evaluated; it is kept', { reason: (error as Error).message })
      }
      if (batch.isFull) await batch.flush()
    }
  }

  #batch(report: RunReport): Batch {
    return new Batch(this.#options, report)
  }

  async #classify(study: RetentionStudy): Promise<Classification> {
    const overrides = await this.#options.catalogue.overrides(study.studyUid)
    return classify(study, this.#options.policies.classRules, overrides)
  }

  #asLast({ studyDate, lastReceived, classes = [] }: PatientStudy) {
    return { studyDate, receivedOn: this.#dayOf(lastReceived), classes: classes as StudyClass[] }
  }

  #lastOf(others: readonly PatientStudy[], study: RetentionStudy, { classes }: Classification): StudyFacts['last'] {
    const now = { ...study, classes: [...classes] }
    return lastStudies(others.map((one) => this.#asLast(one.studyUid === study.studyUid ? now : one)))
  }

  #dayOf(at: string): string {
    return formatDate(civilDateAt(Date.parse(at), this.#policy.timeZone))
  }

  get #policy(): Policy {
    return this.#options.policies.of(VOLUME)
  }

  async #decide(study: RetentionStudy, classification: Classification, last: StudyFacts['last']): Promise<Evaluation> {
    const { catalogue } = this.#options
    const { studyUid, studyDate, birthDate, patient, lastReceived } = study
    const facts: StudyFacts = {
      studyUid,
      classes: classification.classes,
      ...(studyDate === undefined ? {} : { studyDate }),
      ...(birthDate === undefined ? {} : { birthDate }),
      receivedOn: this.#dayOf(lastReceived),
      ...(last ? { last: bare(last) } : {}),
      events: await catalogue.notes(studyUid, patient),
    }
    const stored = await catalogue.decision(studyUid)
    return { study, classification, decision: evaluate(this.#policy, facts, stored?.retainUntil), stored }
  }
}

/** Decisions that share a write to the event log and to the catalogue. */
class Batch {
  readonly report: RunReport
  readonly #options: Pick<EvaluatorOptions, 'recorder' | 'catalogue'>
  #events: KnownEvent[] = []
  #evaluated: Evaluated[] = []

  constructor(options: Pick<EvaluatorOptions, 'recorder' | 'catalogue'>, report: RunReport) {
    this.#options = options
    this.report = report
  }

  get isFull(): boolean {
    return this.#evaluated.length >= EVALUATED_AT_ONCE
  }

  add(evaluated: Evaluated, event: KnownEvent | undefined): void {
    this.#evaluated.push(evaluated)
    if (event) this.#events.push(event)
  }

  async flush(): Promise<void> {
    const [events, evaluated] = [this.#events, this.#evaluated]
    this.#events = []
    this.#evaluated = []
    if (events.length > 0) await this.#options.recorder.record(...events)
    if (evaluated.length > 0) await this.#options.catalogue.markEvaluated(evaluated)
    this.report.decided += events.length
    this.report.studies += evaluated.length
  }
}

/** Without members that are undefined: a record has only what JSON can say. */
function bare(last: NonNullable<StudyFacts['last']>): NonNullable<StudyFacts['last']> {
  return JSON.parse(JSON.stringify(last))
}

/** What persons rely on: the date, the rule, the policy, the classes, and what suspends. The rest of the inputs may move. */
function differs(decision: Decision, stored: StoredDecision | undefined): boolean {
  if (!stored) return true
  const { retainUntil, rule, suspendedBy, inputs } = decision
  if (retainUntil !== stored.retainUntil) return true
  const before = stored.inputs as { suspendedBy?: unknown; policy?: { digest?: string }; facts?: StudyFacts }
  // An unchanged date is that of the decision before, whatever rule had given it.
  return (
    (rule !== 'previous' && rule !== stored.rule) ||
    before.policy?.digest !== policyDigest(inputs.policy) ||
    JSON.stringify(before.suspendedBy ?? []) !== JSON.stringify(suspendedBy) ||
    JSON.stringify(before.facts?.classes ?? []) !== JSON.stringify(inputs.facts.classes)
  )
}

function decidedEvent(decision: Decision, trigger: string): KnownEvent {
  const { inputs } = toRecord(decision)
  const { studyUid, rule, suspendedBy, approvals, assumptions, retainUntil } = decision
  return {
    kind: 'retention.decided',
    actor: SYSTEM,
    subject: { study: studyUid, volume: VOLUME },
    data: {
      rule,
      policy: inputs.policy.id,
      inputs: { engine: ENGINE, ...inputs, suspendedBy, approvals, assumptions } as unknown as JsonObject,
      ...(retainUntil === FOREVER ? {} : { retainUntil }),
      trigger,
    },
  }
}

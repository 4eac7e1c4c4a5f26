import { setTimeout as sleep } from 'node:timers/promises'
import { type Classification, classify } from '../../retention/classify.ts'
import { formatDate } from '../../retention/dates/civil.ts'
import { civilDateAt } from '../../retention/dates/zone.ts'
import { lastStudies, type StudyFacts } from '../../retention/facts.ts'
import { type Decision, ENGINE, evaluate, FOREVER } from '../../retention/policy.ts'
import { policyDigest, toRecord } from '../../retention/record.ts'
import type { Policy } from '../../retention/rule.ts'
import type {
  CatalogueRetention,
  Evaluated,
  LoadedStudy,
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
const PATIENTS_AT_ONCE = 100
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
    const patient = await catalogue.patientOf(studyUid)
    if (patient === undefined) return undefined
    const [loaded] = await catalogue.load([patient])
    const study = loaded?.studies.find((one) => one.study.studyUid === studyUid)
    return study && this.#decide(study, this.#lastOf(loaded?.studies ?? []))
  }

  /** Decides about a study, and about its patient's others, which it may make last longer. */
  async study(studyUid: string, trigger: string): Promise<void> {
    const patient = await this.#options.catalogue.patientOf(studyUid)
    if (patient !== undefined) await this.patient(patient, trigger)
  }

  /** Decides about all of a patient's studies. */
  async patient(patient: string, trigger: string): Promise<void> {
    const batch = this.#batch({ studies: 0, decided: 0, failed: 0 })
    await this.#patients([patient], trigger, batch)
    await batch.flush()
  }

  /** Every study with what it is decided from, patient by patient, for a dry run. Records nothing. */
  async *all(): AsyncGenerator<Evaluation> {
    for (let after = 0; ; ) {
      const page = await this.#options.catalogue.patients({ after, limit: PATIENTS_AT_ONCE })
      for (const { studies } of await this.#options.catalogue.load(page.map(({ patient }) => patient))) {
        const last = this.#lastOf(studies)
        for (const one of studies) yield this.#decide(one, last)
      }
      if (page.length < PATIENTS_AT_ONCE) return
      after = page.at(-1)?.id ?? after
    }
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
      const patients = [...new Set(page.map((row) => row.patient))].filter((patient) => !seen.has(patient))
      for (let at = 0; at < patients.length && !this.#stopping.signal.aborted; at += PATIENTS_AT_ONCE) {
        await this.#patients(patients.slice(at, at + PATIENTS_AT_ONCE), 'run', batch)
      }
      for (const patient of patients) seen.add(patient)
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

  /** Of a patient with very many studies (a phantom) all are in memory at once: some kilobytes each. */
  async #patients(patients: readonly string[], trigger: string, batch: Batch): Promise<void> {
    const { catalogue, policies, warn } = this.#options
    const digest = policyDigest(policies.of(VOLUME))
    for (const { studies } of await catalogue.load(patients)) {
      const last = this.#lastOf(studies)
      for (const loaded of studies) {
        const { studyUid, version } = loaded.study
        try {
          const { decision, classification } = this.#decide(loaded, last)
          const event = differs(decision, loaded.decision) ? decidedEvent(decision, trigger) : undefined
          batch.add({ studyUid, version, policyDigest: digest, classes: classification.classes }, event)
        } catch (error) {
          batch.report.failed += 1
          warn('a study could not be evaluated; it is kept', { reason: (error as Error).message })
        }
        if (batch.isFull) await batch.flush()
      }
    }
  }

  #batch(report: RunReport): Batch {
    return new Batch(this.#options, report)
  }

  #classify({ study, overrides }: LoadedStudy): Classification {
    return classify(study, this.#options.policies.classRules, overrides)
  }

  #lastOf(studies: readonly LoadedStudy[]): StudyFacts['last'] {
    return lastStudies(
      studies.map((loaded) => ({
        studyDate: loaded.study.studyDate,
        receivedOn: this.#dayOf(loaded.study.lastReceived),
        classes: this.#classify(loaded).classes,
      })),
    )
  }

  #dayOf(at: string): string {
    return formatDate(civilDateAt(Date.parse(at), this.#policy.timeZone))
  }

  get #policy(): Policy {
    return this.#options.policies.of(VOLUME)
  }

  #decide(loaded: LoadedStudy, last: StudyFacts['last']): Evaluation {
    const { study, notes, decision: stored } = loaded
    const classification = this.#classify(loaded)
    const { studyUid, studyDate, birthDate, lastReceived } = study
    const facts: StudyFacts = {
      studyUid,
      classes: classification.classes,
      ...(studyDate === undefined ? {} : { studyDate }),
      ...(birthDate === undefined ? {} : { birthDate }),
      receivedOn: this.#dayOf(lastReceived),
      ...(last ? { last: bare(last) } : {}),
      events: notes,
    }
    return { study, classification, decision: evaluate(this.#policy, facts, stored?.retainUntil), stored }
  }
}

/** Decisions that share a write to the event log and to the catalogue. */
class Batch {
  readonly report: RunReport
  readonly #options: Pick<EvaluatorOptions, 'recorder' | 'catalogue' | 'policies'>
  #events: KnownEvent[] = []
  #evaluated: Evaluated[] = []

  constructor(options: Pick<EvaluatorOptions, 'recorder' | 'catalogue' | 'policies'>, report: RunReport) {
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
    const { recorder, policies } = this.#options
    await policies.announce(recorder)
    if (events.length > 0) await recorder.record(...events)
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

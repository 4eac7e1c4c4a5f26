import { randomUUID } from 'node:crypto'
import { requireReason, requireRecords } from '../../retention/actor.ts'
import { overrideClass } from '../../retention/classify.ts'
import { formatDate } from '../../retention/dates/civil.ts'
import { civilDateAt } from '../../retention/dates/zone.ts'
import type { StudyClass } from '../../retention/rule.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { ArchiveError } from '../errors.ts'
import type { ComplianceClock } from './clock.ts'
import type { Evaluator } from './evaluate.ts'
import { actorOf, type Officer, personOf, refusing } from './officer.ts'
import { type Policies, VOLUME } from './policies.ts'
import { notFound, type Recorder } from './record.ts'

export interface FactsOptions {
  catalogue: CatalogueRetention
  recorder: Recorder
  evaluator: Evaluator
  policies: Policies
  clock: ComplianceClock
}

export interface NewNote {
  studyUid?: string | undefined
  patient?: { patientId: string; issuer?: string | undefined } | undefined
  kind: string
  date?: string | undefined
  ends?: string | undefined
  reason: string
}

/** What officers say of studies and patients: what a study is, and what happened outside of the archive. */
export class Facts {
  readonly #options: FactsOptions

  constructor(options: FactsOptions) {
    this.#options = options
  }

  /** Takes the place of the rules, and of what officers said before. No classes: nobody knows. */
  async classify(studyUid: string, classes: readonly StudyClass[], reason: string, officer: Officer): Promise<void> {
    const { catalogue, recorder, evaluator } = this.#options
    const person = personOf(officer)
    await recorder.inTurn(async () => {
      if ((await catalogue.patientOf(studyUid)) === undefined) throw notFound(`there is no study ${studyUid}`)
      const before = await catalogue.overrides(studyUid)
      const override = { id: randomUUID(), studyUid, classes, reason }
      const made = await refusing(() => overrideClass(override, before, person, new Date().toISOString()))
      await recorder.record({
        kind: 'retention.classified',
        actor: actorOf(officer),
        subject: { study: studyUid },
        data: { id: made.id, classes: [...made.classes], reason: made.reason, supersedes: [...made.supersedes] },
      })
    })
    await evaluator.study(studyUid, 'classified')
  }

  /** Resolves with the note's id, by which a later one may end or void it. */
  async note(note: NewNote, officer: Officer): Promise<string> {
    const { catalogue, recorder, evaluator, policies, clock } = this.#options
    const person = personOf(officer)
    const reason = await refusing(() => {
      requireRecords(person, 'record what happened')
      return requireReason(note.reason)
    })
    const { studyUid, patient, kind, date, ends } = note
    if ((studyUid === undefined) === (patient === undefined)) {
      throw new ArchiveError('invalid_request', 'a note is about one of: a study, a patient')
    }
    if ((kind === 'ended' || kind === 'voided') !== (ends !== undefined)) {
      throw new ArchiveError('invalid_request', '`ends` names what a note of the kind `ended` or `voided` is about')
    }
    const key = patient && ((await catalogue.patient(patient.patientId, patient.issuer ?? '')) ?? '')
    if (key === '') throw notFound(`there is no patient ${patient?.patientId}`)
    if (studyUid !== undefined && (await catalogue.patientOf(studyUid)) === undefined)
      throw notFound(`there is no study ${studyUid}`)
    const id = randomUUID()
    const recordedOn = formatDate(civilDateAt(clock.nowMs(), policies.of(VOLUME).timeZone))
    await recorder.record({
      kind: 'retention.noted',
      actor: actorOf(officer),
      subject: studyUid === undefined ? { patient: key ?? '' } : { study: studyUid },
      data: {
        id,
        kind,
        reason,
        recordedOn,
        ...(date === undefined ? {} : { date }),
        ...(ends === undefined ? {} : { ends }),
      },
    })
    if (studyUid !== undefined) await evaluator.study(studyUid, kind)
    else await evaluator.patient(key ?? '', kind)
    return id
  }
}

import type { Knex } from 'knex'
import type {
  CorrectedStudy,
  CorrectionEntry,
  PatientKey,
  ReadCorrections,
  RejectedInstance,
  RejectionEntry,
} from '../../../corrections/ports.ts'
import type { DicomJson } from '../../../dicom/types.ts'
import type { RecordContent } from '../projections/corrections.ts'
import type { Writer } from '../writer.ts'
import * as queries from './queries.ts'
import type { RejectionPolicy } from './visibility.ts'

/** Rejections and corrections in the catalogue. */
export class CatalogueCorrections implements ReadCorrections {
  readonly #read: Knex
  readonly #writer: Writer

  constructor(read: Knex, writer: Writer) {
    this.#read = read
    this.#writer = writer
  }

  rejections(studyUid: string): Promise<RejectionEntry[]> {
    return queries.rejections(this.#read, studyUid)
  }

  rejectionsOf(sopInstanceUid: string): Promise<RejectedInstance[]> {
    return queries.rejectionsOf(this.#read, sopInstanceUid)
  }

  async isHidden(uid: string): Promise<boolean> {
    await this.#writer.caughtUp()
    return (await this.#read('instances').where({ uid, hidden: true }).first('id')) !== undefined
  }

  correctionsOfStudy(studyUid: string): Promise<CorrectionEntry[]> {
    return queries.correctionsOfStudy(this.#read, studyUid)
  }

  correctionsOfPatient(patient: PatientKey): Promise<CorrectionEntry[]> {
    return queries.correctionsOfPatient(this.#read, patient)
  }

  correction(id: string): Promise<CorrectionEntry | undefined> {
    return queries.correction(this.#read, id)
  }

  corrected(studyUid: string): Promise<CorrectedStudy | undefined> {
    return queries.corrected(this.#read, studyUid)
  }

  nextPlace(): Promise<number> {
    return queries.nextPlace(this.#read)
  }

  async patient(key: PatientKey): Promise<DicomJson | undefined> {
    await this.#writer.caughtUp()
    return queries.patient(this.#read, key)
  }

  async knowsStudy(studyUid: string, seriesUid?: string): Promise<boolean> {
    await this.#writer.caughtUp()
    return queries.knowsStudy(this.#read, studyUid, seriesUid)
  }

  async patientOf(studyUid: string): Promise<PatientKey | undefined> {
    await this.#writer.caughtUp()
    return queries.patientOf(this.#read, studyUid)
  }

  missingRecords(limit: number): Promise<string[]> {
    return queries.missingRecords(this.#read, limit)
  }

  /** A record is here that wasn't when the event that names it was projected. */
  fillRecord(record: string, content: RecordContent): Promise<void> {
    return this.#writer.fillRecord(record, content)
  }

  /** Changes what is hidden accordingly, before it resolves. */
  setRejectionPolicy(policy: RejectionPolicy): Promise<void> {
    return this.#writer.setRejectionPolicy(policy)
  }
}

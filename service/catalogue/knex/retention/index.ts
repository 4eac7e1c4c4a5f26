import type { Knex } from 'knex'
import type { InstanceRecord } from '../../ports.ts'
import type { CatalogueRetention, Evaluated, Page } from '../../retention-ports.ts'
import type { Writer } from '../writer.ts'
import * as dispositions from './dispositions.ts'
import * as holds from './holds.ts'
import { load } from './load.ts'
import * as studies from './studies.ts'

/** See CatalogueRetention. */
export class KnexRetention implements CatalogueRetention {
  readonly #read: Knex
  readonly #writer: Writer

  constructor(read: Knex, writer: Writer) {
    this.#read = read
    this.#writer = writer
  }

  async load(patients: readonly string[]) {
    await this.#writer.caughtUp()
    return load(this.#read, patients)
  }

  async patients({ after, limit }: { after: number; limit: number }) {
    await this.#writer.caughtUp()
    const page = this.#read('patients').where('id', '>', after).orderBy('id').limit(limit)
    return page.select<{ id: number; patient: string }[]>({ id: 'id', patient: 'identity' })
  }

  async patientOf(studyUid: string) {
    await this.#writer.caughtUp()
    return studies.patientOf(this.#read, studyUid)
  }

  async patient(patientId: string, issuer: string): Promise<string | undefined> {
    await this.#writer.caughtUp()
    return (await this.#read('patients').where({ patient_id: patientId, issuer }).first('identity'))?.identity
  }

  overrides(studyUid: string) {
    return studies.overrides(this.#read, studyUid)
  }

  policies() {
    return studies.policies(this.#read)
  }

  decision(studyUid: string) {
    return studies.decision(this.#read, studyUid)
  }

  async stale(policyDigest: string, options: { after: number; limit: number }) {
    await this.#writer.caughtUp()
    return studies.stale(this.#read, policyDigest, options)
  }

  markEvaluated(evaluated: readonly Evaluated[]): Promise<void> {
    return this.#writer.markEvaluated(evaluated)
  }

  expiring(from: string, to: string, page: Page) {
    return studies.expiring(this.#read, from, to, page)
  }

  async *report() {
    await this.#writer.caughtUp()
    yield* studies.report(this.#read)
  }

  holdEventsOn(studyUid: string, patient: string) {
    return holds.holdEventsOn(this.#read, studyUid, patient)
  }

  holdEvents(holdId: string) {
    return holds.holdEvents(this.#read, holdId)
  }

  holdStudies(holdId: string) {
    return holds.holdStudies(this.#read, holdId)
  }

  holds(state: 'active' | 'released' | 'all', page: Page) {
    return holds.holds(this.#read, state, page)
  }

  isHeld(studyUids: readonly string[]) {
    return holds.isHeld(this.#read, studyUids)
  }

  disposition(id: string) {
    return dispositions.disposition(this.#read, id)
  }

  dispositions(which: { state?: string | undefined; studyUid?: string | undefined }, page: Page) {
    return dispositions.dispositions(this.#read, which, page)
  }

  doomed(disposition: string) {
    return dispositions.doomed(this.#read, disposition)
  }

  tombstones(studyUid: string, limit: number) {
    return dispositions.tombstones(this.#read, studyUid, limit)
  }

  tombstone(sopInstanceUid: string) {
    return dispositions.tombstone(this.#read, sopInstanceUid)
  }

  async copies(studyUid: string): Promise<InstanceRecord[]> {
    await this.#writer.caughtUp()
    return dispositions.copies(this.#read, studyUid)
  }

  async forgetDoomed(disposition: string): Promise<void> {
    await this.#writer.caughtUp()
    await this.#writer.forgetDoomed(disposition)
  }

  async clock(site: string) {
    const row = await this.#read('compliance_clocks').where({ site }).first()
    return row && { clockId: row.clock, complianceMs: row.compliance_ms }
  }
}

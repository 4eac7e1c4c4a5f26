import type { Knex } from 'knex'
import { refreshTarget, type Target } from '../overlay/lay.ts'
import type { ProjectedEvent, Projection } from './projection.ts'
import { madeBy } from './rejections.ts'

/** What is laid over the stored attributes of patients, studies and series. */
export const corrections: Projection = {
  kinds: ['correction.made', 'correction.withdrawn'],
  tables: ['withdrawals', 'corrections', 'study_originals', 'series_originals', 'patient_originals'],
  async apply(trx, event) {
    if (event.kind === 'correction.made') await made(trx, event)
    else if (event.kind === 'correction.withdrawn') await withdrawn(trx, event)
  },
}

/** What a correction's record says; it comes beside the event, because the log must not hold it. */
export interface RecordContent {
  /** DICOM JSON. */
  attributes: object
  reason: string
}

type Made = ProjectedEvent & { kind: 'correction.made' }
type Withdrawn = ProjectedEvent & { kind: 'correction.withdrawn' }

async function made(trx: Knex.Transaction, event: Made): Promise<void> {
  const { subject, data } = event
  const content = (event as { content?: RecordContent }).content
  const row = {
    id: subject.correction ?? '',
    kind: data.type,
    study_uid: subject.study ?? '',
    series_uid: subject.series ?? '',
    patient_id: data.patient?.id ?? '',
    issuer: data.patient?.issuer ?? '',
    to_patient_id: data.to?.id ?? '',
    to_issuer: data.to?.issuer ?? '',
    record: data.record,
    attributes: content ? JSON.stringify(content.attributes) : null,
    reason: content?.reason ?? '',
    place: data.place,
    ...madeBy(event),
  }
  await trx('corrections').insert(row).onConflict('id').ignore()
  if (content) await refreshTarget(trx, row, event.at)
}

async function withdrawn(trx: Knex.Transaction, event: Withdrawn): Promise<void> {
  const { correction = '' } = event.subject
  const row = { correction, reason: event.data.reason, ...madeBy(event) }
  await trx('withdrawals').insert(row).onConflict('correction').ignore()
  const target: Target | undefined = await trx('corrections').where({ id: correction }).first()
  if (target) await refreshTarget(trx, target, event.at)
}

/** A record that came later than the event that names it. */
export async function fillRecord(
  trx: Knex.Transaction,
  { record, content }: { record: string; content: RecordContent },
): Promise<void> {
  const waiting: (Target & { at: string })[] = await trx('corrections').where({ record }).whereNull('attributes')
  const { reason } = content
  const attributes = JSON.stringify(content.attributes)
  await trx('corrections').where({ record }).whereNull('attributes').update({ attributes, reason })
  for (const target of waiting) await refreshTarget(trx, target, target.at)
}

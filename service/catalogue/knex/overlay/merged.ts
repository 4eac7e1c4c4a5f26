import type { Knex } from 'knex'
import { redirected } from '../../../corrections/overlay.ts'
import type { Tag } from '../../../dicom/types.ts'
import type { MatchKey } from '../../ports.ts'
import { patientIdentity } from '../rows.ts'
import { mergesFrom } from './lay.ts'

const PATIENT_ID: Tag = '00100020'
const ISSUER: Tag = '00100021'
/** A query may list many IDs; those beyond are looked for as they are only. */
const IDS_MAX = 100

/** The rows of patients with whom those that a query names were merged: who asks for the old ID finds the new one. */
export async function mergedPatients(knex: Knex, match: readonly MatchKey[]): Promise<number[]> {
  const value = (tag: Tag): string | undefined => match.find(({ path }) => path.length === 1 && path[0] === tag)?.value
  const ids = value(PATIENT_ID)
  if (ids === undefined || /[*?]/.test(ids)) return []
  const issuer = value(ISSUER)
  return issuer !== undefined && /[*?\\]/.test(issuer)
    ? []
    : patientsMergedFrom(
        knex,
        ids.split('\\').map((id) => id.trim()),
        issuer,
      )
}

/** The same for IDs by any issuer, or the given one. */
export async function patientsMergedFrom(knex: Knex, ids: readonly string[], issuer?: string): Promise<number[]> {
  const rows: { patient_id: string; issuer: string }[] = await knex('corrections')
    .whereIn('patient_id', ids.slice(0, IDS_MAX))
    .where({ kind: 'merge', ...(issuer === undefined ? {} : { issuer }) })
    .distinct('patient_id', 'issuer')
  const identities: string[] = []
  for (const row of rows) {
    const from = { patientId: row.patient_id, issuer: row.issuer }
    const { key, by } = redirected(from, [], await mergesFrom(knex, from))
    if (by && key) identities.push(patientIdentity({ patient_id: key.patientId, issuer: key.issuer }, ''))
  }
  return identities.length === 0 ? [] : knex('patients').whereIn('identity', identities).pluck('id')
}

import type { Knex } from 'knex'
import type { InstanceRecord, InstanceScope } from '../ports.ts'
import { patientsMergedFrom } from './overlay/merged.ts'
import { type CopyRow, toRecord } from './rows.ts'

const PAGE_ROWS = 500

const COPY_COLUMNS = (table: 'instances' | 'conflicts'): string[] => [
  ...[
    'id',
    'uid',
    'sha256',
    'sop_class',
    'transfer_syntax',
    'size_bytes',
    'data_set_offset',
    'received',
    'segment',
    'segment_offset',
    'pack',
    'pack_offset',
  ].map((name) => `${table}.${name}`),
  'sources.protocol',
  'sources.name as source_name',
  'sources.address as source_address',
]

export function servedCopies(knex: Knex): Knex.QueryBuilder {
  return knex('instances')
    .join('series', 'series.id', 'instances.series')
    .join('studies', 'studies.id', 'instances.study')
    .join('sources', 'sources.id', 'instances.source')
    .select(
      ...COPY_COLUMNS('instances'),
      'studies.uid as study_uid',
      'series.uid as series_uid',
      'instances.instance_number',
      'instances.number_of_frames',
    )
}

export function conflictingCopies(knex: Knex): Knex.QueryBuilder {
  return knex('conflicts')
    .join('sources', 'sources.id', 'conflicts.source')
    .select(...COPY_COLUMNS('conflicts'), 'conflicts.study_uid', 'conflicts.series_uid', 'conflicts.served_sha256')
}

interface ScopeRow extends CopyRow {
  series: number
  position: number
}

/** See CatalogueReader.instances. */
export async function* instances(knex: Knex, scope: InstanceScope): AsyncGenerator<InstanceRecord> {
  const patients = scope.patientId === undefined ? [] : await patientsMergedFrom(knex, [scope.patientId])
  let last: ScopeRow | undefined
  for (;;) {
    const page = servedCopies(knex).select('instances.series', 'instances.position').limit(PAGE_ROWS)
    page.where('instances.hidden', false)
    within(page, scope, patients)
    if (last) {
      page.whereRaw('(instances.series, instances.position, instances.id) > (?, ?, ?)', [
        last.series,
        last.position,
        last.id,
      ])
    }
    const rows: ScopeRow[] = await page.orderBy(['instances.series', 'instances.position', 'instances.id'])
    for (const row of rows) yield toRecord(row)
    last = rows.at(-1)
    if (rows.length < PAGE_ROWS) return
  }
}

function within(
  page: Knex.QueryBuilder,
  { patientId, studyUids, seriesUids, sopInstanceUids }: InstanceScope,
  patients: readonly number[],
): void {
  if (patientId !== undefined) {
    page.where((either) => either.where('studies.patient_id', patientId).orWhereIn('studies.patient', [...patients]))
  }
  if (studyUids) page.whereIn('studies.uid', [...studyUids])
  if (seriesUids) page.whereIn('series.uid', [...seriesUids])
  if (sopInstanceUids) page.whereIn('instances.uid', [...sopInstanceUids])
}

import type { Knex } from 'knex'
import type { DicomJson, JsonAttribute, Tag } from '../../dicom/types.ts'
import type { MatchKey, Query, QueryLevel } from '../ports.ts'
import { RETURNED } from './keys.ts'
import { addMatch } from './matching.ts'
import { mergedPatients } from './overlay/merged.ts'

const PAGE_ROWS = 1000

interface LevelPlan {
  from(knex: Knex): Knex.QueryBuilder
  /** Leaves out what is hidden, and whatever has nothing but hidden instances. */
  shown(page: Knex.QueryBuilder): Knex.QueryBuilder
  columns: readonly string[]
  /** Unique together; pages go on behind the last row's values. */
  order: readonly string[]
  descending?: boolean
}

const STUDY_COLUMNS = [
  'studies.id as study_id',
  'studies.attributes as study_attributes',
  'studies.modalities',
  'studies.series_count',
  'studies.instance_count',
]
const SERIES_COLUMNS = ['series.attributes as series_attributes', 'series.instance_count as series_instances']

const PATIENT_TOTALS = [
  ['patient_studies', 'count(*)'],
  ['patient_series', 'sum(series_count)'],
  ['patient_instances', 'sum(instance_count)'],
] as const

const PLANS: Record<QueryLevel, LevelPlan> = {
  patient: {
    from: (knex) =>
      knex('patients').select(
        ...PATIENT_TOTALS.map(([name, total]) =>
          knex.raw(`(SELECT ${total} FROM studies WHERE studies.patient = patients.id AND instance_count > 0) AS ??`, [
            name,
          ]),
        ),
      ),
    shown: (page) =>
      page.whereExists((any) =>
        any.from('studies').select('id').whereRaw('patient = patients.id').where('instance_count', '>', 0),
      ),
    columns: ['patients.attributes as patient_attributes'],
    order: ['patients.id'],
  },
  study: {
    from: (knex) => knex('studies'),
    shown: (page) => page.where('studies.instance_count', '>', 0),
    columns: STUDY_COLUMNS,
    order: ['studies.study_date', 'studies.id'],
    descending: true,
  },
  series: {
    from: (knex) => knex('series').join('studies', 'studies.id', 'series.study'),
    shown: (page) => page.where('series.instance_count', '>', 0),
    columns: [...STUDY_COLUMNS, ...SERIES_COLUMNS],
    order: ['series.study', 'series.id'],
  },
  instance: {
    from: (knex) =>
      knex('instances')
        .join('series', 'series.id', 'instances.series')
        .join('studies', 'studies.id', 'instances.study'),
    shown: (page) => page.where('instances.hidden', false),
    columns: [...STUDY_COLUMNS, ...SERIES_COLUMNS, 'instances.attributes as instance_attributes'],
    order: ['instances.series', 'instances.position', 'instances.id'],
  },
}

interface FoundRow {
  patient_attributes?: string
  study_attributes?: string
  series_attributes?: string
  instance_attributes?: string
  modalities?: string
  series_count?: number
  instance_count?: number
  series_instances?: number
  patient_studies?: number
  patient_series?: number
  patient_instances?: number
  order_0: string | number
  order_1?: string | number
  order_2?: string | number
}

/** See CatalogueReader.find. Keyset pages: each costs the same however far the answer has got. */
export async function* find(knex: Knex, query: Query): AsyncGenerator<DicomJson> {
  const plan = PLANS[query.level]
  const wanted = wantedTags(query)
  let left = query.limit ?? Number.POSITIVE_INFINITY
  const patients = await mergedPatients(knex, query.match)
  let last: FoundRow | undefined
  while (left > 0) {
    const take = Math.min(PAGE_ROWS, left)
    const page = selectPage(knex, plan, query, take, patients)
    if (last) behind(page, plan, last)
    else if (query.offset) page.offset(query.offset)
    const rows: FoundRow[] = await page
    for (const row of rows) yield answer(row, query.level, wanted)
    left -= rows.length
    last = rows.at(-1)
    if (rows.length < take) return
  }
}

/** Keys of the patient's identity that a patient under whom it went on fulfils as well. */
function splitMerged(match: Query['match'], patients: readonly number[]) {
  const ofIdentity = ({ path }: MatchKey): boolean => path[0] === '00100020' || path[0] === '00100021'
  if (patients.length === 0) return { merged: [], others: match }
  return { merged: match.filter(ofIdentity), others: match.filter((one) => !ofIdentity(one)) }
}

function selectPage(
  knex: Knex,
  plan: LevelPlan,
  query: Query,
  take: number,
  patients: readonly number[],
): Knex.QueryBuilder {
  const page = plan.from(knex).select(...plan.columns, ...plan.order.map((one, index) => `${one} as order_${index}`))
  plan.shown(page)
  const { merged, others } = splitMerged(query.match, patients)
  for (const match of others) addMatch(page, query.level, match, query.fuzzy)
  if (merged.length > 0) {
    page.where((either) => {
      either.where((all) => {
        for (const match of merged) addMatch(all, query.level, match, query.fuzzy)
      })
      either.orWhereIn(query.level === 'patient' ? 'patients.id' : 'studies.patient', [...patients])
    })
  }
  for (const one of plan.order) page.orderBy(one, plan.descending ? 'desc' : 'asc')
  return page.limit(take)
}

function behind(page: Knex.QueryBuilder, plan: LevelPlan, last: FoundRow): void {
  const values = plan.order.map((_, index) => last[`order_${index}` as 'order_0'])
  const marks = plan.order.map(() => '?').join(', ')
  const names = plan.order.map(() => '??').join(', ')
  page.whereRaw(`(${names}) ${plan.descending ? '<' : '>'} (${marks})`, [...plan.order, ...values])
}

/** Undefined: everything. */
function wantedTags({ level, match, include, ownLevelOnly }: Query): ReadonlySet<Tag> | undefined {
  if (include === 'all') return undefined
  const levels: QueryLevel[] =
    level === 'patient' ? ['patient'] : (['patient', 'study', 'series', 'instance'] as const).slice(0, DEPTH[level] + 1)
  const returned = ownLevelOnly && level !== 'study' ? [level] : levels
  const asked = match.map(({ path }) => path[0] as Tag)
  return new Set([...returned.flatMap((one) => [...RETURNED[one], ...COMPUTED[one]]), ...include, ...asked])
}

const DEPTH: Record<QueryLevel, number> = { patient: 0, study: 1, series: 2, instance: 3 }

const COMPUTED: Record<QueryLevel, readonly Tag[]> = {
  patient: ['00201200', '00201202', '00201204'],
  study: ['00080056', '00080061', '00201206', '00201208'],
  series: ['00080056', '00201209'],
  instance: ['00080056'],
}

function answer(row: FoundRow, level: QueryLevel, wanted: ReadonlySet<Tag> | undefined): DicomJson {
  const all: DicomJson = {}
  for (const text of [row.patient_attributes, row.study_attributes, row.series_attributes, row.instance_attributes]) {
    if (text === undefined) continue
    const json: DicomJson = JSON.parse(text)
    for (const tag in json) if (wanted === undefined || wanted.has(tag)) all[tag] = json[tag] as JsonAttribute
  }
  // Attributes are kept decoded, and leave as UTF-8.
  all['00080005'] = { vr: 'CS', Value: ['ISO_IR 192'] }
  addComputed(all, row, level)
  const sorted: DicomJson = {}
  for (const tag of Object.keys(all).sort()) {
    if (wanted === undefined || wanted.has(tag)) sorted[tag] = all[tag] as JsonAttribute
  }
  return sorted
}

function addComputed(json: DicomJson, row: FoundRow, level: QueryLevel): void {
  const count = (tag: Tag, value: number | null | undefined): void => {
    if (value !== undefined) json[tag] = { vr: 'IS', Value: [Number(value ?? 0)] }
  }
  if (level === 'patient') {
    PATIENT_TOTALS.forEach(([name], index) => {
      count(COMPUTED.patient[index] as Tag, row[name])
    })
    return
  }
  json['00080056'] = { vr: 'CS', Value: ['ONLINE'] }
  const modalities = (row.modalities ?? '').split('\\').filter((name) => name !== '')
  json['00080061'] = modalities.length > 0 ? { vr: 'CS', Value: modalities } : { vr: 'CS' }
  count('00201206', row.series_count)
  count('00201208', row.instance_count)
  if (level !== 'study') count('00201209', row.series_instances)
}

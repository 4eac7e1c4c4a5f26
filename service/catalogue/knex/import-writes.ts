import type { Knex } from 'knex'
import type {
  BeginImport,
  FoundFile,
  FoundStudy,
  ImportRecord,
  ImportTotals,
  ListedPage,
  StudyOutcome,
  StudyResult,
  StudyState,
} from '../../import/ports.ts'

/** Everything that imports write, as plain data: it crosses threads. */
export type ImportWrite =
  | ({ do: 'begin'; at: string } & BeginImport)
  | { do: 'listed'; name: string; page: ListedPage }
  | { do: 'listingDone'; name: string }
  | { do: 'settle'; name: string; outcome: StudyOutcome }
  | { do: 'end'; name: string; at: string; state: ImportRecord['state'] }

export interface StudyRow {
  id: number
  uid: string
  patient_id: string
  attributes: string
  state: StudyState
  attempts: number
  expected: number | null
  listed_bytes: number
  result: string
  reason: string
}

const RESULTS = [
  'expected',
  'here',
  'stored',
  'duplicates',
  'conflicts',
  'refused',
  'missing',
  'verified',
  'differing',
  'bytes',
] as const satisfies readonly (keyof StudyResult)[]
const ROWS_PER_INSERT = 50

export const NO_STUDY = JSON.stringify(Object.fromEntries(RESULTS.map((name) => [name, 0])))
const NO_TOTALS: ImportTotals = {
  ...(JSON.parse(NO_STUDY) as StudyResult),
  studies: 0,
  done: 0,
  failed: 0,
  listedInstances: 0,
  listedBytes: 0,
  findings: 0,
}

export async function writeImport(knex: Knex, write: ImportWrite): Promise<void> {
  await knex.transaction(async (trx) => {
    if (write.do === 'begin') return begin(trx, write)
    if (write.do === 'listed') return listed(trx, write.name, write.page)
    if (write.do === 'settle') return settle(trx, write.name, write.outcome)
    const found = trx('imports').where({ name: write.name })
    if (write.do === 'listingDone') await found.update({ listed: 1 })
    else await found.update({ state: write.state, ended_at: write.at })
  })
}

async function begin(
  trx: Knex.Transaction,
  { name, listOnly, verify, relist, again, at }: BeginImport & { at: string },
) {
  const anew = { state: 'running', list_only: listOnly ? 1 : 0, verify: String(verify), started_at: at, ended_at: null }
  const rest = { cursor: null, listed: 0 }
  await trx('imports')
    .insert({ name, ...anew, ...rest, totals: JSON.stringify(NO_TOTALS) })
    .onConflict('name')
    .merge({ ...anew, ...(relist ? rest : {}) })
  const studies = () => trx('import_studies').where({ import: name })
  // What failed is tried again, and what was found when listing is found again.
  if (relist) await forgetFindings(trx, name, '')
  await studies().where({ state: 'failed' }).update({ state: 'waiting', attempts: 0 })
  if (again) await studies().update({ state: 'waiting', attempts: 0 })
  await change(trx, name, (totals) => {
    totals.failed = 0
    if (again) totals.done = 0
  })
}

/** One writer at a time changes an import's totals. */
async function change(trx: Knex.Transaction, name: string, act: (totals: ImportTotals) => void): Promise<void> {
  const row = await trx('imports').where({ name }).forUpdate().first('totals')
  if (!row) throw new Error(`there is no import ${name}`)
  const totals = { ...NO_TOTALS, ...JSON.parse(row.totals) }
  act(totals)
  await trx('imports')
    .where({ name })
    .update({ totals: JSON.stringify(totals) })
}

async function forgetFindings(trx: Knex.Transaction, name: string, studyUid: string): Promise<void> {
  const gone = await trx('import_findings').where({ import: name, study_uid: studyUid }).del()
  if (gone > 0)
    await change(trx, name, (totals) => {
      totals.findings -= gone
    })
}

async function addFindings(
  trx: Knex.Transaction,
  name: string,
  findings: NonNullable<ListedPage['findings']>,
): Promise<void> {
  const rows = findings.map(({ studyUid, kind, object, detail }) => ({
    import: name,
    study_uid: studyUid,
    kind,
    object,
    detail,
  }))
  for (let at = 0; at < rows.length; at += ROWS_PER_INSERT) {
    await trx('import_findings').insert(rows.slice(at, at + ROWS_PER_INSERT))
  }
  await change(trx, name, (totals) => {
    totals.findings += rows.length
  })
}

async function listed(trx: Knex.Transaction, name: string, page: ListedPage): Promise<void> {
  // Locked first, so that two of them never wait for each other.
  await change(trx, name, () => undefined)
  const files = await newFiles(trx, name, page.files ?? [])
  for (const study of page.studies) {
    await listStudy(
      trx,
      name,
      study,
      files.filter(({ studyUid }) => studyUid === study.studyUid),
      page.files !== undefined,
    )
  }
  if (page.findings?.length) await addFindings(trx, name, page.findings)
  await trx('imports').where({ name }).update({ cursor: page.cursor })
}

/** Records files; resolves with those that weren't known, or have another size than they had. */
async function newFiles(trx: Knex.Transaction, name: string, files: readonly FoundFile[]): Promise<FoundFile[]> {
  if (files.length === 0) return []
  const paths = files.map(({ path }) => path)
  const rows = await trx('import_files').where({ import: name }).whereIn('path', paths).select('path', 'size_bytes')
  const known = new Map(rows.map((row) => [row.path, row.size_bytes]))
  const fresh = files.filter(({ path, sizeBytes }) => known.get(path) !== sizeBytes)
  for (let at = 0; at < fresh.length; at += ROWS_PER_INSERT) {
    await trx('import_files')
      .insert(
        fresh.slice(at, at + ROWS_PER_INSERT).map(({ path, studyUid, sopInstanceUid, sizeBytes }) => ({
          import: name,
          path,
          study_uid: studyUid,
          sop_uid: sopInstanceUid,
          size_bytes: sizeBytes,
        })),
      )
      .onConflict(['import', 'path'])
      .merge()
  }
  return fresh
}

async function listStudy(
  trx: Knex.Transaction,
  name: string,
  { studyUid, patientId, attributes, instances }: FoundStudy,
  files: readonly FoundFile[],
  byFiles: boolean,
): Promise<void> {
  const where = { import: name, uid: studyUid }
  const known: StudyRow | undefined = await trx('import_studies').where(where).first()
  const before = known?.expected ?? 0
  const expected = byFiles ? before + files.length : (instances ?? known?.expected ?? null)
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const more = byFiles ? files.length > 0 : expected !== null && expected !== known?.expected
  if (!known) {
    await trx('import_studies').insert({
      ...where,
      patient_id: patientId,
      attributes: JSON.stringify(attributes),
      state: 'waiting',
      attempts: 0,
      expected,
      listed_bytes: bytes,
      result: NO_STUDY,
      reason: '',
    })
  } else if (more) {
    const state = { state: 'waiting', attempts: 0 }
    await trx('import_studies')
      .where(where)
      .update({ expected, listed_bytes: known.listed_bytes + bytes, ...state })
  }
  await change(trx, name, (totals) => {
    if (!known) totals.studies += 1
    if (known && more && known.state !== 'waiting') totals[known.state] -= 1
    totals.listedInstances += (expected ?? 0) - before
    totals.listedBytes += bytes
  })
}

async function settle(trx: Knex.Transaction, name: string, outcome: StudyOutcome): Promise<void> {
  const { studyUid, state, attempts, result, reason, findings } = outcome
  await change(trx, name, () => undefined)
  const where = { import: name, uid: studyUid }
  const known: StudyRow | undefined = await trx('import_studies').where(where).first()
  const row = { state, attempts, result: JSON.stringify(result), reason }
  if (known) await trx('import_studies').where(where).update(row)
  else {
    // Somebody asked for it before the listing had come to it.
    await trx('import_studies').insert({
      ...where,
      ...row,
      patient_id: '',
      attributes: '{}',
      expected: result.expected,
      listed_bytes: 0,
    })
  }
  const before = JSON.parse(known?.result ?? NO_STUDY) as StudyResult
  await forgetFindings(trx, name, studyUid)
  if (findings.length > 0) await addFindings(trx, name, [...findings])
  await change(trx, name, (totals) => {
    for (const each of RESULTS) totals[each] += result[each] - before[each]
    if (!known) {
      totals.studies += 1
      totals.listedInstances += result.expected
    }
    if (known && known.state !== 'waiting') totals[known.state] -= 1
    if (state !== 'waiting') totals[state] += 1
  })
}

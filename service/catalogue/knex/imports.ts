import type { Knex } from 'knex'
import type {
  BeginImport,
  FoundFile,
  ImportRecord,
  ImportRecords,
  ImportStudy,
  ListedPage,
  StudyOutcome,
  StudyState,
} from '../../import/ports.ts'
import type { ImportWrite, StudyRow } from './import-writes.ts'

const FILES_PER_PAGE = 1000

/** What imports keep, over the same database as the catalogue. */
export class KnexImports implements ImportRecords {
  readonly #read: Knex
  readonly #write: (write: ImportWrite) => Promise<void>

  constructor(read: Knex, write: (write: ImportWrite) => Promise<void>) {
    this.#read = read
    this.#write = write
  }

  async get(name: string): Promise<ImportRecord | undefined> {
    const row = await this.#read('imports').where({ name }).first()
    if (!row) return undefined
    return {
      name,
      state: row.state,
      listOnly: row.list_only === 1,
      verify: Number(row.verify),
      cursor: row.cursor,
      listed: row.listed === 1,
      totals: JSON.parse(row.totals),
      startedAt: row.started_at,
      endedAt: row.ended_at,
    }
  }

  begin(options: BeginImport): Promise<void> {
    return this.#write({ do: 'begin', at: new Date().toISOString(), ...options })
  }

  listed(name: string, page: ListedPage): Promise<void> {
    return this.#write({ do: 'listed', name, page })
  }

  listingDone(name: string): Promise<void> {
    return this.#write({ do: 'listingDone', name })
  }

  settle(name: string, outcome: StudyOutcome): Promise<void> {
    return this.#write({ do: 'settle', name, outcome })
  }

  end(name: string, state: ImportRecord['state']): Promise<void> {
    return this.#write({ do: 'end', name, at: new Date().toISOString(), state })
  }

  async study(name: string, studyUid: string): Promise<ImportStudy | undefined> {
    const row = await this.#read('import_studies').where({ import: name, uid: studyUid }).first()
    return row && studyOf(row)
  }

  async ofPatient(name: string, patientId: string, limit: number): Promise<ImportStudy[]> {
    const rows = await this.#read('import_studies')
      .where({ import: name, patient_id: patientId })
      .orderBy('id')
      .limit(limit)
    return rows.map(studyOf)
  }

  async studies(
    name: string,
    { after, limit, state }: { after: number; limit: number; state?: StudyState },
  ): Promise<ImportStudy[]> {
    const page = this.#read('import_studies').where({ import: name }).where('id', '>', after).orderBy('id').limit(limit)
    if (state !== undefined) page.where({ state })
    return (await page).map(studyOf)
  }

  async findings(name: string, { after, limit }: { after: number; limit: number }) {
    const rows = await this.#read('import_findings')
      .where({ import: name })
      .where('id', '>', after)
      .orderBy('id')
      .limit(limit)
    return rows.map(({ id, study_uid, kind, object, detail }) => ({ id, studyUid: study_uid, kind, object, detail }))
  }

  async *files(name: string, studyUid: string): AsyncGenerator<FoundFile> {
    for (let after = ''; ; ) {
      const rows = await this.#read('import_files')
        .where({ import: name, study_uid: studyUid })
        .where('path', '>', after)
        .orderBy('path')
        .limit(FILES_PER_PAGE)
      for (const { path, sop_uid, size_bytes } of rows) {
        yield { path, studyUid, sopInstanceUid: sop_uid, sizeBytes: size_bytes }
        after = path
      }
      if (rows.length < FILES_PER_PAGE) return
    }
  }
}

function studyOf(row: StudyRow): ImportStudy {
  return {
    id: row.id,
    studyUid: row.uid,
    patientId: row.patient_id,
    attributes: JSON.parse(row.attributes),
    state: row.state,
    attempts: row.attempts,
    expected: row.expected,
    result: JSON.parse(row.result),
    reason: row.reason,
  }
}

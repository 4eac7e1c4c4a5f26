import type {
  CatalogueJournal,
  CatalogueReader,
  CatalogueTotals,
  Change,
  Conflict,
  InstanceRecord,
  InstanceScope,
  MatchKey,
  Query,
  QueryLevel,
} from '../catalogue/ports.ts'
import type { DicomJson, Tag } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { matches } from './match.ts'
import type { FoundStudy } from './ports.ts'
import type { ReadThrough } from './through.ts'

const STUDY_UID = '0020000D'
const PATIENT_ID = '00100020'
/** Studies of one request that are brought before it is answered. */
const STUDIES_MAX = 100

export interface ThroughCatalogueOptions {
  catalogue: CatalogueReader & CatalogueJournal
  through: Pick<ReadThrough, 'bring' | 'find'>
  /** False where no import runs: then everything goes straight to the catalogue. */
  active(): boolean
}

/**
 * The catalogue as readers see it while an import runs. A query at study level for one study or one patient is answered with
 * what the old archive knows too; whoever asks for what is in a study makes it come first.
 */
export class ThroughCatalogue implements CatalogueReader, CatalogueJournal {
  readonly #options: ThroughCatalogueOptions

  constructor(options: ThroughCatalogueOptions) {
    this.#options = options
  }

  supports(level: QueryLevel, path: readonly Tag[]): boolean {
    return this.#options.catalogue.supports(level, path)
  }

  async *find(query: Query): AsyncGenerator<DicomJson> {
    const { catalogue, active } = this.#options
    if (!active()) return yield* catalogue.find(query)
    const uids = exactly(query.match, STUDY_UID)
    const [patientId] = exactly(query.match, PATIENT_ID)
    if (query.level === 'study' && (uids.length > 0 || patientId !== undefined)) {
      return yield* this.#findBoth(query, uids, patientId)
    }
    if (query.level === 'series' || query.level === 'instance') await this.#bringAll(uids)
    yield* catalogue.find(query)
  }

  async *instances(scope: InstanceScope): AsyncGenerator<InstanceRecord> {
    const { catalogue, through, active } = this.#options
    if (active()) {
      const { studyUids, patientId } = scope
      if (studyUids) await this.#bringAll(studyUids)
      else if (patientId !== undefined) {
        await this.#bringAll((await through.find({ patientId })).map(({ studyUid }) => studyUid))
      }
    }
    yield* catalogue.instances(scope)
  }

  async studyVersion(studyUid: string): Promise<string | undefined> {
    const { catalogue, active } = this.#options
    if (active()) await this.#bringAll([studyUid])
    return catalogue.studyVersion(studyUid)
  }

  get epoch(): string {
    return this.#options.catalogue.epoch
  }

  changes(since: number, limit: number): Promise<Change[]> {
    return this.#options.catalogue.changes(since, limit)
  }

  conflicts(limit: number, before?: number): Promise<{ id: number; conflict: Conflict }[]> {
    return this.#options.catalogue.conflicts(limit, before)
  }

  byDigest(sha256: string): Promise<InstanceRecord | undefined> {
    return this.#options.catalogue.byDigest(sha256)
  }

  totals(): Promise<CatalogueTotals> {
    return this.#options.catalogue.totals()
  }

  async #bringAll(studyUids: readonly string[]): Promise<void> {
    const { through } = this.#options
    if (studyUids.length > STUDIES_MAX) {
      throw new ArchiveError('too_large', `more than ${STUDIES_MAX} studies would have to come from the old archive`)
    }
    for (const studyUid of studyUids) await through.bring(studyUid)
  }

  /** What is here first, then what only the old archive has. */
  async *#findBoth(query: Query, uids: readonly string[], patientId: string | undefined): AsyncGenerator<DicomJson> {
    const { catalogue } = this.#options
    let here = 0
    for await (const match of catalogue.find(query)) {
      here += 1
      yield match
    }
    const limit = query.limit ?? Number.POSITIVE_INFINITY
    if (here >= limit) return
    const elsewhere = await this.#elsewhere(query, uids, patientId)
    const skipped = (query.offset ?? 0) > 0 && here === 0 ? await this.#beyond(query) : 0
    yield* elsewhere.slice(skipped, skipped + limit - here)
  }

  /** How far an offset reaches beyond what is here. */
  async #beyond(query: Query): Promise<number> {
    const { offset = 0, ...rest } = query
    let here = 0
    for await (const _ of this.#options.catalogue.find({ ...rest, limit: offset })) here += 1
    return offset - here
  }

  async #elsewhere(query: Query, uids: readonly string[], patientId: string | undefined): Promise<DicomJson[]> {
    const { catalogue, through } = this.#options
    const found: FoundStudy[] = []
    if (uids.length > STUDIES_MAX) return []
    if (uids.length > 0) for (const studyUid of uids) found.push(...(await through.find({ studyUid })))
    else if (patientId !== undefined) found.push(...(await through.find({ patientId })))
    const answers: DicomJson[] = []
    for (const study of found) {
      const { studyUid } = study
      // What a study says of itself counts, wherever it is here.
      if ((await catalogue.studyVersion(studyUid)) !== undefined) continue
      const answer = answerOf(study)
      if (query.match.every((key) => matches(answer, key))) answers.push(answer)
    }
    return answers
  }
}

/** The values of a key that is matched as a whole, without wildcards. */
function exactly(match: readonly MatchKey[], tag: Tag): string[] {
  const key = match.find(({ path }) => path.length === 1 && path[0] === tag)
  if (!key || /[*?]/.test(key.value)) return []
  return tag === STUDY_UID ? key.value.split('\\').map((uid) => uid.trim()) : [key.value]
}

function answerOf({ studyUid, attributes, instances }: FoundStudy): DicomJson {
  const all: DicomJson = { ...attributes }
  all['00080005'] = { vr: 'CS', Value: ['ISO_IR 192'] }
  // PS3.3 C.4.23: it has to be fetched from a slower place first.
  all['00080056'] = { vr: 'CS', Value: ['NEARLINE'] }
  all[STUDY_UID] = { vr: 'UI', Value: [studyUid] }
  if (instances !== undefined) all['00201208'] ??= { vr: 'IS', Value: [instances] }
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { CatalogueReader } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { RunningImport } from './imports.ts'
import type { FoundStudy, ImportRecords, StudyOutcome } from './ports.ts'

/** Studies that readers have brought at the same time, and readers that wait beyond those. */
const AT_ONCE = 4
const WAITING_MAX = 100
/** How long the source may take to say whether it knows a study or a patient. */
const ASK_MS = 5000
/** How long it is believed that a source doesn't know a study. */
const UNKNOWN_MS = 60_000
const UNKNOWN_MAX = 10_000
const STUDIES_OF_PATIENT_MAX = 500

export interface ReadThroughOptions {
  running(): readonly RunningImport[]
  records: Pick<ImportRecords, 'get' | 'study' | 'ofPatient'>
  catalogue: Pick<CatalogueReader, 'studyVersion'>
  warn(message: string, details: object): void
}

/**
 * While an import runs, what it has not brought yet is found and read all the same: the source is asked, and the study that
 * somebody wants comes first. Costs nothing where no import runs.
 */
export class ReadThrough {
  readonly #options: ReadThroughOptions
  readonly #bringing = new Map<string, Promise<StudyOutcome>>()
  readonly #unknown = new Map<string, number>()
  readonly #turns: (() => void)[] = []
  #active = 0

  constructor(options: ReadThroughOptions) {
    this.#options = options
  }

  /**
   * Resolves when the study is here as far as any source of a running import has it. Throws ArchiveError `unavailable` when
   * a source has it and it can't be had from there now, or not in time; `busy` when too many wait.
   */
  async bring(studyUid: string): Promise<void> {
    for (const one of this.#options.running()) {
      if (await this.#isWanting(one, studyUid)) await this.#bringFrom(one, studyUid)
    }
  }

  /** Studies that sources know and that were not taken to their end yet; each once. */
  async find(keys: { studyUid: string } | { patientId: string }): Promise<FoundStudy[]> {
    const found = new Map<string, FoundStudy>()
    for (const one of this.#options.running()) {
      for (const study of await this.#ask(one, keys)) {
        const record = await this.#options.records.study(one.name, study.studyUid)
        if (record?.state !== 'done' && !found.has(study.studyUid)) found.set(study.studyUid, study)
      }
    }
    return [...found.values()]
  }

  /** Whether a source has the study and it was not taken whole. */
  async #isWanting(one: RunningImport, studyUid: string): Promise<boolean> {
    const { records, catalogue } = this.#options
    const study = await records.study(one.name, studyUid)
    if (study?.state === 'done') return false
    if (study?.state === 'failed') {
      // What there is of it is read from here.
      if ((await catalogue.studyVersion(studyUid)) !== undefined) return false
      throw refusal(one.name, study.reason)
    }
    if (study) return true
    if (!one.source.find || (await records.get(one.name))?.listed) return false
    const key = `${one.name} ${studyUid}`
    if ((this.#unknown.get(key) ?? 0) > Date.now()) return false
    if ((await this.#ask(one, { studyUid })).length > 0) return true
    if (this.#unknown.size >= UNKNOWN_MAX) this.#unknown.clear()
    this.#unknown.set(key, Date.now() + UNKNOWN_MS)
    return false
  }

  /** A source that doesn't answer now is spoken for by what was listed of it. */
  async #ask(one: RunningImport, keys: { studyUid?: string; patientId?: string }): Promise<FoundStudy[]> {
    const { records, warn } = this.#options
    if (one.source.find) {
      try {
        return await one.source.find(keys, AbortSignal.any([one.run.signal, AbortSignal.timeout(ASK_MS)]))
      } catch (error) {
        warn('the source of an import could not be asked', { import: one.name, reason: (error as Error).message })
      }
    }
    const { studyUid, patientId } = keys
    if (patientId !== undefined) {
      const studies = await records.ofPatient(one.name, patientId, STUDIES_OF_PATIENT_MAX)
      return studies.map((study) => ({ ...study, instances: study.expected ?? undefined }))
    }
    const study = studyUid === undefined ? undefined : await records.study(one.name, studyUid)
    return study ? [{ ...study, instances: study.expected ?? undefined }] : []
  }

  async #bringFrom({ name, run, readThroughMs }: RunningImport, studyUid: string): Promise<void> {
    const key = `${name} ${studyUid}`
    const work =
      this.#bringing.get(key) ??
      this.#inTurn(() => run.takeNow(studyUid)).finally(() => {
        this.#bringing.delete(key)
      })
    this.#bringing.set(key, work)
    const outcome = await withinTime(work, readThroughMs)
    if (outcome === 'late') {
      throw new ArchiveError(
        'unavailable',
        `the study is being fetched from the old archive (import ${name}), which takes longer than ${readThroughMs / 1000} s; ask again later`,
      )
    }
    if (outcome.state !== 'done') throw refusal(name, outcome.reason)
  }

  async #inTurn(act: () => Promise<StudyOutcome>): Promise<StudyOutcome> {
    if (this.#active >= AT_ONCE) {
      if (this.#turns.length >= WAITING_MAX) {
        throw new ArchiveError('busy', 'too many studies are being fetched from the old archive; ask again later')
      }
      await new Promise<void>((turn) => this.#turns.push(turn))
    }
    this.#active += 1
    try {
      return await act()
    } finally {
      this.#active -= 1
      this.#turns.shift()?.()
    }
  }
}

async function withinTime(work: Promise<StudyOutcome>, ms: number): Promise<StudyOutcome | 'late'> {
  const over = new AbortController()
  const late = sleep(ms, 'late' as const, { signal: over.signal, ref: false })
  late.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    over.abort()
  }
}

function refusal(name: string, reason: string): ArchiveError {
  return new ArchiveError(
    'unavailable',
    `the study is in the old archive (import ${name}), which can't give it: ${reason}`,
  )
}

import type { CatalogueJournal, CatalogueWriter, InstanceRecord } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import { type Actor, SYSTEM } from '../events/event.ts'
import type { RecordEvents } from '../events/ports.ts'
import type { Receive } from '../ingest/ports.ts'
import { Pace, type TimeWindow } from './pace.ts'
import type {
  Finding,
  FoundFile,
  ImportRecord,
  ImportRecords,
  ImportSource,
  ImportStudy,
  ImportTotals,
  StudyState,
} from './ports.ts'
import { ImportRun } from './run.ts'

/** An import as it is configured. */
export interface ImportDefinition {
  name: string
  type: ImportSource['type']
  source(files: (studyUid: string) => AsyncIterable<FoundFile>): ImportSource
  bytesPerSecond?: number | undefined
  window?: TimeWindow | undefined
  parallel: number
  /** Share of instances that are read twice, where the start doesn't say. */
  verify: number
  /** How long a reader waits for a study to come. */
  readThroughMs: number
}

export interface ImportsOptions {
  definitions: readonly ImportDefinition[]
  records: ImportRecords
  receive: Receive
  catalogue: Pick<CatalogueWriter, 'digests'> & Pick<CatalogueJournal, 'byDigest'>
  isIntact(stored: InstanceRecord): Promise<boolean>
  events: RecordEvents
  warn(message: string, details: object): void
}

export interface ImportStatus {
  name: string
  type: ImportSource['type']
  /** `new`: never started. */
  state: ImportRecord['state'] | 'new'
  dryRun: boolean
  verify: number
  /** The source was listed to its end: the totals of what there is are final. */
  listed: boolean
  totals: ImportTotals
  /** Of studies that are being taken now. */
  underway: { instances: number; bytes: number }
  trouble: string | null
  startedAt: string | null
  endedAt: string | null
}

/** An import that is running, and how its readers are served. */
export interface RunningImport {
  name: string
  source: ImportSource
  run: ImportRun
  listOnly: boolean
  readThroughMs: number
}

const NO_TOTALS: ImportTotals = {
  studies: 0,
  done: 0,
  failed: 0,
  listedInstances: 0,
  listedBytes: 0,
  findings: 0,
  expected: 0,
  here: 0,
  stored: 0,
  duplicates: 0,
  conflicts: 0,
  refused: 0,
  missing: 0,
  verified: 0,
  differing: 0,
  bytes: 0,
}

/** The imports of this node: started, stopped, gone on with after a restart, and told of. */
export class Imports {
  readonly #options: ImportsOptions
  readonly #running = new Map<string, RunningImport & { ended: Promise<void> }>()
  /** Why one ended by itself that had not come to its end. */
  readonly #broken = new Map<string, string>()
  #closing = false

  constructor(options: ImportsOptions) {
    this.#options = options
  }

  /** Those that take studies: a dry run serves no readers. */
  get running(): readonly RunningImport[] {
    return [...this.#running.values()].filter(({ listOnly }) => !listOnly)
  }

  async list(): Promise<ImportStatus[]> {
    return Promise.all(this.#options.definitions.map(({ name }) => this.status(name)))
  }

  /** Throws ArchiveError `not_found`. */
  async status(name: string): Promise<ImportStatus> {
    const { type, verify } = this.#definition(name)
    const record = await this.#options.records.get(name)
    const run = this.#running.get(name)?.run
    return {
      name,
      type,
      state: record?.state ?? 'new',
      dryRun: record?.listOnly ?? false,
      verify: record?.verify ?? verify,
      listed: record?.listed ?? false,
      totals: record?.totals ?? NO_TOTALS,
      underway: { instances: run?.instancesSoFar ?? 0, bytes: run?.bytesSoFar ?? 0 },
      trouble: run?.trouble ?? this.#broken.get(name) ?? null,
      startedAt: record?.startedAt ?? null,
      endedAt: record?.endedAt ?? null,
    }
  }

  /**
   * Begins, or goes on where it was stopped; one that is done looks for what is new at its source. `listOnly`: only finds
   * out what there is. Throws ArchiveError `not_found`, `invalid_request`.
   */
  async start(
    name: string,
    { listOnly, verify, again }: { listOnly: boolean; verify?: number | undefined; again: boolean },
    actor: Actor,
  ): Promise<ImportStatus> {
    const definition = this.#definition(name)
    const { records, events } = this.#options
    const running = this.#running.get(name)
    if (running) {
      if ((await records.get(name))?.listOnly === listOnly) return this.status(name)
      throw new ArchiveError('invalid_request', `import ${name} is running; stop it first`)
    }
    const before = await records.get(name)
    const goesOn = before !== undefined && (before.state === 'stopped' || before.state === 'running')
    const share = verify ?? definition.verify
    const source = this.#source(definition)
    await records.begin({ name, listOnly, verify: share, relist: !goesOn || again, again })
    await events.append({
      kind: 'import.started',
      actor,
      subject: { import: name },
      data: { source: definition.type, listOnly, again, verify: String(share) },
    })
    this.#run(definition, source, listOnly, share)
    return this.status(name)
  }

  /** What was taken stays; `start` goes on. Throws ArchiveError `not_found`. */
  async stop(name: string): Promise<ImportStatus> {
    this.#definition(name)
    const running = this.#running.get(name)
    running?.run.stop()
    await running?.ended
    return this.status(name)
  }

  /** What was under way when the node ended. */
  async resume(): Promise<void> {
    for (const definition of this.#options.definitions) {
      const record = await this.#options.records.get(definition.name)
      if (record?.state !== 'running' || this.#running.has(definition.name)) continue
      try {
        this.#run(definition, this.#source(definition), record.listOnly, record.verify)
      } catch (error) {
        const reason = (error as Error).message
        this.#broken.set(definition.name, reason)
        this.#options.warn('an import could not be gone on with', { import: definition.name, reason })
      }
    }
  }

  /** Breaks off what is under way; it is gone on with at the next start. */
  async close(): Promise<void> {
    this.#closing = true
    for (const { run } of this.#running.values()) run.stop()
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
  }

  studies(name: string, options: { after: number; limit: number; state?: StudyState }): Promise<ImportStudy[]> {
    this.#definition(name)
    return this.#options.records.studies(name, options)
  }

  findings(name: string, options: { after: number; limit: number }): Promise<(Finding & { id: number })[]> {
    this.#definition(name)
    return this.#options.records.findings(name, options)
  }

  #definition(name: string): ImportDefinition {
    const found = this.#options.definitions.find((one) => one.name === name)
    if (found) return found
    const names = this.#options.definitions.map((one) => one.name).join(', ')
    throw new ArchiveError(
      'not_found',
      `no import is called ${name}; ${names ? `there are ${names}` : 'none is configured (imports)'}`,
    )
  }

  #source(definition: ImportDefinition): ImportSource {
    return definition.source((studyUid) => this.#options.records.files(definition.name, studyUid))
  }

  #run(definition: ImportDefinition, source: ImportSource, listOnly: boolean, verify: number): void {
    if (this.#closing) return
    const { name, parallel, readThroughMs } = definition
    const { records, receive, catalogue, isIntact, warn } = this.#options
    const pace = new Pace(definition)
    const run = new ImportRun({ name, source, records, receive, catalogue, isIntact, pace, parallel, warn }, verify)
    this.#broken.delete(name)
    const ended = this.#toEnd(name, run, listOnly).finally(() => this.#running.delete(name))
    this.#running.set(name, { name, source, run, listOnly, readThroughMs, ended })
  }

  async #toEnd(name: string, run: ImportRun, listOnly: boolean): Promise<void> {
    const { records, warn } = this.#options
    try {
      const whole = await run.run(listOnly)
      // One that the node's own end has broken off stays `running`, and goes on with the next start.
      if (!whole && this.#closing) return
      await this.#finish(name, whole ? (listOnly ? 'listed' : 'done') : 'stopped')
    } catch (error) {
      const reason = (error as Error).message
      this.#broken.set(name, reason)
      warn('an import was broken off', { import: name, reason })
      run.stop()
      if (!this.#closing) await records.end(name, 'stopped').catch(() => undefined)
    }
  }

  async #finish(name: string, state: 'done' | 'listed' | 'stopped'): Promise<void> {
    const { records, events } = this.#options
    const totals = (await records.get(name))?.totals ?? NO_TOTALS
    const { studies, done, failed, expected, here, bytes, findings } = totals
    // The event first: without it the import is not over, and the next start of the node says it again.
    await events.append({
      kind: 'import.finished',
      actor: SYSTEM,
      subject: { import: name },
      data: { state, studies, done, failed, instances: expected, here, bytes, findings },
    })
    await records.end(name, state)
  }
}

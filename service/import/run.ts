import { setTimeout as sleep } from 'node:timers/promises'
import { ArchiveError, isArchiveError } from '../errors.ts'
import type { Pace } from './pace.ts'
import { type ImportRecords, type ImportStudy, NO_RESULT, type StudyOutcome } from './ports.ts'
import { importStudy, type StudyImportOptions } from './study.ts'

const PAGE = 100
/** A study that failed so often is left for the next start. */
const ATTEMPTS_MAX = 3
/** After so many failures in a row it is the source that fails, not the studies. */
const FAILURES_IN_A_ROW = 5
const PAUSE_MS_MAX = 60_000
/** The time of day is looked at again after this, since clocks are set. */
const CLOSED_LOOK_MS = 60_000
const LISTING_LOOK_MS = 200

export interface RunOptions extends StudyImportOptions {
  records: ImportRecords
  pace: Pace
  /** Studies that are taken side by side. */
  parallel: number
  warn(message: string, details: object): void
}

/** One import under way: lists the source and takes study after study, until all are done or it is stopped. */
export class ImportRun {
  readonly #options: RunOptions
  readonly #verify: number
  readonly #stopping = new AbortController()
  /** Studies being taken now, by UID: whoever wants one waits for the same work. */
  readonly #underway = new Map<string, Promise<StudyOutcome>>()
  /** Of those, the ones that somebody waits for. */
  readonly #urgent = new Set<string>()
  #failuresInARow = 0
  /** Why it does not go on now; undefined when it does. */
  trouble: string | undefined
  /** Of studies that are not done yet. */
  bytesSoFar = 0
  instancesSoFar = 0

  constructor(options: RunOptions, verify: number) {
    this.#options = options
    this.#verify = verify
  }

  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  stop(): void {
    this.#stopping.abort(new ArchiveError('unavailable', `import ${this.#options.name} was stopped`))
  }

  /** Resolves with true when all that there was to do is done, with false when it was stopped. */
  async run(listOnly: boolean): Promise<boolean> {
    let listing = true
    const listed = this.#list().finally(() => {
      listing = false
    })
    listed.catch(() => undefined)
    if (listOnly) await listed.catch(() => undefined)
    else await this.#takeAll(() => listing)
    if (this.signal.aborted) {
      await Promise.allSettled(this.#underway.values())
      return false
    }
    await listed
    return true
  }

  /** Takes a study now, ahead of the others and without regard to the pace: somebody waits for it. */
  async takeNow(studyUid: string): Promise<StudyOutcome> {
    this.#urgent.add(studyUid)
    try {
      return await this.#take(studyUid, 0)
    } finally {
      this.#urgent.delete(studyUid)
    }
  }

  async #list(): Promise<void> {
    const { records, name, source, warn } = this.#options
    for (let failures = 0; !this.signal.aborted; failures += 1) {
      try {
        const record = await records.get(name)
        if (record?.listed) return
        await this.#untilOpen()
        for await (const page of source.list(record?.cursor ?? undefined, this.signal)) {
          await records.listed(name, page)
          failures = 0
          this.trouble = undefined
          await this.#untilOpen()
        }
        await records.listingDone(name)
        return
      } catch (error) {
        if (this.signal.aborted) return
        const reason = (error as Error).message
        if (!isArchiveError(error)) throw error
        this.trouble = `the source can't be listed: ${reason}`
        warn('the source of an import could not be listed; it is tried again', { import: name, reason })
        await this.#pause(Math.min(PAUSE_MS_MAX, 1000 * 2 ** failures))
      }
    }
  }

  async #takeAll(isListing: () => boolean): Promise<void> {
    const { records, name, parallel } = this.#options
    for (let after = 0; !this.signal.aborted; ) {
      // Asked before the page is: what was listed in between is found by the next one.
      const mayGrow = isListing()
      const page = await records.studies(name, { after, limit: PAGE, state: 'waiting' })
      await inParallel(parallel, page, (study) => this.#takeInTurn(study))
      after = page.at(-1)?.id ?? 0
      if (page.length > 0) continue
      if (!mayGrow && (await this.#nothingWaits())) return
      if (mayGrow) await this.#pause(LISTING_LOOK_MS)
    }
  }

  async #nothingWaits(): Promise<boolean> {
    const { records, name } = this.#options
    return (await records.studies(name, { after: 0, limit: 1, state: 'waiting' })).length === 0
  }

  async #takeInTurn(study: ImportStudy): Promise<void> {
    await this.#untilOpen()
    if (this.signal.aborted) return
    try {
      const { state } = await this.#take(study.studyUid, study.attempts)
      if (state === 'done') {
        this.#failuresInARow = 0
        this.trouble = undefined
        return
      }
    } catch (error) {
      if (this.signal.aborted) return
      this.trouble = (error as Error).message
    }
    this.#failuresInARow += 1
    await this.#pause(Math.min(PAUSE_MS_MAX, 500 * 2 ** Math.min(10, this.#failuresInARow)))
  }

  /** Until the time of day permits to go on. */
  async #untilOpen(): Promise<void> {
    const { pace } = this.#options
    for (let ms = pace.closedForMs(); ms > 0 && !this.signal.aborted; ms = pace.closedForMs()) {
      this.trouble = `waits for its time of day, ${Math.ceil(ms / 60_000)} minutes from now`
      await this.#pause(Math.min(ms, CLOSED_LOOK_MS))
      this.trouble = undefined
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.signal }).catch(() => undefined)
  }

  /** No faster than the pace allows, unless somebody waits for the study. */
  async #spend(studyUid: string, bytes: number): Promise<void> {
    if (this.#urgent.has(studyUid)) this.signal.throwIfAborted()
    else await this.#options.pace.take(bytes, this.signal)
  }

  #take(studyUid: string, attempts: number): Promise<StudyOutcome> {
    const known = this.#underway.get(studyUid)
    if (known) return known
    const work = this.#takeOnce(studyUid, attempts).finally(() => this.#underway.delete(studyUid))
    this.#underway.set(studyUid, work)
    return work
  }

  async #takeOnce(studyUid: string, attempts: number): Promise<StudyOutcome> {
    const { records, name, warn } = this.#options
    let [bytes, instances] = [0, 0]
    const progress = (moreBytes: number, moreInstances: number): void => {
      bytes += moreBytes
      instances += moreInstances
      this.bytesSoFar += moreBytes
      this.instancesSoFar += moreInstances
    }
    let outcome: StudyOutcome
    try {
      const spend = (more: number) => this.#spend(studyUid, more)
      const how = { verify: this.#verify, spend, progress, signal: this.signal }
      const found = await importStudy(this.#options, studyUid, how)
      outcome = { studyUid, state: 'done', attempts, reason: '', ...found }
    } catch (error) {
      this.signal.throwIfAborted()
      const reason = (error as Error).message
      warn('a study could not be imported', { import: name, reason })
      outcome = this.#failed(studyUid, attempts, reason)
    } finally {
      this.bytesSoFar -= bytes
      this.instancesSoFar -= instances
    }
    await records.settle(name, outcome)
    return outcome
  }

  /** While nothing works, it is the source that fails: its studies keep their attempts. */
  #failed(studyUid: string, attempts: number, reason: string): StudyOutcome {
    const counted = this.#failuresInARow < FAILURES_IN_A_ROW ? attempts + 1 : attempts
    const state = counted >= ATTEMPTS_MAX ? 'failed' : 'waiting'
    const findings = state === 'failed' ? [{ studyUid, kind: 'failed' as const, object: studyUid, detail: reason }] : []
    return { studyUid, state, attempts: counted, reason, result: { ...NO_RESULT }, findings }
  }
}

async function inParallel<Item>(
  count: number,
  items: readonly Item[],
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const left = [...items]
  const work = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item)
  }
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, work))
}

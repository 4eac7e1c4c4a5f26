import { join } from 'node:path'
import type { Pack } from '../catalogue/ports.ts'
import { isArchiveError } from '../errors.ts'
import { ReportFile } from './report-file.ts'

const PAGE = 1000

export interface DrainTotals {
  moved: number
  movedBytes: number
}

/**
 * What was moved off a store, a line for each pack, with its digest and where it is now. A line is written before the copy
 * here is freed, so none is missing after a crash; packs are moved one after the other, so where a pack has two lines side
 * by side the second one counts.
 */
export class DrainList {
  readonly #file: ReportFile

  constructor(folder: string, store: string) {
    this.#file = new ReportFile(join(folder, `drain-${store}.jsonl`))
  }

  /** A drain that begins has a list of its own; one that goes on goes on with its list. */
  async begin(goesOn: boolean): Promise<DrainTotals> {
    if (!goesOn) await this.#file.begin()
    return this.totals()
  }

  moved(pack: Pack, to: readonly string[]): Promise<void> {
    return this.#append(pack, { result: 'moved', to })
  }

  /** Its bytes were left behind when it was moved, and are freed now. */
  swept(pack: Pack, to: readonly string[]): Promise<void> {
    return this.#append(pack, { result: 'swept', to })
  }

  stayed(pack: Pack, reason: string): Promise<void> {
    return this.#append(pack, { result: 'stayed', reason })
  }

  page(after: number, limit: number) {
    return this.#file.page(after, limit)
  }

  /** Of the whole list, also of what was moved before a restart. */
  async totals(): Promise<DrainTotals> {
    const totals = { moved: 0, movedBytes: 0 }
    let last: Record<string, unknown> = {}
    /** Said to stay, though all but the freeing may have been done. */
    const stayed = new Set<unknown>()
    const count = (row: Record<string, unknown>): void => {
      const counts = last.result === 'swept' ? stayed.delete(last.key) : last.result === 'moved' && last.key !== row.key
      if (last.result === 'stayed') stayed.add(last.key)
      if (counts) {
        stayed.delete(last.key)
        totals.moved += 1
        totals.movedBytes += Number(last.sizeBytes)
      }
      last = row
    }
    for await (const row of this.#rows()) count(row)
    count({})
    return totals
  }

  async digest(): Promise<string> {
    return (await this.#file.digest()).sha256
  }

  async *#rows(): AsyncGenerator<Record<string, unknown>> {
    for (let after: number | null = 0; after !== null; ) {
      const page: Awaited<ReturnType<ReportFile['page']>> = await this.#file.page(after, PAGE).catch((error) => {
        if (isArchiveError(error, 'not_found')) return { rows: [], next: null }
        throw error
      })
      yield* page.rows
      after = page.next
    }
  }

  async #append({ key, studyUid, sha256, sizeBytes, instanceCount }: Pack, more: object): Promise<void> {
    const at = new Date().toISOString()
    await this.#file.append({ key, studyUid, sha256, sizeBytes, instances: instanceCount, ...more, at })
  }
}

/** What a source answers of a range of study dates. */
export interface WindowAnswer<Study> {
  studies: Study[]
  /** There are more than it gave. */
  more: boolean
}

export interface WindowOptions<Study> {
  /** Asks for studies of these dates, both included, `YYYYMMDD`; at most some of them, beginning at `offset`. */
  ask(from: string, to: string, offset: number): Promise<WindowAnswer<Study>>
  /** What tells one study from another. */
  uidOf(study: Study): string
  /** The last day that is asked for, `YYYYMMDD`. */
  until: string
  /** Nothing was imaged before this day. */
  since?: string
}

const DAY_MS = 24 * 3_600_000
const DAYS_MAX = 3650
const DAYS_FIRST = 30

/** A window that was asked for whole, and where the next older one ends. */
export interface WindowStep<Study> {
  studies: Study[]
  /** Empty when the last window was this one. */
  next: string
  /** A day has more studies than the source gives, however it is asked. */
  cut: string | undefined
}

/**
 * Lists a source that gives only some studies at a time, day by day where there are many, years at once where there are few;
 * the newest first, because they are wanted most. Many sources cap their answers without saying so and know no offset, so
 * a window whose answer may be cut is asked for again in halves.
 */
export async function* dateWindows<Study>(options: WindowOptions<Study>): AsyncGenerator<WindowStep<Study>> {
  const since = dayOf(options.since ?? '19000101')
  let days = DAYS_FIRST
  for (let to = dayOf(options.until); to >= since; ) {
    const from = Math.max(since, to - (days - 1) * DAY_MS)
    const answer = await options.ask(textOf(from), textOf(to), 0)
    if (answer.more && from < to) {
      days = Math.max(1, Math.floor((to - from) / DAY_MS + 1) >> 1)
      continue
    }
    const rest = answer.more ? await restOfDay(options, textOf(to), answer.studies) : { studies: [], isCut: false }
    const next = from - DAY_MS
    yield {
      studies: [...answer.studies, ...rest.studies],
      next: next >= since ? textOf(next) : '',
      cut: rest.isCut ? textOf(to) : undefined,
    }
    to = next
    if (!answer.more) days = Math.min(DAYS_MAX, days * 2)
  }
}

/** Page by page. A source that gives the same again knows no offset. */
async function restOfDay<Study>(
  { ask, uidOf }: WindowOptions<Study>,
  day: string,
  first: readonly Study[],
): Promise<{ studies: Study[]; isCut: boolean }> {
  const seen = new Set(first.map(uidOf))
  const studies: Study[] = []
  for (let more = true; more; ) {
    const answer = await ask(day, day, seen.size)
    const fresh = answer.studies.filter((study) => !seen.has(uidOf(study)))
    for (const study of fresh) seen.add(uidOf(study))
    studies.push(...fresh)
    if (answer.more && fresh.length === 0) return { studies, isCut: true }
    more = answer.more
  }
  return { studies, isCut: false }
}

function dayOf(text: string): number {
  return Date.UTC(Number(text.slice(0, 4)), Number(text.slice(4, 6)) - 1, Number(text.slice(6, 8)))
}

export function textOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10).replaceAll('-', '')
}

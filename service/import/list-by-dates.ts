import { dateWindows, textOf, type WindowAnswer } from './date-windows.ts'
import type { Finding, FoundStudy, ListedPage } from './ports.ts'

const REST = 'rest '
const DAY_MS = 24 * 3_600_000

export interface ListByDatesOptions {
  /** Studies of a range of dates, `YYYYMMDD-YYYYMMDD`, of all where there is none, beginning at `offset`. */
  ask(dates: string | undefined, offset: number): Promise<WindowAnswer<FoundStudy>>
  /** All studies in one answer, where the protocol knows no offset. */
  all?(): AsyncIterable<FoundStudy>
}

const STUDIES_PER_PAGE = 200

/**
 * All studies of an archive that answers queries: by their dates, the newest first, then all once more for those that have no
 * date. The cursor is the day that comes next, or how far the second round is.
 */
export async function* listByDates(
  cursor: string | undefined,
  options: ListByDatesOptions,
): AsyncGenerator<ListedPage> {
  if (!cursor?.startsWith(REST)) {
    const windows = dateWindows({
      ask: (from, to, offset) => options.ask(`${from}-${to}`, offset),
      uidOf: (study: FoundStudy) => study.studyUid,
      // The source's clock may be a day ahead.
      until: cursor ?? textOf(Date.now() + DAY_MS),
    })
    for await (const { studies, next, cut } of windows) {
      const findings: Finding[] = cut === undefined ? [] : [incomplete(`study date ${cut}`)]
      yield { studies, findings, cursor: next === '' ? `${REST}0` : next }
    }
  }
  if (options.all) yield* inPages(options.all())
  else yield* rest(cursor?.startsWith(REST) ? Number(cursor.slice(REST.length)) : 0, options.ask)
}

async function* inPages(all: AsyncIterable<FoundStudy>): AsyncGenerator<ListedPage> {
  let studies: FoundStudy[] = []
  for await (const study of all) {
    studies.push(study)
    if (studies.length < STUDIES_PER_PAGE) continue
    yield { studies, cursor: `${REST}0` }
    studies = []
  }
  yield { studies, cursor: `${REST}0` }
}

/** A source that knows no offset gives its first studies again and again: then those without date may be missing. */
async function* rest(from: number, ask: ListByDatesOptions['ask']): AsyncGenerator<ListedPage> {
  let first: string | undefined
  for (let offset = from; ; ) {
    const { studies, more } = await ask(undefined, offset)
    const isAgain = offset > from && studies[0] !== undefined && studies[0].studyUid === first
    first ??= studies[0]?.studyUid
    offset += studies.length
    const findings: Finding[] = isAgain ? [incomplete('studies without date')] : []
    yield { studies: isAgain ? [] : studies, findings, cursor: `${REST}${offset}` }
    if (!more || isAgain || studies.length === 0) return
  }
}

function incomplete(object: string): Finding {
  const detail = 'the source gives no more than these, however it is asked; there may be others'
  return { studyUid: '', kind: 'listing', object, detail }
}

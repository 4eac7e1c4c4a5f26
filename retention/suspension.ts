import { addDays, type CivilDate, compareDates, dayNumber, laterOf } from './dates/civil.ts'
import { happenedWithin, type ReadFacts } from './facts.ts'

export interface Suspensions {
  /** Ids of events that have not ended: as long as there are any, nothing expires. */
  readonly open: readonly string[]
  /** Those that have ended, in order, without overlap; both days belong to it. */
  readonly ended: readonly { readonly from: CivilDate; readonly to: CivilDate }[]
}

/** When periods stood still because of events of a kind (a claim). Of days known in part the longest reading counts. */
export function suspensions(read: ReadFacts, kind: string): Suspensions {
  const open: string[] = []
  const ended: { from: CivilDate; to: CivilDate }[] = []
  for (const event of read.events) {
    if (event.kind !== kind) continue
    const ends = read.events.filter((other) => other.kind === 'ended' && other.ends === event.id).map(happenedWithin)
    if (ends.length === 0) open.push(event.id)
    else ended.push({ from: happenedWithin(event).from, to: ends.map(({ to }) => to).reduce(laterOf) })
  }
  return { open: open.sort(), ended: merged(ended) }
}

function merged(intervals: readonly { from: CivilDate; to: CivilDate }[]): { from: CivilDate; to: CivilDate }[] {
  const inOrder = [...intervals].sort((a, b) => compareDates(a.from, b.from))
  const result: { from: CivilDate; to: CivilDate }[] = []
  for (const { from, to } of inOrder) {
    const before = result.at(-1)
    if (before && compareDates(from, addDays(before.to, 1)) <= 0) before.to = laterOf(before.to, to)
    else result.push({ from, to: laterOf(from, to) })
  }
  return result
}

/**
 * The end of a period that stood still: it grows by every day of a suspension that lies between its start and its end.
 * What began after the end changes nothing any more.
 */
export function extend(start: CivilDate, end: CivilDate, { ended }: Suspensions): CivilDate {
  let extended = end
  for (const { from, to } of ended) {
    if (compareDates(from, extended) > 0) break
    const first = laterOf(from, start)
    if (compareDates(first, to) <= 0) extended = addDays(extended, dayNumber(to) - dayNumber(first) + 1)
  }
  return extended
}

import type { Clock, CopyId, DigestAnswer, DigestEntry, DigestRange, DigestSum } from './ports.ts'
import { PeerError } from './ports.ts'

type AskDigests = (range: DigestRange) => Promise<DigestAnswer>

export interface CompareOptions {
  mine: AskDigests
  theirs: AskDigests
  /** Which of these, found at one site only, the other one really lacks now: they may have come meanwhile. */
  lackedThere(entries: DigestEntry[]): Promise<boolean[]>
  lackedHere(entries: DigestEntry[]): Promise<boolean[]>
  /** Called with differences that were confirmed, some at a time. */
  onlyHere(copies: CopyId[]): Promise<void>
  onlyThere(copies: CopyId[]): Promise<void>
  clock: Clock
  signal: AbortSignal
}

export interface Comparison {
  /** Copies that this site has. */
  compared: number
  onlyHere: number
  onlyThere: number
}

/** A list of so many copies crosses the line in one piece; more of them are summed in smaller parts. */
export const LIST_MAX = 4096
/** Copies on their way get so long to arrive before they count as missing. */
const SETTLE_MS = 1000
const ASK_MAX = 1000

/**
 * Compares what both sites hold by sums over ranges of digests, and descends only where they differ: sites that agree
 * exchange 256 sums. No clock and no queue is asked; what is on its way meanwhile is told apart by asking once more.
 */
export async function compare(options: CompareOptions): Promise<Comparison> {
  const found: Comparison = { compared: 0, onlyHere: 0, onlyThere: 0 }
  await compareParts(options, '', found)
  return found
}

async function compareParts(options: CompareOptions, prefix: string, found: Comparison): Promise<void> {
  options.signal.throwIfAborted()
  const [mine, theirs] = await Promise.all([
    options.mine({ prefix, list: false }).then(parts),
    options.theirs({ prefix, list: false }).then(parts),
  ])
  const keys = [...new Set([...mine.keys(), ...theirs.keys()])].sort()
  for (const key of keys) {
    const [here, there] = [mine.get(key), theirs.get(key)]
    if (prefix === '') found.compared += here?.count ?? 0
    if (here?.hash === there?.hash) continue
    const most = Math.max(here?.count ?? 0, there?.count ?? 0)
    if (most > LIST_MAX && key.length < 16) await compareParts(options, key, found)
    else await compareLists(options, key, found)
  }
}

function parts(answer: DigestAnswer): Map<string, DigestSum> {
  if (!('parts' in answer)) throw new PeerError('refused', 'sums were asked for')
  return new Map(answer.parts.map((part) => [part.prefix, part]))
}

async function compareLists(options: CompareOptions, prefix: string, found: Comparison): Promise<void> {
  const [mine, theirs] = await Promise.all([
    options.mine({ prefix, list: true }).then(list),
    options.theirs({ prefix, list: true }).then(list),
  ])
  const here = [...mine].filter(([key]) => !theirs.has(key)).map(([, entry]) => entry)
  const there = [...theirs].filter(([key]) => !mine.has(key)).map(([, entry]) => entry)
  found.onlyHere += await confirm(options, here, options.lackedThere, options.onlyHere)
  found.onlyThere += await confirm(options, there, options.lackedHere, options.onlyThere)
}

function list(answer: DigestAnswer): Map<string, DigestEntry> {
  if (!('copies' in answer)) throw new PeerError('refused', 'copies were asked for')
  return new Map(answer.copies.map((entry) => [`${entry.sha256} ${entry.sopInstanceUid} ${entry.served}`, entry]))
}

/** Resolves with how many of them are missing indeed. */
async function confirm(
  { clock, signal }: CompareOptions,
  entries: readonly DigestEntry[],
  lacked: (entries: DigestEntry[]) => Promise<boolean[]>,
  missing: (copies: CopyId[]) => Promise<void>,
): Promise<number> {
  let count = 0
  for (let at = 0; at < entries.length; at += ASK_MAX) {
    let some = entries.slice(at, at + ASK_MAX)
    for (let round = 0; round < 2 && some.length > 0; round++) {
      if (round > 0) await clock.sleep(SETTLE_MS, signal)
      const answers = await lacked(some)
      some = some.filter((_, index) => answers[index])
    }
    if (some.length > 0) await missing(some.map(({ sopInstanceUid, sha256 }) => ({ sopInstanceUid, sha256 })))
    count += some.length
  }
  return count
}

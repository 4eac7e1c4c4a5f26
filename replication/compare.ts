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
  const run: Run = { options, compared: 0, here: new Suspects(options, 'here'), there: new Suspects(options, 'there') }
  await compareParts(run, '')
  await Promise.all([run.here.confirm(), run.there.confirm()])
  return { compared: run.compared, onlyHere: run.here.missing, onlyThere: run.there.missing }
}

interface Run {
  options: CompareOptions
  compared: number
  here: Suspects
  there: Suspects
}

async function compareParts(run: Run, prefix: string): Promise<void> {
  const { mine: askMine, theirs: askTheirs, signal } = run.options
  signal.throwIfAborted()
  const [mine, theirs] = await Promise.all([
    askMine({ prefix, list: false }).then(parts),
    askTheirs({ prefix, list: false }).then(parts),
  ])
  for (const key of [...new Set([...mine.keys(), ...theirs.keys()])].sort()) {
    const [here, there] = [mine.get(key), theirs.get(key)]
    if (prefix === '') run.compared += here?.count ?? 0
    if (here?.hash === there?.hash) continue
    const most = Math.max(here?.count ?? 0, there?.count ?? 0)
    if (most > LIST_MAX && key.length < 16) await compareParts(run, key)
    else await compareLists(run, key)
  }
}

function parts(answer: DigestAnswer): Map<string, DigestSum> {
  if (!('parts' in answer)) throw new PeerError('refused', 'sums were asked for')
  return new Map(answer.parts.map((part) => [part.prefix, part]))
}

async function compareLists(run: Run, prefix: string): Promise<void> {
  const [mine, theirs] = await Promise.all([
    run.options.mine({ prefix, list: true }).then(list),
    run.options.theirs({ prefix, list: true }).then(list),
  ])
  await run.here.add([...mine].filter(([key]) => !theirs.has(key)).map(([, entry]) => entry))
  await run.there.add([...theirs].filter(([key]) => !mine.has(key)).map(([, entry]) => entry))
}

function list(answer: DigestAnswer): Map<string, DigestEntry> {
  if (!('copies' in answer)) throw new PeerError('refused', 'copies were asked for')
  return new Map(answer.copies.map((entry) => [`${entry.sha256} ${entry.sopInstanceUid} ${entry.served}`, entry]))
}

/** Copies that were found at one site only, until it was asked once more whether the other one lacks them. */
class Suspects {
  missing = 0
  readonly #options: CompareOptions
  readonly #at: 'here' | 'there'
  #entries: DigestEntry[] = []

  constructor(options: CompareOptions, at: 'here' | 'there') {
    this.#options = options
    this.#at = at
  }

  async add(entries: readonly DigestEntry[]): Promise<void> {
    this.#entries.push(...entries)
    while (this.#entries.length >= ASK_MAX) await this.#ask(this.#entries.splice(0, ASK_MAX))
  }

  async confirm(): Promise<void> {
    if (this.#entries.length > 0) await this.#ask(this.#entries.splice(0))
  }

  async #ask(entries: DigestEntry[]): Promise<void> {
    const { clock, signal, onlyHere, onlyThere } = this.#options
    let left = await this.#lacked(entries)
    // Where thousands are missing the few that are on their way make no difference.
    if (left.length > 0 && this.missing === 0) {
      await clock.sleep(SETTLE_MS, signal)
      left = await this.#lacked(left)
    }
    this.missing += left.length
    if (left.length === 0) return
    const copies = left.map(({ sopInstanceUid, sha256 }) => ({ sopInstanceUid, sha256 }))
    await (this.#at === 'here' ? onlyHere(copies) : onlyThere(copies))
  }

  async #lacked(entries: DigestEntry[]): Promise<DigestEntry[]> {
    const { lackedThere, lackedHere } = this.#options
    const answers = await (this.#at === 'here' ? lackedThere(entries) : lackedHere(entries))
    return entries.filter((_, index) => answers[index])
  }
}

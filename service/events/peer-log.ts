import { ArchiveError } from '../errors.ts'
import { Chain, type ChainOptions } from './chain.ts'
import type { Event, Head } from './event.ts'
import { ChainCheck, LineFault } from './line.ts'
import { linesIn } from './read.ts'
import { BATCH_BYTES_MAX } from './recover.ts'
import { ChainView } from './view.ts'

/** What became of lines that another site sent. Whatever isn't `appended` has changed nothing. */
export type ImportOutcome =
  /** They go on where the chain ended. Those that were here already are passed over, after they were compared. */
  | { outcome: 'appended'; events: number; head: Head }
  /** All of it was here already, as it is. */
  | { outcome: 'replay'; head: Head }
  /** Something is missing in between: send what follows `head`. */
  | { outcome: 'gap'; head: Head }
  /** Both have an event of this number, and not the same: the other site's history was rewritten, or it is another site. */
  | { outcome: 'fork'; ours: Head; theirs: Head }
  /** It is no chain in itself, or one of another site. */
  | { outcome: 'broken'; why: string }

/**
 * Another site's events, kept byte for byte as they came, in a folder of their own. It takes nothing but what continues
 * the chain it has. On a site's own folder, while no EventLog is open there, it brings back what a restored site has lost.
 */
export class PeerLog extends ChainView {
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  /** Opens for reading only where the files aren't as they should be: `trouble` says why. */
  static async open(options: ChainOptions): Promise<PeerLog> {
    return new PeerLog(await Chain.open(options))
  }

  /**
   * Takes whole lines, at most 1 MiB at once; they are durable when it resolves with `appended`. One call after the
   * other. Throws RangeError for more, ArchiveError as `EventLog.append` does.
   */
  import(lines: Buffer): Promise<ImportOutcome> {
    const done = this.#last.then(() => this.#import(lines))
    this.#last = done.catch(() => undefined)
    return done
  }

  override async close(): Promise<void> {
    this.#closed = true
    await this.#last
    await super.close()
  }

  async #import(lines: Buffer): Promise<ImportOutcome> {
    if (this.#closed) throw new ArchiveError('unavailable', 'the event log is closed')
    this.chain.assertWritable()
    if (lines.length > BATCH_BYTES_MAX) throw new RangeError(`${lines.length} bytes of events at once`)
    const { head } = this
    try {
      const { events, ends } = decode(lines, this.site)
      const [first] = events
      if (!first) return { outcome: 'replay', head }
      if (first.seq > head.seq + 1) return { outcome: 'gap', head }
      const fork = await this.#forkIn(events, first)
      if (fork) return { outcome: 'fork', ...fork }
      const last = events.at(-1) as Event
      if (last.seq <= head.seq) return { outcome: 'replay', head }
      const old = head.seq + 1 - first.seq
      await this.chain.append(lines.subarray(old === 0 ? 0 : ends[old - 1]), { seq: last.seq, hash: last.hash })
      return { outcome: 'appended', events: events.length - old, head: this.head }
    } catch (error) {
      if (error instanceof LineFault) return { outcome: 'broken', why: error.message }
      throw error
    }
  }

  /** The first place at which what came and what is here have each an event, and not the same. */
  async #forkIn(events: readonly Event[], first: Event): Promise<{ ours: Head; theirs: Head } | undefined> {
    if (first.seq === this.head.seq + 1) {
      const theirs = { seq: first.seq - 1, hash: first.prev }
      return theirs.hash === this.head.hash ? undefined : { ours: this.head, theirs }
    }
    for await (const ours of this.read({ after: first.seq - 1, limit: events.length })) {
      const theirs = events[ours.seq - first.seq] as Event
      if (theirs.hash !== ours.hash) return { ours: headOf(ours), theirs: headOf(theirs) }
    }
    return undefined
  }
}

const headOf = ({ seq, hash }: Event): Head => ({ seq, hash })

/** Throws LineFault unless all of it is whole lines that follow one another. */
function decode(bytes: Buffer, site: string): { events: Event[]; ends: number[] } {
  const check = new ChainCheck(undefined, site)
  const events: Event[] = []
  const ends: number[] = []
  for (const line of linesIn(bytes)) {
    if (!line.whole) throw new LineFault('truncated', 'the last line does not end')
    events.push(check.accept(line.bytes))
    ends.push(line.offset + line.bytes.length + 1)
  }
  return { events, ends }
}

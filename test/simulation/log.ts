import { createHash } from 'node:crypto'
import type { EventChain, Head, PeerChain } from '../../replication/ports.ts'
import { EMPTY } from '../../service/events/event.ts'

export interface Line extends Head {
  site: string
  prev: string
  text: string
}

const hashOf = (site: string, prev: string, seq: number, text: string): string =>
  createHash('sha256').update(`${site} ${prev} ${seq} ${text}`).digest('hex')

export const encode = (lines: readonly Line[]): Buffer =>
  Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
export const decode = (bytes: Buffer): Line[] =>
  bytes
    .toString()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line)

/** Waits for the disk; the promise never resolves when the site died meanwhile. */
export type Step = (what: string) => Promise<void>

/**
 * A site's hash-chained log, its own or the other site's, with the outcomes of service/events. `lines` is what is
 * durable: nobody sees anything else.
 */
export class SimLog implements EventChain, PeerChain {
  readonly site: string
  readonly #lines: Line[]
  readonly #step: Step
  readonly #waiting = new Set<() => void>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(site: string, lines: Line[], step: Step) {
    this.site = site
    this.#lines = lines
    this.#step = step
  }

  get head(): Head {
    const last = this.#lines.at(-1)
    return last ? { seq: last.seq, hash: last.hash } : EMPTY
  }

  async has({ seq, hash }: Head): Promise<boolean> {
    if (seq === 0) return hash === EMPTY.hash
    return this.#lines[seq - 1]?.hash === hash
  }

  after(seq: number): Line[] {
    return this.#lines.slice(seq, seq + 50)
  }

  append(text: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#step('write event')
      await this.#step('sync event')
      const { seq, hash: prev } = this.head
      this.#add([{ site: this.site, prev, seq: seq + 1, text, hash: hashOf(this.site, prev, seq + 1, text) }])
    })
  }

  import(bytes: Buffer): Promise<{ outcome: 'appended' | 'replay' | 'gap' | 'fork' | 'broken' }> {
    return this.#inTurn(async () => {
      const lines = decode(bytes)
      const first = lines[0]
      if (!first) return { outcome: 'replay' }
      if (lines.some(({ site, prev, seq, text, hash }) => site !== this.site || hashOf(site, prev, seq, text) !== hash))
        return { outcome: 'broken' }
      if (first.seq > this.head.seq + 1) return { outcome: 'gap' }
      if (first.seq > 1 && this.#lines[first.seq - 2]?.hash !== first.prev) return { outcome: 'fork' }
      if (lines.some(({ seq, hash }) => seq <= this.head.seq && this.#lines[seq - 1]?.hash !== hash))
        return { outcome: 'fork' }
      const fresh = lines.filter(({ seq }) => seq > this.head.seq)
      if (fresh.length === 0) return { outcome: 'replay' }
      await this.#step('write events')
      await this.#step('sync events')
      this.#add(fresh)
      return { outcome: 'appended' }
    })
  }

  /** Resolves when there is more than this. */
  moved(after: number): Promise<void> {
    if (this.head.seq > after) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  #add(lines: Line[]): void {
    this.#lines.push(...lines)
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }
}

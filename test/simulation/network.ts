import {
  type CopyId,
  type DigestAnswer,
  type DigestEntry,
  type DigestRange,
  type Hello,
  PeerError,
  type PeerLink,
  type Sending,
} from '../../replication/ports.ts'
import { refusalFor } from '../../service/peer/server.ts'
import type { Scheduler } from './scheduler.ts'

export type Name = 'A' | 'B'
export const other = (name: Name): Name => (name === 'A' ? 'B' : 'A')

type Finish = Parameters<Sending['finish']>[0]
type Sent = Parameters<PeerLink['send']>[0]

/** What goes over the line, each with its answer. */
export interface Calls {
  hello: { ask: Hello; answer: Hello }
  store: { ask: { copy: Sent; bytes: Buffer; last: Finish }; answer: { sha256: string } }
  lacking: { ask: DigestEntry[]; answer: boolean[] }
  owe: { ask: CopyId[]; answer: object }
  events: { ask: { after: number; waitMs: number }; answer: { lines: string } }
  ourEvents: { ask: { after: number }; answer: { lines: string } }
  digests: { ask: DigestRange; answer: DigestAnswer }
}
export type Kind = keyof Calls

/** A running site, as the network sees it. */
export interface Peer {
  readonly alive: boolean
  answer<K extends Kind>(kind: K, from: string, ask: Calls[K]['ask']): Promise<Calls[K]['answer']>
}

/** How bad the line is just now; probabilities of 0 to 1. */
export interface Weather {
  loss: number
  duplication: number
  /** A bit of an instance flips. */
  damage: number
  delayMs: number
  /** Messages from this site don't get through. */
  cut: ReadonlySet<Name>
}

export const CALM: Weather = { loss: 0, duplication: 0, damage: 0, delayMs: 5, cut: new Set() }

/** Requests and answers between two sites, each of which may be lost, late, or come twice. */
export class Network {
  weather: Weather = CALM
  /** Calls that each site made. */
  readonly calls: Record<Name, number> = { A: 0, B: 0 }
  readonly #scheduler: Scheduler
  readonly #peers: (name: Name) => Peer | undefined

  constructor(scheduler: Scheduler, peers: (name: Name) => Peer | undefined) {
    this.#scheduler = scheduler
    this.#peers = peers
  }

  call<K extends Kind>(
    from: { name: Name; site: string; alive: () => boolean },
    kind: K,
    ask: Calls[K]['ask'],
    timeoutMs: number,
  ): Promise<Calls[K]['answer']> {
    this.calls[from.name] += 1
    return new Promise((resolve, reject) => {
      let open = true
      const end = (settle: () => void): void => {
        if (!open || !from.alive()) return
        open = false
        settle()
      }
      const fail = (message: string): void => end(() => reject(new PeerError('away', message)))
      this.#scheduler.after(timeoutMs, () => fail(`no answer within ${timeoutMs} ms`))
      const to = other(from.name)
      this.#transmit(from.name, () => {
        const peer = this.#peers(to)
        const back = (settle: () => void): void => this.#transmit(to, () => end(settle))
        if (!peer?.alive) return back(() => reject(new PeerError('away', 'connection refused')))
        peer.answer(kind, from.site, this.#onTheWay(kind, ask)).then(
          (answer) => back(() => resolve(structuredClone(answer))),
          (error) => {
            const { code, message } = refusalFor(error)
            back(() => reject(new PeerError(code, message)))
          },
        )
      })
    })
  }

  #onTheWay<K extends Kind>(kind: K, ask: Calls[K]['ask']): Calls[K]['ask'] {
    const { random } = this.#scheduler
    if (kind !== 'store') return structuredClone(ask)
    const { copy, bytes, last } = ask as Calls['store']['ask']
    const arriving = Buffer.from(bytes)
    if (random.next() < this.weather.damage) arriving[arriving.length - 1] = (arriving.at(-1) as number) ^ 1
    return { copy: structuredClone(copy), bytes: arriving, last: structuredClone(last) }
  }

  #transmit(from: Name, deliver: () => void): void {
    const { random } = this.#scheduler
    const { loss, duplication, delayMs } = this.weather
    const copies = random.next() < duplication ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (random.next() < loss) continue
      this.#scheduler.after(1 + random.next() * delayMs, () => {
        if (!this.weather.cut.has(from)) deliver()
      })
    }
  }
}

const TIMEOUT_MS = 5000
const HELLO_MS = 3000

/** The PeerLink of one running site. */
export function linkOver(network: Network, from: { name: Name; site: string; alive: () => boolean }): PeerLink {
  const call = <K extends Kind>(kind: K, ask: Calls[K]['ask'], timeoutMs = TIMEOUT_MS) =>
    network.call(from, kind, ask, timeoutMs)
  return {
    hello: (mine) => call('hello', mine, HELLO_MS),
    send: (copy) => sending(copy, (ask) => call('store', ask)),
    lacking: (copies) => call('lacking', [...copies]),
    owe: async (copies) => {
      await call('owe', [...copies])
    },
    events: async (after, waitMs) => Buffer.from((await call('events', { after, waitMs }, waitMs + TIMEOUT_MS)).lines),
    ourEvents: async (after) => Buffer.from((await call('ourEvents', { after })).lines),
    digests: (range) => call('digests', range),
    record: async () => undefined,
    verified: async (sha256s) => sha256s.map(() => false),
    fetch: async () => undefined,
  }
}

function sending(copy: Sent, store: (ask: Calls['store']['ask']) => Promise<{ sha256: string }>): Sending {
  const chunks: Buffer[] = []
  return {
    write: async (chunk) => {
      chunks.push(chunk)
    },
    finish: async (last) => {
      const { sha256 } = await store({ copy, bytes: Buffer.concat(chunks), last })
      if (sha256 !== last.sha256)
        throw new PeerError('refused', 'the other site holds other bytes than were sent to it')
    },
    abandon: () => undefined,
  }
}

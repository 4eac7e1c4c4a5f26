import { setTimeout as sleep } from 'node:timers/promises'
import { readSmall, writeSmall } from '../audit/small-file.ts'
import type { Event, Head } from '../events/event.ts'
import { type SyslogHeader, syslogMessage } from './frame.ts'
import type { Connect, Connection, MessagesOf, SentLog } from './ports.ts'

export interface SenderOptions {
  log: SentLog
  /** Where the place in the log is kept up to which everything was delivered. */
  cursorPath: string
  messagesOf: MessagesOf
  connect: Connect
  header: SyslogHeader
  /** As people know the repository. */
  to: string
  warn(message: string, details: object): void
  /** Of one connection, until it is ended so that the receiver confirms what it got. */
  messagesMax?: number
  connectionMs?: number
  /** The same when there was nothing to send for so long. */
  idleMs?: number
  /** The first pause after a failure; it doubles up to `pauseMsMax`. */
  pauseMs?: number
  pauseMsMax?: number
  /** How long it may fail before that is a trouble. */
  patienceMs?: number
}

const DEFAULTS = {
  messagesMax: 500,
  connectionMs: 15_000,
  idleMs: 1000,
  pauseMs: 500,
  pauseMsMax: 60_000,
  patienceMs: 10_000,
}
const EVENTS_AT_ONCE = 100
const BEHIND_MAX = 10_000
/** Events without a message move the kept place on only now and then. */
const UNKEPT_MAX = 5000
/** At the stop: what is on its way. */
const STOP_MS = 3000

/**
 * Sends audit messages of the log's events to a repository, in order, each at least once. The log is the buffer: while the
 * repository is away nothing is held in memory, and nothing is lost by a restart. What was sent over a connection counts
 * as delivered when its end was confirmed; else it is sent again.
 */
export class AuditSender {
  readonly #options: Required<SenderOptions>
  readonly #stopping = new AbortController()
  #delivered: Head = { seq: 0, hash: '' }
  #kept = 0
  #running: Promise<void> | undefined
  #failure: { since: number; reason: string } | undefined
  #sent = 0
  #otherLog: string | undefined

  constructor(options: SenderOptions) {
    this.#options = { ...DEFAULTS, ...options }
  }

  /** Messages given to the repository, those that came twice included. */
  get sent(): number {
    return this.#sent
  }

  /** Events that it hasn't confirmed, or that mean nothing to it. */
  get behind(): number {
    return Math.max(0, this.#options.log.head.seq - this.#delivered.seq)
  }

  /** Why messages wait; undefined while all is well, or hasn't been otherwise for long. */
  get trouble(): string | undefined {
    const { to, patienceMs } = this.#options
    const lag = `${this.behind} events wait in the log`
    const failure = this.#failure
    if (failure && Date.now() - failure.since >= patienceMs) {
      return `audit messages don't reach ${to} since ${new Date(failure.since).toISOString()}: ${failure.reason}; ${lag}`
    }
    return this.behind > BEHIND_MAX ? `audit messages to ${to} are far behind: ${lag}` : this.#otherLog
  }

  async start(): Promise<void> {
    const { log, cursorPath } = this.#options
    const kept = headOf(await readSmall(cursorPath))
    // A new repository isn't told what was long before it.
    if (!kept) await this.#keep({ ...log.head })
    else if (await log.has(kept)) this.#delivered = kept
    else {
      const place = `${kept.seq}:${kept.hash}`
      const why = 'it was cut, rewritten, or restored'
      this.#otherLog = `the event log lacks event ${place}, which ${this.#options.to} was told of: ${why}`
      this.#options.warn(this.#otherLog, {})
      await this.#keep({ ...log.head })
    }
    this.#kept = this.#delivered.seq
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.race([this.#running, sleep(STOP_MS, undefined, { ref: false })])
  }

  async #run(): Promise<void> {
    const { pauseMs, pauseMsMax, warn, to } = this.#options
    const { signal } = this.#stopping
    let pause = pauseMs
    while (!signal.aborted) {
      try {
        await this.#turn()
        if (this.#failure) warn('audit messages reach the repository again', { to })
        this.#failure = undefined
        pause = pauseMs
      } catch (error) {
        const reason = (error as Error).message
        if (!this.#failure) warn('audit messages can not be sent; they wait in the event log', { to, reason })
        this.#failure = { since: this.#failure?.since ?? Date.now(), reason }
        // Not all of many archives at the same moment.
        await sleep(pause * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined)
        pause = Math.min(2 * pause, pauseMsMax)
      }
    }
  }

  /** One connection: opened for the first message that there is, ended after so many, or after so long. */
  async #turn(): Promise<void> {
    const { log, connectionMs, idleMs, messagesMax, connect } = this.#options
    const over = new AbortController()
    let connection: Connection | undefined
    let timer: NodeJS.Timeout | undefined
    let idle: NodeJS.Timeout | undefined
    let done = this.#delivered
    let sent = 0
    const handle = async (events: readonly Event[]): Promise<void> => {
      clearTimeout(idle)
      for (const event of events) {
        for (const message of await this.#messages(event)) {
          if (!connection) {
            connection = await connect(this.#stopping.signal)
            connection.gone.addEventListener('abort', () => over.abort())
            timer = setTimeout(() => over.abort(), connectionMs)
          }
          await connection.send(message)
          this.#sent += 1
          sent += 1
        }
        done = { seq: event.seq, hash: event.hash }
        // What needs no message is done with at once, as long as nothing before it waits to be confirmed.
        if (!connection) this.#delivered = done
      }
      if (sent >= messagesMax) over.abort()
      if (connection) idle = setTimeout(() => over.abort(), idleMs)
      if (!connection && done.seq - this.#kept > UNKEPT_MAX) await this.#keep(done)
    }
    try {
      const signal = AbortSignal.any([over.signal, this.#stopping.signal])
      await log.project({ after: this.#delivered.seq, handle, batchMax: EVENTS_AT_ONCE, signal })
      await connection?.end()
      if (done.seq > this.#kept) await this.#keep(done)
    } finally {
      clearTimeout(timer)
      clearTimeout(idle)
      connection?.destroy()
    }
  }

  async #messages(event: Event): Promise<Buffer[]> {
    const { messagesOf, header } = this.#options
    const { seq, hash } = event
    return (await messagesOf(event)).map((one) => syslogMessage({ ...one, seq, hash }, header))
  }

  async #keep(place: Head): Promise<void> {
    await writeSmall(this.#options.cursorPath, place)
    this.#delivered = place
    this.#kept = place.seq
  }
}

function headOf(kept: unknown): Head | undefined {
  const { seq, hash } = Object(kept) as Partial<Head>
  return Number.isSafeInteger(seq) && typeof hash === 'string' ? { seq: seq as number, hash } : undefined
}

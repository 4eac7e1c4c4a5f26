import { setTimeout as sleep } from 'node:timers/promises'
import { ArchiveError } from '../errors.ts'
import { SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { RecordEvents } from '../events/ports.ts'

export interface RecorderOptions {
  /** So many events wait while the log can't be written; more are given up, and counted. */
  queueMax?: number
  /** How long events gather, so that they share a sync. */
  gatherMs?: number
  /** The first pause after a failure; it doubles up to `pauseMsMax`. */
  pauseMs?: number
  pauseMsMax?: number
  warn(message: string, details: object): void
}

interface Waiting {
  event: KnownEvent
  happenedAt: number
}

const DEFAULTS = { queueMax: 20_000, gatherMs: 50, pauseMs: 250, pauseMsMax: 10_000 }
const BATCH_MAX = 200
/** An event that was written later than this after it happened says when that was. */
const LATE_MS = 2000

/**
 * Writes audit events to the log behind the answers: in groups, in order, again after a failure until it succeeds. What
 * waits is bounded. Before `attach` everything waits.
 */
export class Recorder {
  readonly #options: Required<RecorderOptions>
  readonly #queue: Waiting[] = []
  #log: RecordEvents | undefined
  #running: Promise<void> | undefined
  #trouble: string | undefined
  #lost = 0
  #lostSince = 0
  readonly #closing = new AbortController()

  constructor(options: RecorderOptions) {
    this.#options = { ...DEFAULTS, ...options }
  }

  /** Why events wait; undefined when the last ones could be written. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Given up and not yet in the log as `audit.lost`. */
  get lost(): number {
    return this.#lost
  }

  attach(log: RecordEvents): void {
    this.#log = log
    this.#start()
  }

  record(event: KnownEvent): void {
    if (this.#queue.length >= this.#options.queueMax) {
      this.#lose(1)
      return
    }
    this.#queue.push({ event, happenedAt: Date.now() })
    this.#start()
  }

  /** Writes what waits, once; what can't be written then is given up. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    while (this.#queue.length > 0 && (await this.#writeSome())) {}
    const left = this.#queue.length + this.#lost
    if (left > 0) this.#options.warn('audit events are not in the event log', { events: left, reason: this.#trouble })
  }

  #start(): void {
    if (this.#queue.length === 0 || !this.#log || this.#closing.signal.aborted) return
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    const { gatherMs, pauseMs, pauseMsMax } = this.#options
    let pause = pauseMs
    while (this.#queue.length > 0 && !this.#closing.signal.aborted) {
      await this.#sleep(this.#queue.length >= BATCH_MAX ? 0 : gatherMs)
      if (await this.#writeSome()) pause = pauseMs
      else {
        await this.#sleep(pause)
        pause = Math.min(2 * pause, pauseMsMax)
      }
    }
    this.#running = undefined
  }

  async #sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined)
  }

  /** False when the log can't be written. */
  async #writeSome(): Promise<boolean> {
    const batch = this.#queue.slice(0, BATCH_MAX)
    try {
      await this.#append(batch.map(dated))
    } catch (error) {
      if (!(error instanceof ArchiveError)) {
        await this.#writeEach(batch)
        return true
      }
      if (this.#trouble === undefined) {
        this.#options.warn('audit events wait: the event log can not be written', { reason: error.message })
      }
      this.#trouble = error.message
      return false
    }
    this.#queue.splice(0, batch.length)
    this.#trouble = undefined
    return true
  }

  async #append(events: readonly KnownEvent[]): Promise<void> {
    const { log, lost } = { log: this.#log, lost: this.#lost }
    if (!log) throw new ArchiveError('unavailable', 'the event log is not open')
    const gap = lost > 0 ? [this.#gap(lost)] : []
    await log.append(...gap, ...events)
    this.#lost -= lost
  }

  /** An event that is none, a defect of Firn's, must not keep the others back. */
  async #writeEach(batch: readonly Waiting[]): Promise<void> {
    for (const one of batch) {
      this.#queue.shift()
      await this.#append([dated(one)]).catch((error: Error) => {
        this.#options.warn('an audit event could not be written', { kind: one.event.kind, reason: error.message })
        this.#lose(1)
      })
    }
  }

  #lose(events: number): void {
    if (this.#lost === 0) this.#lostSince = Date.now()
    this.#lost += events
  }

  #gap(events: number): KnownEvent {
    const since = new Date(this.#lostSince).toISOString()
    const data = { events, since, until: new Date().toISOString() }
    return { kind: 'audit.lost', actor: SYSTEM, subject: {}, data }
  }
}

/** The log dates an event when it is written; where that was later, the event says when it happened. */
function dated({ event, happenedAt }: Waiting): KnownEvent {
  if (Date.now() - happenedAt < LATE_MS || 'since' in event.data || !TAKES_SINCE.has(event.kind)) return event
  return { ...event, data: { ...event.data, since: new Date(happenedAt).toISOString() } } as KnownEvent
}

const TAKES_SINCE: ReadonlySet<string> = new Set([
  'access.read',
  'access.query',
  'access.denied',
  'study.received',
  'audit.read',
  'admin.called',
])

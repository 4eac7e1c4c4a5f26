import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Archive } from './archive.ts'
import { Recorder } from './audit/recorder.ts'
import { Trail } from './audit/trail.ts'
import { Watch } from './audit/watch.ts'
import type { CatalogueReader } from './catalogue/ports.ts'
import { redactConfig } from './config/redact.ts'
import type { Config } from './config/schema.ts'
import type { Tokens } from './config/tokens.ts'
import type { Metrics } from './metrics.ts'
import { messagesOf } from './syslog/messages.ts'
import type { StudySubject, Subjects } from './syslog/ports.ts'
import { AuditSender } from './syslog/sender.ts'
import { connector } from './syslog/transport.ts'

export interface AuditOptions {
  config: Config
  tokens: Tokens
  log: Logger
  metrics: Metrics
}

/** The node's audit trail, put together: who tells it something, how it gets into the event log, and from there on. */
export class Audit {
  readonly trail: Trail
  readonly #options: AuditOptions
  readonly #recorder: Recorder
  #watch: Watch | undefined
  #sender: AuditSender | undefined

  constructor(options: AuditOptions) {
    this.#options = options
    const { config, log, metrics } = options
    const recorder = new Recorder({ warn: (message, details) => log.error(details, message) })
    this.#recorder = recorder
    this.trail = new Trail({
      record: (event) => recorder.record(event),
      windowMs: config.audit.sumSeconds * 1000,
      refusal: () => {
        if (config.audit.whenUnwritable === 'serve' || recorder.trouble === undefined) return undefined
        return `nothing is given out while it can't be recorded: ${recorder.trouble}`
      },
    })
    metrics.gauge('firn_audit_events_waiting', 'Audit events that wait to be written', () => recorder.waiting)
    metrics.gauge('firn_audit_events_lost', 'Audit events given up and not yet recorded as lost', () => recorder.lost)
  }

  /** The event log can be written from here on. */
  async open({ events, catalogue }: Pick<Archive, 'events' | 'catalogue'>): Promise<void> {
    const { config, tokens, log, metrics } = this.#options
    const warn = (message: string, details: object): void => log.warn(details, message)
    const folder = join(config.dataDir, 'audit')
    await mkdir(folder, { recursive: true, mode: 0o750 })
    this.#recorder.attach(events)
    const path = join(folder, 'seen.json')
    this.#watch = new Watch({ path, log: events, tokens: () => tokens.all(), warn })
    await this.#watch.start(redactConfig(config))
    const { syslog } = config.audit
    if (!syslog) return
    const host = hostname()
    const { aeTitle } = config.dimse
    const source = { id: syslog.sourceId ?? `${aeTitle}@${host}`, enterpriseSiteId: syslog.enterpriseSiteId }
    const sender = new AuditSender({
      log: events,
      cursorPath: join(folder, 'syslog.json'),
      messagesOf: messagesOf({ source, aeTitle, host, subjects: subjectsOf(catalogue) }),
      connect: connector(syslog),
      header: { host, processId: process.pid },
      to: `${syslog.host}:${syslog.port}`,
      warn,
    })
    await sender.start()
    metrics.gauge('firn_audit_messages_sent', 'Audit messages given to the repository', () => sender.sent)
    metrics.gauge('firn_audit_events_behind', 'Events that the audit repository has not confirmed', () => sender.behind)
    this.#sender = sender
  }

  troubles(): string[] {
    const { trouble, waiting, lost } = this.#recorder
    const troubles: string[] = []
    if (trouble !== undefined) troubles.push(`accesses can't be recorded, ${waiting} events wait: ${trouble}`)
    if (lost > 0) troubles.push(`${lost} audit events were lost`)
    if (this.#sender?.trouble !== undefined) troubles.push(this.#sender.trouble)
    return troubles
  }

  /** Writes what waits. To be called when nothing is served any more and the log is still open. */
  async close(): Promise<void> {
    this.trail.close()
    await this.#watch?.close()
    await this.#recorder.close()
    await this.#sender?.stop()
  }
}

const CACHED_MAX = 2000
const CACHED_MS = 60_000

/** A viewer's accesses are to the same few studies. */
function subjectsOf(catalogue: Pick<CatalogueReader, 'find'>): Subjects {
  const cache = new Map<string, { at: number; found: StudySubject | undefined }>()
  return {
    async study(studyUid) {
      const cached = cache.get(studyUid)
      if (cached && Date.now() - cached.at < CACHED_MS) return cached.found
      const found = await lookUp(catalogue, studyUid)
      cache.delete(studyUid)
      if (cache.size >= CACHED_MAX) cache.delete(cache.keys().next().value as string)
      cache.set(studyUid, { at: Date.now(), found })
      return found
    },
  }
}

async function lookUp(catalogue: Pick<CatalogueReader, 'find'>, studyUid: string): Promise<StudySubject | undefined> {
  const match = [{ path: ['0020000D'], value: studyUid }]
  const include = ['00100010', '00100020', '00100021', '00080050', '00080062']
  for await (const json of catalogue.find({ level: 'study', match, include, fuzzy: false, limit: 1 })) {
    const values = (tag: string): unknown[] => (json[tag]?.Value ?? []) as unknown[]
    const first = (tag: string): string => String(values(tag)[0] ?? '')
    const name = values('00100010')[0] as { Alphabetic?: string } | undefined
    return {
      patientId: first('00100020'),
      issuer: first('00100021'),
      patientName: name?.Alphabetic ?? '',
      accession: first('00080050'),
      sopClasses: values('00080062').map(String),
    }
  }
  return undefined
}

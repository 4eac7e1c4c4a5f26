import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pino, { type Logger } from 'pino'
import type { Observation } from '../storage-adapters/wrap/metrics.ts'
import { type Archive, openArchive } from './archive.ts'
import { Audit } from './audit-node.ts'
import { type Background, openBackground } from './background.ts'
import type { InstanceRecord } from './catalogue/ports.ts'
import type { Config } from './config/schema.ts'
import { Tokens } from './config/tokens.ts'
import { Corrections } from './corrections/correct.ts'
import { CorrectedInstances } from './corrections/corrected-instances.ts'
import { RejectionNotes } from './corrections/notes.ts'
import { RecordCopies } from './corrections/record-copies.ts'
import { DataFolder } from './data-folder.ts'
import { createDimseServer, type Listener } from './dimse/index.ts'
import type { ApiContext } from './http/api-routes.ts'
import { App } from './http/app.ts'
import type { Imports } from './import/imports.ts'
import { openImports } from './imports.ts'
import type { Receive } from './ingest/ports.ts'
import { Metrics } from './metrics.ts'
import { type OpenedCommitments, openCommitments } from './open-commitments.ts'
import { BulkReader } from './retrieve/bulk.ts'
import { RecordDescriber } from './retrieve/describe-record.ts'
import { MetadataStore } from './retrieve/metadata.ts'
import { siteControl } from './site-control.ts'
import { addTierMetrics } from './tier-metrics.ts'
import { VERSION } from './version.ts'

const STOP_DEADLINE_MS = 8000
const METADATA_QUIET_MS = 2000

export interface NodeAddresses {
  http: string
  dimse: { aeTitle: string; host: string; port: number } | null
  /** Port on which the other site is answered, where there is one. */
  peer?: number
}

/** A running node: the composition root, the only place that builds concrete parts and ties them together. */
export class Node {
  readonly #config: Config
  readonly #log: Logger
  readonly #metrics = new Metrics()
  readonly #startedAt = new Date().toISOString()
  #state: 'starting' | 'ready' | 'stopping' = 'starting'
  #folder: DataFolder | undefined
  #app: App | undefined
  #server: Server | undefined
  #archive: Archive | undefined
  #metadata: MetadataStore | undefined
  #describer: RecordDescriber | undefined
  #background: Background | undefined
  #imports: Imports | undefined
  #recordCopies: RecordCopies | undefined
  #audit: Audit | undefined
  #commitment: OpenedCommitments | undefined
  #lastArrival = 0
  #dimse: Listener | undefined
  #addresses: NodeAddresses | undefined
  #fence: () => void = () => undefined
  /** Resolves when this site must stop serving, and start again to rejoin the other one. */
  readonly fenced = new Promise<void>((resolve) => {
    this.#fence = resolve
  })

  constructor(config: Config) {
    this.#config = config
    this.#log = pino({ level: config.log.level, base: { node: 'firn' } }, pino.destination({ dest: 2, sync: false }))
  }

  /** Resolves when everything accepts work. */
  async start(): Promise<NodeAddresses> {
    try {
      const config = this.#config
      this.#folder = await DataFolder.open(config.dataDir)
      const tokens = new Tokens(config.dataDir)
      const { http, auth } = config
      const audit = new Audit({ config, tokens, log: this.#log, metrics: this.#metrics })
      this.#audit = audit
      const app = new App({
        config: http,
        authRequired: auth.required,
        tokens,
        log: this.#log,
        metrics: this.#metrics,
        audit: audit.trail,
        notReady: () => this.#notReady(),
        degraded: () => this.#degraded(),
      })
      this.#app = app
      const url = await this.#listen(app)
      tokens.admitLocal(await this.#folder.announce(url))
      const observe = (seen: Observation): void => this.#metrics.store(seen)
      const fence = (): void => this.#stopServing()
      this.#archive = await openArchive(config, this.#folder, this.#log, observe, undefined, fence)
      await audit.open(this.#archive)
      const context = this.#context(this.#archive, audit)
      app.open(context)
      const dimse = await this.#listenDimse(context)
      const peer = await this.#archive.peering?.start(this.#fromPeer(this.#archive))
      this.#addresses = { http: url, dimse, ...(peer === undefined ? {} : { peer }) }
      this.#state = 'ready'
      this.#startBackground(config)
      return this.#addresses
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Finishes what was begun, refuses what is new, and lets go of everything. */
  async stop(): Promise<void> {
    this.#state = 'stopping'
    this.#app?.refuse('stopping')
    await Promise.all([this.#closeHttp(), this.#dimse?.close(STOP_DEADLINE_MS), this.#stopBackground()])
    await this.#metadata?.close()
    await this.#describer?.close()
    await this.#audit?.close()
    await this.#archive?.close()
    await this.#folder?.close()
    this.#log.flush()
  }

  #startBackground(config: Config): void {
    const { sealing, drainer, scrubber, retention, tiering, worm } = this.#background as Background
    tiering.start()
    worm.start()
    if (config.sealing.enabled) sealing.start()
    if (config.scrub.enabled) scrubber.start()
    void drainer.resume()
    retention.start()
    void this.#imports?.resume()
    this.#recordCopies?.start()
    this.#commitment?.commitments.start()
  }

  /** What takes longer is broken off, as a crash would break it off, which harms nothing. */
  async #stopBackground(): Promise<void> {
    if (!this.#background) return
    const { sealing, sealer, drainer, scrubber, retention, tiering, reconciler, worm } = this.#background
    const lasting = [sealing, drainer, scrubber, retention, tiering, reconciler, worm].map((one) => one.stop())
    const stopped = Promise.all([
      ...lasting,
      sealer.idle(),
      this.#imports?.close(),
      this.#recordCopies?.stop(),
      this.#commitment?.commitments.stop(),
    ])
    await Promise.race([stopped, sleep(STOP_DEADLINE_MS, undefined, { ref: false })])
  }

  /** What the other site sends: what it made of a rejection note comes with its events. */
  #fromPeer({ receiver }: Archive): Receive {
    return this.#metrics.counted(receiver, ({ studyUid }) => {
      this.#lastArrival = Date.now()
      this.#metadata?.changed(studyUid)
    })
  }

  #ownSite(): { site: string; name: string } {
    return { site: this.#folder?.archiveId ?? '', name: this.#config.peer?.name ?? '' }
  }

  #stopServing(): void {
    this.#app?.refuse('fenced: this site went back to an earlier state, and rejoins the other one')
    void this.#dimse?.close(0)
    this.#fence()
  }

  #notReady(): string[] {
    return this.#state === 'ready' ? [] : [this.#state]
  }

  /** Reads go on; a load balancer must not take the node away for that. */
  #degraded(): string[] {
    if (!this.#archive) return []
    const { landing, troubles } = this.#archive
    const reasons = troubles()
    if (landing.space.bytesFree <= landing.space.reserveBytes)
      reasons.push('nothing can be stored: the landing is full')
    const unsealed = this.#background?.sealing.trouble
    if (unsealed !== undefined) reasons.push(`studies stay in the landing: ${unsealed}`)
    reasons.push(...(this.#background?.tiering.troubles ?? []))
    const lost = this.#background?.scrubber.trouble
    if (lost !== undefined) reasons.push(lost)
    reasons.push(...(this.#background?.retention.troubles ?? []))
    reasons.push(...(this.#background?.worm.troubles ?? []))
    return [...reasons, ...(this.#audit?.troubles() ?? [])]
  }

  async #listen(app: App): Promise<string> {
    const { host, port, tls } = this.#config.http
    const server = app.server()
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(explainListen(error, 'http.port', '--http-port')))
      server.listen(port, host, resolve)
    })
    const bound = (server.address() as AddressInfo).port
    return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${bound}`
  }

  async #listenDimse(context: ApiContext): Promise<NodeAddresses['dimse']> {
    const { dimse: config, http } = this.#config
    if (!config.enabled) return null
    const { receive, catalogue, instances, audit } = context
    const host = config.host ?? http.host
    this.#dimse = createDimseServer({
      config,
      host,
      receive,
      catalogue,
      instances,
      audit,
      commitment: this.#commitment?.scp,
      log: this.#log,
      metrics: this.#metrics.dimse,
    })
    const { port } = await this.#dimse.listen().catch((error) => {
      throw explainListen(error, 'dimse.port', '--dimse-port')
    })
    return { aeTitle: config.aeTitle, host, port }
  }

  #context(archive: Archive, audit: Audit): ApiContext {
    const { catalogue, landing, receiver, reader, stores, events, projector, records } = archive
    const { http, limits, dataDir } = this.#config
    const describer = new RecordDescriber(reader, limits.headerBytesMax)
    this.#describer = describer
    const metadata = new MetadataStore({
      folder: (this.#folder as DataFolder).metadata,
      catalogue,
      corrections: catalogue.corrections,
      describer,
      quietMs: METADATA_QUIET_MS,
      warn: (message, details) => this.#log.warn(details, message),
    })
    this.#metadata = metadata
    this.#metrics.gauge('firn_landing_bytes_free', 'Free space of the landing', () => landing.space.bytesFree)
    this.#log.info({ dataDir, version: VERSION }, 'archive open')
    const background = openBackground({
      archive,
      config: this.#config,
      describer,
      lastArrival: () => this.#lastArrival,
      forget: async (studyUid) => {
        await metadata.remove(studyUid)
        await archive.packs.forgetStudy(studyUid)
      },
      log: this.#log,
    })
    this.#background = background
    const { corrections } = catalogue
    const projected = (site: string, seq: number): Promise<void> => projector.upTo(site, seq)
    const warn = (message: string, details: object): void => this.#log.warn(details, message)
    this.#recordCopies = new RecordCopies({ stores, records, warn })
    const put = (text: string): Promise<string> => records.put(text).finally(() => this.#recordCopies?.soon())
    const correct = new Corrections({ catalogue, corrections, records: { put }, events, projected })
    const describe = (record: InstanceRecord): Promise<Buffer> => describer.describe(record, 'bulkdata')
    const { applyNotes: apply, dicomwebDelete } = this.#config.corrections
    const noting = new RejectionNotes({ receive: receiver, catalogue, corrections, correct, describe, apply })
    addTierMetrics(this.#metrics, background.tiering)
    const receive = this.#metrics.counted(noting, ({ studyUid }) => {
      this.#lastArrival = Date.now()
      metadata.changed(studyUid)
    })
    const opened = openImports({ archive, config: this.#config, receive, log: this.#log })
    const { imports } = opened
    this.#imports = imports
    const { copies } = background
    const { registry } = this.#metrics
    this.#commitment = openCommitments({
      archive,
      config: this.#config,
      copies,
      peers: archive.peering,
      registry,
      log: this.#log,
    })
    return {
      corrections,
      correct,
      corrected: new CorrectedInstances(reader, corrections, limits.headerBytesMax),
      dicomwebDelete,
      receive: opened.receive,
      catalogue: opened.catalogue,
      instances: reader,
      metadata,
      bulk: new BulkReader(reader, limits.headerBytesMax),
      publicUrl: http.publicUrl,
      resultsMax: limits.resultsMax,
      audit: audit.trail,
      packs: catalogue,
      stores,
      auditQueries: catalogue,
      seal: (studyUid) => background.sealer.seal(studyUid),
      drainer: background.drainer,
      scrubber: background.scrubber,
      retention: background.retention,
      tiering: background.tiering,
      reconciler: background.reconciler,
      imports,
      worm: background.worm,
      commitments: this.#commitment?.commitments,
      site: archive.peering && siteControl(archive.peering, this.#ownSite(), archive.events),
      log: this.#log,
      version: VERSION,
      status: async () => {
        await landing.space.refresh()
        const { bytesFree, bytesTotal, reserveBytes } = landing.space
        return {
          version: VERSION,
          startedAt: this.#startedAt,
          ready: this.#state === 'ready',
          degraded: this.#degraded(),
          catalogue: { dialect: catalogue.dialect, ...(await catalogue.totals()) },
          landing: { bytesFree, bytesTotal, reserveBytes },
          dimse: this.#addresses?.dimse ?? null,
        }
      },
    }
  }

  async #closeHttp(): Promise<void> {
    const server = this.#server
    if (!server) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    const deadline = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS)
    // Connections become idle one by one as their requests are answered.
    const sweep = setInterval(() => server.closeIdleConnections(), 100)
    await closed
    clearTimeout(deadline)
    clearInterval(sweep)
  }
}

function explainListen(error: NodeJS.ErrnoException, key: string, flag: string): Error {
  if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') return error
  const why = error.code === 'EACCES' ? 'may not be used' : 'is in use'
  return new Error(`${error.message}: the port ${why}; choose another with ${flag} or ${key}`, { cause: error })
}

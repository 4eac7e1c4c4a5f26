import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pino, { type Logger } from 'pino'
import type { Observation } from '../storage-adapters/wrap/metrics.ts'
import { type Archive, openArchive } from './archive.ts'
import { type Background, openBackground } from './background.ts'
import type { Config } from './config/schema.ts'
import { Tokens } from './config/tokens.ts'
import { DataFolder } from './data-folder.ts'
import { createDimseServer, type Listener } from './dimse/index.ts'
import type { ApiContext } from './http/api-routes.ts'
import { App } from './http/app.ts'
import { Metrics } from './metrics.ts'
import { BulkReader } from './retrieve/bulk.ts'
import { RecordDescriber } from './retrieve/describe-record.ts'
import { MetadataStore } from './retrieve/metadata.ts'
import { siteControl } from './site-control.ts'
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
      const app = new App({
        config: http,
        authRequired: auth.required,
        tokens,
        log: this.#log,
        metrics: this.#metrics,
        notReady: () => this.#notReady(),
        degraded: () => this.#degraded(),
      })
      this.#app = app
      const url = await this.#listen(app)
      tokens.admitLocal(await this.#folder.announce(url))
      const observe = (seen: Observation): void => this.#metrics.store(seen)
      this.#archive = await openArchive(config, this.#folder, this.#log, observe, () => this.#stopServing())
      const context = this.#context(this.#archive)
      app.open(context)
      const dimse = await this.#listenDimse(context)
      const peer = await this.#archive.peering?.start(context.receive)
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
    await this.#archive?.close()
    await this.#folder?.close()
    this.#log.flush()
  }

  #startBackground(config: Config): void {
    const { sealing, drainer, scrubber } = this.#background as Background
    if (config.sealing.enabled) sealing.start()
    if (config.scrub.enabled) scrubber.start()
    void drainer.resume()
  }

  /** What takes longer is broken off, as a crash would break it off, which harms nothing. */
  async #stopBackground(): Promise<void> {
    if (!this.#background) return
    const { sealing, sealer, drainer, scrubber } = this.#background
    const stopped = Promise.all([sealing.stop(), sealer.idle(), drainer.stop(), scrubber.stop()])
    await Promise.race([stopped, sleep(STOP_DEADLINE_MS, undefined, { ref: false })])
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
    const lost = this.#background?.scrubber.trouble
    if (lost !== undefined) reasons.push(lost)
    return reasons
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
    const { receive, catalogue, instances } = context
    const host = config.host ?? http.host
    this.#dimse = createDimseServer({
      config,
      host,
      receive,
      catalogue,
      instances,
      log: this.#log,
      metrics: this.#metrics.dimse,
    })
    const { port } = await this.#dimse.listen().catch((error) => {
      throw explainListen(error, 'dimse.port', '--dimse-port')
    })
    return { aeTitle: config.aeTitle, host, port }
  }

  #context(archive: Archive): ApiContext {
    const { catalogue, landing, receiver, reader, stores } = archive
    const { http, limits, dataDir } = this.#config
    const describer = new RecordDescriber(reader, limits.headerBytesMax)
    this.#describer = describer
    const metadata = new MetadataStore({
      folder: (this.#folder as DataFolder).metadata,
      catalogue,
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
      log: this.#log,
    })
    this.#background = background
    return {
      receive: this.#metrics.counted(receiver, ({ studyUid }) => {
        this.#lastArrival = Date.now()
        metadata.changed(studyUid)
      }),
      catalogue,
      instances: reader,
      metadata,
      bulk: new BulkReader(reader, limits.headerBytesMax),
      publicUrl: http.publicUrl,
      resultsMax: limits.resultsMax,
      packs: catalogue,
      stores,
      seal: (studyUid) => background.sealer.seal(studyUid),
      drainer: background.drainer,
      scrubber: background.scrubber,
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

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import express, { type ErrorRequestHandler, type Express, type RequestHandler, Router } from 'express'
import { ipKeyGenerator, rateLimit } from 'express-rate-limit'
import helmet from 'helmet'
import type { Logger } from 'pino'
import type { AuditTrail } from '../audit/ports.ts'
import type { Config } from '../config/schema.ts'
import type { Tokens } from '../config/tokens.ts'
import { ArchiveError } from '../errors.ts'
import { addApi } from './api.ts'
import type { ApiContext } from './api-routes.ts'
import { audited, noting } from './audit.ts'
import { addressOf, identify, only } from './auth.ts'
import { addCommitment } from './commitment.ts'
import { dicomWebDelete } from './delete.ts'
import { onlyOwnNames } from './host.ts'
import { inTurn } from './in-turn.ts'
import { qido } from './qido.ts'
import { httpStatus } from './status-map.ts'
import { stow } from './stow.ts'
import { DICOM_WEB } from './urls.ts'
import { wadoInstances, wadoMetadata } from './wado.ts'
import { wadoBulkData, wadoFrames } from './wado-bulk.ts'
import { wadoUri } from './wado-uri.ts'

export interface HttpMetrics {
  request(route: string, method: string, status: number, seconds: number): void
  /** The text of `/metrics` and its content type. */
  expose(): Promise<{ type: string; text: string }>
}

export interface AppOptions {
  config: Config['http']
  authRequired: boolean
  tokens: Tokens
  log: Logger
  metrics: HttpMetrics
  audit: AuditTrail
  /** Why the node can't serve now; empty when it can. */
  notReady(): string[]
  /** What it can't do although it serves, such as storing on a full disk. */
  degraded(): string[]
}

/** Of a request's body that may wait for their reader, for each connection: two of Node's chunks. */
const BODY_AHEAD_BYTES = 128 * 1024

/** The HTTP side of a node. Answers `/health` at once, everything else when `open` has given it the use cases. */
export class App {
  readonly #options: AppOptions
  readonly #express: Express
  #routes: RequestHandler | undefined
  #refusal = 'starting'

  constructor(options: AppOptions) {
    this.#options = options
    this.#express = this.#build()
  }

  open(context: ApiContext): void {
    this.#routes = routes(context, this.#options.metrics)
  }

  /** Answers everything but `/health` with 503 from here on. */
  refuse(reason: string): void {
    this.#routes = undefined
    this.#refusal = reason
  }

  /** Not listening yet. */
  server(): http.Server {
    const { tls, headersSeconds, idleSeconds } = this.#options.config
    const limits = {
      maxHeaderSize: 16 * 1024,
      headersTimeout: headersSeconds * 1000,
      // Instances of any size may take their time, as long as they keep coming.
      requestTimeout: 0,
      keepAliveTimeout: Math.min(idleSeconds, 30) * 1000,
      connectionsCheckingInterval: 2000,
      noDelay: true,
      // With less, each chunk of a body stops the socket and starts it again.
      highWaterMark: BODY_AHEAD_BYTES,
    }
    const server = tls
      ? https.createServer({ ...limits, ...tlsFiles(tls) }, inTurn(this.#express))
      : http.createServer(limits, inTurn(this.#express))
    server.setTimeout(idleSeconds * 1000)
    server.maxConnections = 2000
    // Who starts it hears of what keeps it from listening; later ones, such as want of open files, are passing.
    server.on('tlsClientError', (_error, { remoteAddress = '' }) => {
      const who = { name: '', role: '', from: remoteAddress }
      this.#options.audit.denied(who, { service: 'https', reason: 'TLS handshake' })
    })
    server.on('error', (error) => {
      if (server.listening) this.#options.log.error({ error: error.message }, 'a connection could not be accepted')
    })
    return server
  }

  #build(): Express {
    const { config, tokens, authRequired, notReady, degraded, audit } = this.#options
    const app = express()
    app.disable('x-powered-by')
    app.disable('etag')
    app.set('query parser', 'simple')
    // One proxy: what stands further left in X-Forwarded-For is the client's own claim.
    app.set('trust proxy', config.trustProxy ? 1 : false)
    app.use(this.#observe())
    app.use(audited(audit))
    app.use(helmet())
    app.get('/health/live', (_req, res) => void res.json({ status: 'live' }))
    app.get('/health/ready', (_req, res) => {
      const reasons = notReady()
      const ready = reasons.length === 0
      res.status(ready ? 200 : 503).json({ status: ready ? 'ready' : 'not ready', reasons, degraded: degraded() })
    })
    if (!authRequired) app.use(onlyOwnNames(config))
    app.use(
      rateLimit({
        windowMs: 60_000,
        limit: config.requestsPerMinute,
        standardHeaders: true,
        legacyHeaders: false,
        keyGenerator: (req) => ipKeyGenerator(addressOf(req) || (req.socket.remoteAddress ?? '')),
      }),
    )
    app.use(identify(tokens, authRequired))
    app.use((req, res, next) => {
      if (this.#routes) return this.#routes(req, res, next)
      res.set('Connection', 'close')
      throw new ArchiveError('unavailable', this.#refusal)
    })
    app.use(() => {
      throw new ArchiveError('not_found', 'no such resource; DICOMweb is at /dicom-web, the API at /api/v1')
    })
    app.use(this.#answerError())
    return app
  }

  /** Counts and logs each request by its route, never by what the client typed: queries hold patients' names. */
  #observe(): RequestHandler {
    const { log, metrics } = this.#options
    return (req, res, next) => {
      const started = process.hrtime.bigint()
      const correlation = randomUUID()
      res.locals.log = log.child({ correlation })
      res.set('X-Correlation-Id', correlation)
      res.once('close', () => {
        const seconds = Number(process.hrtime.bigint() - started) / 1e9
        const path: unknown = [req.route?.path].flat()[0]
        const route = typeof path === 'string' ? req.baseUrl + path : 'none'
        metrics.request(route, req.method, res.statusCode, seconds)
        const line = { method: req.method, route, status: res.statusCode, ms: Math.round(seconds * 1000) }
        if (route.startsWith('/health') || route === '/metrics') res.locals.log.debug(line, 'request')
        else res.locals.log.info({ ...line, ...(res.writableFinished ? {} : { brokenOff: true }) }, 'request')
      })
      next()
    }
  }

  #answerError(): ErrorRequestHandler {
    return (error, req, res, _next) => {
      const known = error instanceof ArchiveError
      const fromExpress = typeof error?.status === 'number' && error.status < 500
      const status = known ? httpStatus(error.code) : fromExpress ? error.status : 500
      if (status >= 500) res.locals.log?.error({ error: error?.stack ?? String(error) }, 'request failed')
      if (res.headersSent) {
        res.destroy()
        return
      }
      // A body that nobody will read must not keep the connection busy.
      if (!req.complete) res.set('Connection', 'close')
      if (status === 503) res.set('Retry-After', '5')
      const message = known || fromExpress ? error.message : 'Firn failed; see its log for the correlation ID'
      res.status(status).json({ error: known ? error.code : 'failed', message })
    }
  }
}

function tlsFiles({ key, cert, ca }: NonNullable<Config['http']['tls']>): https.ServerOptions {
  return {
    key: readFileSync(key),
    cert: readFileSync(cert),
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: readFileSync(ca), requestCert: true, rejectUnauthorized: true }),
  }
}

function routes(context: ApiContext, metrics: HttpMetrics): Router {
  const router = Router()
  router.use(DICOM_WEB, dicomWeb(context))
  router.get('/wado', only('read'), noting(context.audit, 'read', 'wado-uri'), wadoUri(context))
  const api = Router()
  addApi(api, context)
  router.use('/api/v1', api)
  router.get('/metrics', only('read'), async (_req, res) => {
    const { type, text } = await metrics.expose()
    res.set('Content-Type', type).end(text)
  })
  return router
}

function dicomWeb(context: ApiContext): Router {
  const router = Router()
  const [study, series, instance] = ['/studies/:study', '/series/:series', '/instances/:instance']
  const { audit } = context
  const read = (service: string) => [only('read'), noting(audit, 'read', service)]
  const query = [only('read'), noting(audit, 'query', 'qido-rs')]

  router.post(['/studies', study], only('send'), noting(audit, 'store', 'stow-rs'), stow(context))

  router.get('/studies', query, qido(context, 'study'))
  router.get(['/series', `${study}/series`], query, qido(context, 'series'))
  router.get(
    ['/instances', `${study}/instances`, `${study}${series}/instances`, '/series/:series/instances'],
    query,
    qido(context, 'instance'),
  )

  const levels = [study, `${study}${series}`, `${study}${series}${instance}`]
  router.get(levels, read('wado-rs'), wadoInstances(context))
  router.get(
    levels.map((level) => `${level}/metadata`),
    read('metadata'),
    wadoMetadata(context),
  )
  router.get(`${study}${series}${instance}/frames/:frames`, read('frames'), wadoFrames(context))
  router.get(`${study}${series}${instance}/bulkdata/:path`, read('bulkdata'), wadoBulkData(context))

  if (context.dicomwebDelete === 'hide') router.delete(levels, only('records'), dicomWebDelete(context))

  if (context.commitments) addCommitment(router, context.commitments)

  router.all(['/studies', ...levels], (_req, res) => {
    res
      .status(405)
      .set('Allow', 'GET, HEAD, POST')
      .json({ error: 'not_allowed', message: 'the archive keeps what it has' })
  })
  return router
}

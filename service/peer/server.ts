import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { lacking } from '../../replication/lacking.ts'
import type { Pair } from '../../replication/pair.ts'
import { type LocalCopies, PeerError } from '../../replication/ports.ts'
import type { CatalogueJournal, InstanceRecord } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { Receive } from '../ingest/ports.ts'
import type { OpenInstances } from '../retrieve/ports.ts'
import { NOT_FOUND, OK, peerStatus } from './status-map.ts'
import {
  COPY_HEADER,
  copiesSchema,
  digestListSchema,
  entriesSchema,
  helloSchema,
  JSON_BYTES_MAX,
  PATHS,
  PROOF_TRAILER,
  proofSchema,
  SITE_HEADER,
  sourceSchema,
} from './wire.ts'

/** What the peer protocol needs of a log: lines to send, and to know when there are more. */
export interface EventSource {
  lines(after: number): Promise<Buffer>
  moved(signal: AbortSignal): Promise<void>
}

export interface PeerServerOptions {
  host: string
  port: number
  tls: { key: Buffer; cert: Buffer; ca: Buffer } | undefined
  pair: Pair
  receive: Receive
  catalogue: Pick<CatalogueJournal, 'byDigest'>
  /** Reads this site's storage alone: it must not ask the other site in turn. */
  instances: OpenInstances
  /** Whether stored bytes still have their digest. */
  isIntact(record: InstanceRecord): Promise<boolean>
  local: LocalCopies
  events: EventSource
  /** Texts that events name by their digests. */
  records: { get(sha256: string): Promise<string | undefined> }
  /** The other site's log as it was imported here. */
  peerEvents(): Promise<Pick<EventSource, 'lines'> | undefined>
  warn(message: string, details: object): void
}

const WAIT_MS_MAX = 60_000
/** Whoever sends gives up after half a second without progress at the earliest. */
const PROGRESS_MS = 200
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const number = z.coerce.number().int().min(0)
const copyHeader = z.object({ sopInstanceUid: z.string().max(64), source: sourceSchema })

type Handle = (req: IncomingMessage, res: ServerResponse, url: URL) => Promise<void>

/** Answers the other site: a listener of its own, so that a firewall and client certificates can guard it. */
export class PeerServer {
  readonly #options: PeerServerOptions
  readonly #server: http.Server
  readonly #stopping = new AbortController()
  readonly #routes: Record<string, Handle>

  constructor(options: PeerServerOptions) {
    this.#options = options
    this.#routes = {
      [`POST ${PATHS.hello}`]: (req, res) => this.#hello(req, res),
      [`POST ${PATHS.instances}`]: (req, res) => this.#store(req, res),
      [`POST ${PATHS.lacking}`]: (req, res) => this.#lacking(req, res),
      [`POST ${PATHS.verified}`]: (req, res) => this.#verified(req, res),
      [`POST ${PATHS.owe}`]: (req, res) => this.#owe(req, res),
      [`GET ${PATHS.events}`]: (_req, res, url) => this.#events(res, url),
      [`GET ${PATHS.yourEvents}`]: (_req, res, url) => this.#yourEvents(res, url),
      [`GET ${PATHS.records}`]: (_req, res, url) => this.#record(res, url),
      [`GET ${PATHS.digests}`]: (_req, res, url) => this.#digests(res, url),
    }
    const limits = { requestTimeout: 0, headersTimeout: 15_000, keepAliveTimeout: 60_000, highWaterMark: 128 * 1024 }
    const handle = (req: IncomingMessage, res: ServerResponse): void => void this.#handle(req, res)
    this.#server = options.tls
      ? https.createServer(
          { ...limits, ...options.tls, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true },
          handle,
        )
      : http.createServer(limits, handle)
    this.#server.maxConnections = 256
    this.#server.setTimeout(2 * WAIT_MS_MAX)
  }

  async listen(): Promise<number> {
    const { host, port } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
    this.#server.on('error', (error) => this.#options.warn('the peer listener failed', { reason: error.message }))
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      const url = new URL(req.url ?? '/', 'http://peer')
      const wanted = /^\/peer\/v1\/instances\/([0-9a-f]{64})$/.exec(url.pathname)?.[1]
      this.#admit(url.pathname, req.headers[SITE_HEADER])
      if (req.method === 'GET' && wanted !== undefined) return await this.#fetch(res, wanted)
      const handle = this.#routes[`${req.method} ${url.pathname}`]
      if (!handle) throw new PeerError('refused', 'this version of the peer protocol knows no such call')
      await handle(req, res, url)
    } catch (error) {
      this.#refuse(req, res, error)
    }
  }

  #admit(path: string, site: string | string[] | undefined): void {
    const { pair } = this.#options
    if (typeof site !== 'string') throw new PeerError('refused', 'no site says who it is')
    if (path === PATHS.yourEvents) pair.assertIs(site)
    else if (path !== PATHS.hello) pair.assertAdmits(site)
  }

  #refuse(req: IncomingMessage, res: ServerResponse, error: unknown): void {
    if (res.headersSent || res.destroyed) {
      res.destroy()
      return
    }
    const { code, message } = refusalFor(error)
    if (!req.complete) res.setHeader('connection', 'close')
    res.writeHead(peerStatus(code), { 'content-type': 'application/json' })
    res.end(JSON.stringify({ code, message: message.slice(0, 1000) }))
  }

  async #hello(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const theirs = helloSchema.parse(await readJson(req))
    if (theirs.site !== req.headers[SITE_HEADER]) throw new PeerError('refused', 'two names in one greeting')
    answer(res, await this.#options.pair.greeted(theirs))
  }

  async #store(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { sopInstanceUid, source } = copyHeader.parse(JSON.parse(String(req.headers[COPY_HEADER] ?? '{}')))
    const proof = (): z.output<typeof proofSchema> => {
      if (!req.complete) throw new ArchiveError('aborted', 'the other site broke off')
      return proofSchema.parse(JSON.parse(req.trailers[PROOF_TRAILER] ?? '{}'))
    }
    const body = tellingProgress(req, res)
    const { pair, receive } = this.#options
    try {
      const { sha256 } = await receive.receive({ body, source, expected: { sopInstanceUid }, fromPeer: { proof } })
      answer(res, { sha256 })
    } catch (error) {
      // The other site has it, and this one hasn't.
      pair.doubt()
      throw error
    }
  }

  async #lacking(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { copies } = entriesSchema.parse(await readJson(req))
    answer(res, { lacking: await lacking(this.#options.local, copies) })
  }

  /** From the bytes as they are now, never from the catalogue: the other site promises by it (storage commitment). */
  async #verified(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { sha256s } = digestListSchema.parse(await readJson(req))
    const { catalogue, isIntact } = this.#options
    const verified: boolean[] = []
    for (const sha256 of sha256s) {
      const record = await catalogue.byDigest(sha256)
      verified.push(record !== undefined && (await isIntact(record)))
    }
    answer(res, { verified })
  }

  async #owe(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { copies } = copiesSchema.parse(await readJson(req))
    await this.#options.local.owe(copies)
    this.#options.pair.doubt()
    answer(res, {})
  }

  async #events(res: ServerResponse, url: URL): Promise<void> {
    const after = number.parse(url.searchParams.get('after'))
    const waitMs = number.max(WAIT_MS_MAX).parse(url.searchParams.get('waitMs') ?? 0)
    const { events } = this.#options
    let lines = await events.lines(after)
    if (lines.length === 0 && waitMs > 0) {
      const gone = new AbortController()
      res.once('close', () => gone.abort())
      await events.moved(AbortSignal.any([AbortSignal.timeout(waitMs), gone.signal, this.#stopping.signal]))
      lines = await events.lines(after)
    }
    res.writeHead(OK, { 'content-type': 'application/jsonl' })
    res.end(lines)
  }

  async #yourEvents(res: ServerResponse, url: URL): Promise<void> {
    const kept = await this.#options.peerEvents()
    res.writeHead(OK, { 'content-type': 'application/jsonl' })
    res.end(await kept?.lines(number.parse(url.searchParams.get('after'))))
  }

  async #digests(res: ServerResponse, url: URL): Promise<void> {
    const prefix = url.searchParams.get('prefix') ?? ''
    answer(res, await this.#options.local.digests({ prefix, list: url.searchParams.get('list') === '1' }))
  }

  /** Empty where it isn't here: no record is. */
  async #record(res: ServerResponse, url: URL): Promise<void> {
    const sha256 = digest.parse(url.searchParams.get('sha256'))
    res.writeHead(OK, { 'content-type': 'application/json' })
    res.end(await this.#options.records.get(sha256))
  }

  async #fetch(res: ServerResponse, sha256: string): Promise<void> {
    const { catalogue, instances } = this.#options
    const record = await catalogue.byDigest(sha256)
    if (!record) {
      res.writeHead(NOT_FOUND).end()
      return
    }
    res.writeHead(OK, { 'content-type': 'application/octet-stream', 'content-length': record.sizeBytes })
    await pipeline(instances.open(record).bytes(), res)
  }
}

function answer(res: ServerResponse, value: object): void {
  res.writeHead(OK, { 'content-type': 'application/json' })
  res.end(JSON.stringify(value))
}

/** Answers 102 (Processing) again and again while bytes arrive: the sender can't see past its own buffers. */
async function* tellingProgress(req: IncomingMessage, res: ServerResponse): AsyncGenerator<Buffer> {
  let toldAt = performance.now()
  for await (const chunk of req as AsyncIterable<Buffer>) {
    if (performance.now() - toldAt > PROGRESS_MS) {
      res.writeProcessing()
      toldAt = performance.now()
    }
    yield chunk
  }
}

async function readJson(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > JSON_BYTES_MAX) throw new PeerError('refused', 'a request is too long')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString())
}

/** `later` is what a retry may mend; input that Firn itself let through at one site is not refused for ever at the other without need. */
export function refusalFor(error: unknown): { code: 'busy' | 'refused' | 'never'; message: string } {
  const { message } = error as Error
  if (error instanceof PeerError) return { code: error.code === 'away' ? 'busy' : error.code, message }
  if (error instanceof ArchiveError) return { code: error.retry === 'never' ? 'never' : 'busy', message }
  if (error instanceof z.ZodError || error instanceof SyntaxError) return { code: 'refused', message }
  return { code: 'busy', message }
}

import http from 'node:http'
import https from 'node:https'
import type { z } from 'zod'
import {
  type Copy,
  type CopyId,
  type DigestAnswer,
  type DigestEntry,
  type DigestRange,
  type Hello,
  PeerError,
  type PeerLink,
  type Sending,
} from '../../replication/ports.ts'
import { type Answer, refusalOf } from './answers.ts'
import { reasonOf } from './connection-reasons.ts'
import { HttpSending } from './http-sending.ts'
import { NOT_FOUND, OK } from './status-map.ts'
import {
  COPY_HEADER,
  digestsSchema,
  helloSchema,
  JSON_BYTES_MAX,
  lackingSchema,
  PATHS,
  PROOF_TRAILER,
  SITE_HEADER,
  verifiedSchema,
} from './wire.ts'

export interface HttpLinkOptions {
  /** Origins under which the other site can be reached, the best first. */
  addresses: readonly string[]
  /** Our own storage's name. */
  site: string
  tls: { key: Buffer; cert: Buffer; ca: Buffer } | undefined
  /** A call that makes no progress for so long has failed. */
  timeoutMs: number
  connectionsMax: number
}

/** Summing 100 million digests takes its time. */
const DIGESTS_TIMEOUT_MS = 30 * 60_000
/** Fifty large instances are read and hashed. */
const VERIFY_TIMEOUT_MS = 5 * 60_000
const ATTEMPT_MS = 3000

/** The other site over HTTP(S). One address is used until it fails; then the next one is tried. */
export class HttpLink implements PeerLink {
  readonly #options: HttpLinkOptions
  readonly #agent: http.Agent
  readonly #underway = new Set<http.ClientRequest>()
  #address = 0
  /** Which address a request was sent to: by the time it fails, others may have moved on to the next one. */
  readonly #sentTo = new WeakMap<http.ClientRequest, number>()

  constructor(options: HttpLinkOptions) {
    this.#options = options
    const { tls, connectionsMax } = options
    // As many calls at once as the other site is sent instances; what is more waits its turn.
    const agent = { keepAlive: true, maxSockets: connectionsMax, maxFreeSockets: connectionsMax }
    this.#agent = tls ? new https.Agent({ ...agent, ...tls, minVersion: 'TLSv1.3' }) : new http.Agent(agent)
  }

  /** Breaks off what is under way, however long the other site would take. */
  close(): void {
    for (const request of this.#underway) request.destroy(new Error('this site stops'))
    this.#agent.destroy()
  }

  async hello(mine: Hello): Promise<Hello> {
    return this.#json('POST', PATHS.hello, helloSchema, mine, { timeoutMs: ATTEMPT_MS, ownSocket: true })
  }

  send({ sopInstanceUid, source }: Pick<Copy, 'sopInstanceUid' | 'source'>): Sending {
    const request = this.#request('POST', PATHS.instances, {
      headers: {
        'transfer-encoding': 'chunked',
        trailer: PROOF_TRAILER,
        [COPY_HEADER]: JSON.stringify({ sopInstanceUid, source }),
      },
    })
    request.setNoDelay(true)
    return new HttpSending(request, this.#options.timeoutMs, (error) => this.#failed(request, error))
  }

  async lacking(copies: readonly DigestEntry[]): Promise<boolean[]> {
    const { lacking } = await this.#json('POST', PATHS.lacking, lackingSchema, { copies })
    if (lacking.length !== copies.length) throw new PeerError('refused', 'an answer for each copy was expected')
    return lacking
  }

  async verified(sha256s: readonly string[]): Promise<boolean[]> {
    const options = { timeoutMs: VERIFY_TIMEOUT_MS, ownSocket: true }
    const { verified } = await this.#json('POST', PATHS.verified, verifiedSchema, { sha256s }, options)
    if (verified.length !== sha256s.length) throw new PeerError('refused', 'an answer for each digest was expected')
    return verified
  }

  async owe(copies: readonly CopyId[]): Promise<void> {
    await this.#call('POST', PATHS.owe, { copies })
  }

  async events(after: number, waitMs: number): Promise<Buffer> {
    const path = `${PATHS.events}?after=${after}&waitMs=${waitMs}`
    const timeoutMs = waitMs + this.#options.timeoutMs
    return (await this.#call('GET', path, undefined, { timeoutMs, ownSocket: true })).body
  }

  async ourEvents(after: number): Promise<Buffer> {
    return (await this.#call('GET', `${PATHS.yourEvents}?after=${after}`)).body
  }

  async digests({ prefix, list }: DigestRange): Promise<DigestAnswer> {
    const path = `${PATHS.digests}?prefix=${prefix}&list=${list ? 1 : 0}`
    return this.#json('GET', path, digestsSchema, undefined, { timeoutMs: DIGESTS_TIMEOUT_MS, ownSocket: true })
  }

  async record(sha256: string): Promise<string | undefined> {
    const { body } = await this.#call('GET', `${PATHS.records}?sha256=${sha256}`)
    return body.length === 0 ? undefined : body.toString()
  }

  async fetch(sha256: string): Promise<AsyncIterable<Buffer> | undefined> {
    const request = this.#request('GET', `${PATHS.instances}/${sha256}`, {})
    request.setTimeout(this.#options.timeoutMs, () => request.destroy(new Error('no answer in time')))
    request.end()
    const response = await this.#response(request)
    if (response.statusCode === OK) return response
    const body = await read(response)
    if (response.statusCode === NOT_FOUND) return undefined
    throw refusalOf({ status: response.statusCode ?? 0, body })
  }

  async #json<Schema extends z.ZodType>(
    method: string,
    path: string,
    schema: Schema,
    body?: object,
    options?: { timeoutMs?: number; ownSocket?: boolean },
  ): Promise<z.output<Schema>> {
    const answer = await this.#call(method, path, body, options)
    try {
      return schema.parse(JSON.parse(answer.body.toString()))
    } catch (error) {
      throw new PeerError('refused', `the answer to ${path} can't be understood`, { cause: error })
    }
  }

  async #call(
    method: string,
    path: string,
    body?: object,
    { timeoutMs = this.#options.timeoutMs, ownSocket = false } = {},
  ): Promise<Answer> {
    const text = body && Buffer.from(JSON.stringify(body))
    const headers = text ? { 'content-type': 'application/json', 'content-length': text.length } : {}
    const request = this.#request(method, path, { headers, ownSocket })
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    request.end(text)
    const response = await this.#response(request)
    try {
      const answer = { status: response.statusCode ?? 0, body: await read(response) }
      if (answer.status !== OK) throw refusalOf(answer)
      return answer
    } catch (error) {
      throw error instanceof PeerError ? error : this.#failed(request, error as Error)
    }
  }

  /** Greetings and long waits must not queue behind instances for a connection, nor these behind them. */
  #request(
    method: string,
    path: string,
    { headers = {}, ownSocket = false }: { headers?: http.OutgoingHttpHeaders; ownSocket?: boolean },
  ): http.ClientRequest {
    const { addresses, site, tls } = this.#options
    const url = new URL(path, addresses[this.#address])
    const options = { method, headers: { ...headers, [SITE_HEADER]: site } }
    const own = tls ? { ...tls, agent: false as const } : { agent: false as const }
    const request = (tls ? https : http).request(url, { ...options, ...(ownSocket ? own : { agent: this.#agent }) })
    this.#sentTo.set(request, this.#address)
    this.#underway.add(request)
    request.once('close', () => this.#underway.delete(request))
    // Whoever awaits the response hears of it too; without a listener it would end the process.
    request.on('error', () => undefined)
    return request
  }

  #response(request: http.ClientRequest): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      request.once('response', resolve)
      request.once('error', (error) => reject(this.#failed(request, error)))
    })
  }

  #failed(request: http.ClientRequest, error: Error): PeerError {
    const { addresses } = this.#options
    const sentTo = this.#sentTo.get(request) ?? this.#address
    if (sentTo === this.#address) this.#address = (sentTo + 1) % addresses.length
    return new PeerError('away', `${addresses[sentTo]}: ${reasonOf(error)}`, { cause: error })
  }
}

async function read(response: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > JSON_BYTES_MAX) throw new PeerError('refused', 'an answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

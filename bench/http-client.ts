/** A plain HTTP client that costs little: bodies are buffers or streams, answers are kept or only counted. */
import { type Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export interface RequestOptions {
  method: string
  url: string
  agent: Agent
  headers: Record<string, string>
  body?: Buffer | AsyncIterable<Buffer>
}

async function open({ method, url, agent, headers, body }: RequestOptions): Promise<IncomingMessage> {
  const outgoing = request(url, { method, agent, headers })
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve)
    outgoing.once('error', reject)
  })
  response.catch(() => {})
  if (body === undefined || Buffer.isBuffer(body)) outgoing.end(body)
  else await pipeline(Readable.from(body, { objectMode: false, highWaterMark: 1 << 20 }), outgoing)
  return response
}

export async function send(options: RequestOptions): Promise<{ status: number; body: Buffer }> {
  const response = await open(options)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks) }
}

const DRAIN_BYTES = 1024 * 1024

/**
 * Reads the answer to its end and throws it away; `bytes` counts what came over the wire. Over a bare socket into one
 * buffer: Node's HTTP client alone takes a core at some 1,200 MB/s, and would be what is measured.
 */
export async function drain({ url, headers }: Pick<RequestOptions, 'url' | 'headers'>) {
  const { hostname, port, pathname, search } = new URL(url)
  const buffer = Buffer.allocUnsafeSlow(DRAIN_BYTES)
  let status = 0
  let bytes = 0
  await new Promise<void>((resolve, reject) => {
    const callback = (received: number): boolean => {
      if (bytes === 0) status = Number(buffer.toString('latin1', 9, 12))
      bytes += received
      return true
    }
    const socket = connect({ host: hostname, port: Number(port), onread: { buffer, callback } })
    const lines = Object.entries({ host: hostname, connection: 'close', ...headers }).map(([k, v]) => `${k}: ${v}\r\n`)
    socket.write(`GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`)
    socket.once('error', reject)
    socket.once('close', () => resolve())
  })
  return { status, bytes }
}

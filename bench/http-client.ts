/** A plain HTTP client that costs little: bodies are buffers or streams, answers are kept or only counted. */
import { type Agent, type IncomingMessage, request } from 'node:http'
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

/** Reads the answer to its end and throws it away. */
export async function drain(options: RequestOptions): Promise<{ status: number; bytes: number }> {
  const response = await open(options)
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  await new Promise((resolve, reject) => {
    response.once('end', resolve)
    response.once('error', reject)
    response.once('aborted', () => reject(new Error('the answer was cut off')))
  })
  return { status: response.statusCode ?? 0, bytes }
}

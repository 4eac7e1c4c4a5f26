import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { constants, createGzip, gzip } from 'node:zlib'
import type { Request, Response } from 'express'

const GZIP_BYTES_MIN = 1024
const LEVEL = { level: constants.Z_BEST_SPEED }

/** One piece of a body, or several that go out together. */
export type Chunk = Buffer | readonly Buffer[]

/** Writes at the client's pace: what is read ahead is the source's affair. Leaves the source when the client has gone. */
export async function sendChunks(to: Writable, chunks: AsyncIterable<Chunk>): Promise<void> {
  if (to.destroyed) return
  for await (const chunk of chunks) {
    if (to.destroyed) return
    if (!writeChunk(to, chunk)) await drained(to)
    if (to.destroyed) return
  }
}

/** False when the client takes no more for now. */
function writeChunk(to: Writable, chunk: Chunk): boolean {
  if (Buffer.isBuffer(chunk)) return to.write(chunk)
  let flowing = true
  to.cork()
  for (const buffer of chunk) flowing = to.write(buffer)
  to.uncork()
  return flowing
}

async function drained(to: Writable): Promise<void> {
  if (to.destroyed) return
  const gone = new AbortController()
  const close = (): void => gone.abort()
  to.once('close', close)
  try {
    await once(to, 'drain', { signal: gone.signal })
  } catch {
    // Closed: the caller sees that it is destroyed.
  } finally {
    to.off('close', close)
  }
}

/**
 * Ends a response with streamed chunks; a failure after the headers breaks the connection, so that nobody takes a part
 * for the whole. A HEAD request opens nothing.
 */
export async function streamBody(req: Request, res: Response, open: () => AsyncIterable<Chunk>): Promise<void> {
  if (req.method === 'HEAD') {
    res.end()
    return
  }
  try {
    await sendChunks(res, open())
    res.end()
  } catch (error) {
    if (!res.headersSent) throw error
    res.destroy(error as Error)
  }
}

export function acceptsGzip(req: Request): boolean {
  return /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(req.get('accept-encoding') ?? '')
}

/** A text body that is at hand. */
export async function sendText(req: Request, res: Response, type: string, text: string | Buffer): Promise<void> {
  res.type(type).vary('Accept-Encoding')
  let body: Buffer = typeof text === 'string' ? Buffer.from(text) : text
  if (body.length >= GZIP_BYTES_MIN && acceptsGzip(req)) {
    const plain = body
    body = await new Promise<Buffer>((done, fail) =>
      gzip(plain, LEVEL, (error, zipped) => (error ? fail(error) : done(zipped))),
    )
    res.set('Content-Encoding', 'gzip')
  }
  res.set('Content-Length', String(body.length))
  res.end(req.method === 'HEAD' ? undefined : body)
}

/** A text body that is made while it is sent. */
export async function streamText(
  req: Request,
  res: Response,
  type: string,
  open: () => AsyncIterable<Buffer>,
): Promise<void> {
  res.type(type).vary('Accept-Encoding')
  if (req.method === 'HEAD' || !acceptsGzip(req)) return streamBody(req, res, open)
  res.set('Content-Encoding', 'gzip')
  const zip = createGzip(LEVEL)
  zip.pipe(res)
  res.once('close', () => zip.destroy())
  try {
    await sendChunks(zip, open())
    zip.end()
  } catch (error) {
    res.destroy(error as Error)
  }
}

/** True when the client's copy is current: 304 was sent. */
export function notModified(req: Request, res: Response, etag: string): boolean {
  res.set('ETag', etag)
  const known = (req.get('if-none-match') ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''))
  if (!known.includes(etag.replace(/^W\//, '')) && !known.includes('*')) return false
  res.status(304).end()
  return true
}

import { randomBytes } from 'node:crypto'

const CRLF = Buffer.from('\r\n')

export interface Part {
  headers: Map<string, string>
  body: Buffer
}

/** A multipart/related body (RFC 2387) of the given parts. */
export function multipart(
  parts: readonly Buffer[],
  boundary: string = `b${randomBytes(12).toString('hex')}`,
  partHeaders = 'Content-Type: application/dicom\r\n',
): { body: Buffer; contentType: string } {
  const pieces: Buffer[] = []
  for (const part of parts) pieces.push(Buffer.from(`--${boundary}\r\n${partHeaders}\r\n`), part, CRLF)
  pieces.push(Buffer.from(`--${boundary}--\r\n`))
  return { body: Buffer.concat(pieces), contentType: stowType(boundary) }
}

export function stowType(boundary: string): string {
  return `multipart/related; type="application/dicom"; boundary="${boundary}"`
}

/** Takes a multipart response apart; throws on anything that RFC 2046 doesn't allow. */
export function parseMultipart(body: Buffer, contentType: string): Part[] {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  const name = boundary?.[1] ?? boundary?.[2]
  if (name === undefined) throw new Error(`no boundary in ${contentType}`)
  const delimiter = Buffer.from(`\r\n--${name}`)
  const parts: Part[] = []
  let at = body.indexOf(`--${name}`)
  if (at < 0) throw new Error('first boundary missing')
  at += name.length + 2
  for (;;) {
    if (body.toString('latin1', at, at + 2) === '--') return parts
    const headersEnd = body.indexOf('\r\n\r\n', at)
    const end = headersEnd < 0 ? -1 : body.indexOf(delimiter, headersEnd + 2)
    if (end < 0) throw new Error(`part ${parts.length + 1} has no end`)
    parts.push({
      headers: parseHeaders(body.toString('latin1', at, headersEnd)),
      body: body.subarray(headersEnd + 4, Math.max(end, headersEnd + 4)),
    })
    at = end + delimiter.length
  }
}

function parseHeaders(block: string): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of block.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return headers
}

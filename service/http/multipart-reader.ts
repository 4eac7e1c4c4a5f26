import { ArchiveError } from '../errors.ts'

export interface Part {
  /** Names in lower case. */
  headers: ReadonlyMap<string, string>
  /** To be read to its end, or left early, before the next part is asked for. */
  body: AsyncIterable<Buffer>
}

const HEADER_BYTES_MAX = 16 * 1024
const PREAMBLE_BYTES_MAX = 64 * 1024
const CR = 0x0d

/**
 * Reads a multipart stream (RFC 2046 5.1) part by part. Holds one chunk at a time and copies nothing but what
 * straddles two chunks, so that a part may have any size.
 */
export class MultipartReader {
  readonly #source: AsyncIterator<Buffer>
  readonly #delimiter: Buffer
  /** What was read and not yet used. */
  #rest: Buffer = Buffer.from('\r\n')
  #inPart = false

  constructor(source: AsyncIterable<Buffer>, boundary: string) {
    this.#source = source[Symbol.asyncIterator]()
    this.#delimiter = Buffer.from(`\r\n--${boundary}`)
  }

  /** Undefined after the last part. Throws ArchiveError `invalid_request` when the framing is broken. */
  async nextPart(): Promise<Part | undefined> {
    if (this.#inPart) await this.#skip(Number.POSITIVE_INFINITY)
    else await this.#skip(PREAMBLE_BYTES_MAX)
    if (await this.#isLastDelimiter()) return undefined
    const headers = await this.#headers()
    this.#inPart = true
    return { headers, body: this.#body() }
  }

  async #skip(bytesMax: number): Promise<void> {
    let skipped = 0
    for await (const chunk of this.#body()) {
      skipped += chunk.length
      if (skipped > bytesMax) throw new ArchiveError('invalid_request', 'no part begins: the boundary was not found')
    }
  }

  /** Everything up to the next delimiter, which is taken too. */
  async *#body(): AsyncGenerator<Buffer> {
    if (this.#atDelimiterEnd) return
    for (;;) {
      const found = this.#rest.indexOf(this.#delimiter)
      if (found >= 0) {
        const last = this.#rest.subarray(0, found)
        this.#rest = this.#rest.subarray(found + this.#delimiter.length)
        this.#atDelimiterEnd = true
        if (last.length > 0) yield last
        return
      }
      const keep = this.#possibleDelimiterStart()
      const safe = this.#rest.subarray(0, keep)
      this.#rest = this.#rest.subarray(keep)
      if (safe.length > 0) yield safe
      await this.#more()
    }
  }

  #atDelimiterEnd = false

  /** Offset in the rest from which a delimiter could have begun that the next chunk completes. */
  #possibleDelimiterStart(): number {
    const rest = this.#rest
    const from = Math.max(0, rest.length - this.#delimiter.length + 1)
    for (let at = rest.indexOf(CR, from); at >= 0; at = rest.indexOf(CR, at + 1)) {
      if (this.#delimiter.subarray(0, rest.length - at).equals(rest.subarray(at))) return at
    }
    return rest.length
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#source.next()
    if (done) throw new ArchiveError('invalid_request', 'the multipart body ends without its closing boundary')
    this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value])
  }

  /** Behind a delimiter stand `--` for the last one, or blanks and a line's end. */
  async #isLastDelimiter(): Promise<boolean> {
    while (this.#rest.length < 2) await this.#more()
    if (this.#rest.toString('latin1', 0, 2) === '--') return true
    const line = await this.#line(HEADER_BYTES_MAX)
    if (line.trim() !== '') throw new ArchiveError('invalid_request', 'text follows a boundary on its line')
    this.#atDelimiterEnd = false
    return false
  }

  async #headers(): Promise<Map<string, string>> {
    const headers = new Map<string, string>()
    let left = HEADER_BYTES_MAX
    for (;;) {
      const line = await this.#line(left)
      if (line === '') {
        await this.#takeEmptyPartsDelimiter()
        return headers
      }
      left -= line.length
      const colon = line.indexOf(':')
      if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
    }
  }

  /** An empty part's delimiter may begin with the line end of the empty line, which was taken already. */
  async #takeEmptyPartsDelimiter(): Promise<void> {
    const dashes = this.#delimiter.subarray(2)
    while (this.#rest.length < dashes.length && dashes.subarray(0, this.#rest.length).equals(this.#rest)) {
      await this.#more()
    }
    if (!this.#rest.subarray(0, dashes.length).equals(dashes)) return
    this.#rest = this.#rest.subarray(dashes.length)
    this.#atDelimiterEnd = true
  }

  async #line(bytesMax: number): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf('\r\n')
      if (end > bytesMax || (end < 0 && this.#rest.length > bytesMax)) {
        throw new ArchiveError('invalid_request', "a part's header is too long")
      }
      if (end >= 0) {
        const line = this.#rest.toString('latin1', 0, end)
        this.#rest = this.#rest.subarray(end + 2)
        return line
      }
      await this.#more()
    }
  }
}

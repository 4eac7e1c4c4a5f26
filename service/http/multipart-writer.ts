import { randomUUID } from 'node:crypto'

export interface OutgoingPart {
  contentType: string
  location?: string
  sizeBytes: number
  bytes: () => AsyncIterable<Buffer>
}

/** Writes multipart/related bodies (RFC 2387) of known length or without. */
export class MultipartWriter {
  readonly boundary = `firn-${randomUUID()}`
  readonly #type: string

  constructor(type: string) {
    this.#type = type
  }

  get contentType(): string {
    return `multipart/related; type="${this.#type}"; boundary=${this.boundary}`
  }

  #head({ contentType, location, sizeBytes }: Omit<OutgoingPart, 'bytes'>): Buffer {
    const lines = [`--${this.boundary}`, `Content-Type: ${contentType}`, `Content-Length: ${sizeBytes}`]
    if (location !== undefined) lines.push(`Content-Location: ${location}`)
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
  }

  get #end(): Buffer {
    return Buffer.from(`--${this.boundary}--\r\n`)
  }

  /** Bytes of the whole body. */
  sizeOf(parts: Iterable<Omit<OutgoingPart, 'bytes'>>): number {
    let bytes = this.#end.length
    for (const part of parts) bytes += this.#head(part).length + part.sizeBytes + LINE_END.length
    return bytes
  }

  async *body(parts: AsyncIterable<OutgoingPart> | Iterable<OutgoingPart>): AsyncGenerator<Buffer> {
    let before: Buffer = Buffer.alloc(0)
    for await (const part of parts) {
      yield Buffer.concat([before, this.#head(part)])
      yield* part.bytes()
      before = LINE_END
    }
    yield Buffer.concat([before, this.#end])
  }
}

const LINE_END = Buffer.from('\r\n')

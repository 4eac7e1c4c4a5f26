import { randomUUID } from 'node:crypto'
import type { Piece } from '../retrieve/read-ahead.ts'

export interface PartHead {
  contentType: string
  location?: string
  sizeBytes: number
}

export interface OutgoingPart extends PartHead {
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

  #head({ contentType, location, sizeBytes }: PartHead): Buffer {
    const lines = [`--${this.boundary}`, `Content-Type: ${contentType}`, `Content-Length: ${sizeBytes}`]
    if (location !== undefined) lines.push(`Content-Location: ${location}`)
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
  }

  get #end(): Buffer {
    return Buffer.from(`--${this.boundary}--\r\n`)
  }

  /** Bytes of the whole body. */
  sizeOf(parts: Iterable<PartHead>): number {
    let bytes = this.#end.length
    for (const part of parts) bytes += this.#head(part).length + part.sizeBytes + LINE_END.length
    return bytes
  }

  async *body(parts: Iterable<OutgoingPart>): AsyncGenerator<Buffer[]> {
    let before: readonly Buffer[] = []
    for (const part of parts) {
      before = [...before, this.#head(part)]
      for await (const bytes of part.bytes()) {
        yield [...before, bytes]
        before = []
      }
      before = [...before, LINE_END]
    }
    yield [...before, this.#end]
  }

  /** One part of a body whose parts are made while it is sent; `end` goes behind the last. */
  async *part(part: OutgoingPart): AsyncGenerator<Buffer> {
    yield this.#head(part)
    yield* part.bytes()
    yield LINE_END
  }

  get end(): Buffer {
    return this.#end
  }

  /** A body of parts that are read many at a time; `partOf` describes the part that a piece's owner becomes. */
  async *bodyOf<Owner>(
    windows: AsyncIterable<Piece<Owner>[]>,
    partOf: (owner: Owner) => PartHead,
  ): AsyncGenerator<Buffer[]> {
    let before: Buffer | undefined
    for await (const pieces of windows) {
      const buffers: Buffer[] = []
      for (const { owner, start, bytes } of pieces) {
        if (start === 0) {
          if (before) buffers.push(before)
          buffers.push(this.#head(partOf(owner)))
          before = LINE_END
        }
        buffers.push(bytes)
      }
      yield buffers
    }
    yield before ? [before, this.#end] : [this.#end]
  }
}

const LINE_END = Buffer.from('\r\n')

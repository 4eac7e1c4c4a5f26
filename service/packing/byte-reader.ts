/** Takes a sequence of chunks apart into pieces of other lengths, without copying what is only passed. */
export class ByteReader {
  /** Bytes that were taken or passed. */
  position = 0
  readonly #chunks: AsyncIterator<Buffer>
  readonly #arrived: (chunk: Buffer) => void
  #chunk: Buffer = Buffer.alloc(0)
  #ended = false

  /** @param arrived sees every byte once, in order, before it can be taken */
  constructor(chunks: AsyncIterable<Buffer>, arrived: (chunk: Buffer) => void = () => undefined) {
    this.#chunks = chunks[Symbol.asyncIterator]()
    this.#arrived = arrived
  }

  /** The next bytes, in pieces as they come; fewer than `bytes` when there are no more. */
  async *pieces(bytes: number): AsyncGenerator<Buffer> {
    let left = bytes
    while (left > 0 && !(await this.ended())) {
      const piece = this.#chunk.subarray(0, left)
      this.#chunk = this.#chunk.subarray(piece.length)
      this.position += piece.length
      left -= piece.length
      yield piece
    }
  }

  /** Whether there are no more bytes. */
  async ended(): Promise<boolean> {
    return this.#chunk.length === 0 && !(await this.#next())
  }

  /** Shows the next bytes to `use`; false when there are fewer than `bytes`. */
  async pass(bytes: number, use: (piece: Buffer) => void): Promise<boolean> {
    const end = this.position + bytes
    for await (const piece of this.pieces(bytes)) use(piece)
    return this.position === end
  }

  /** The next bytes in one buffer; fewer than `bytes` when there are no more. */
  async take(bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    await this.pass(bytes, (piece) => pieces.push(piece))
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
  }

  async #next(): Promise<boolean> {
    while (!this.#ended && this.#chunk.length === 0) {
      const { value, done } = await this.#chunks.next()
      if (done) this.#ended = true
      else {
        this.#chunk = value
        this.#arrived(value)
      }
    }
    return this.#chunk.length > 0
  }

  /** Says that no more will be read. */
  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}

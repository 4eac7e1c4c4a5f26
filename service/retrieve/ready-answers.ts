/** The answers that were given last, in memory: viewers and their neighbours ask for the same study again. */
export class ReadyAnswers {
  readonly #bytesMax: number
  readonly #answerBytesMax: number
  readonly #kept = new Map<string, Buffer>()
  #bytes = 0

  /** @param answerBytesMax a longer answer isn't kept */
  constructor(bytesMax: number, answerBytesMax: number) {
    this.#bytesMax = bytesMax
    this.#answerBytesMax = answerBytesMax
  }

  get(key: string): Buffer | undefined {
    const answer = this.#kept.get(key)
    if (!answer) return undefined
    this.#kept.delete(key)
    this.#kept.set(key, answer)
    return answer
  }

  /** Answers whose keys begin so. */
  forget(prefix: string): void {
    for (const [key, { length }] of this.#kept) {
      if (!key.startsWith(prefix)) continue
      this.#kept.delete(key)
      this.#bytes -= length
    }
  }

  /** Passes pieces on, and keeps them under `key` when they came to their end. */
  async *keeping(key: string, pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const all: Buffer[] = []
    let bytes = 0
    for await (const piece of pieces) {
      bytes += piece.length
      if (bytes <= this.#answerBytesMax) all.push(piece)
      else all.length = 0
      yield piece
    }
    if (bytes <= this.#answerBytesMax) this.#keep(key, Buffer.concat(all))
  }

  #keep(key: string, answer: Buffer): void {
    this.#bytes += answer.length - (this.#kept.get(key)?.length ?? 0)
    this.#kept.delete(key)
    this.#kept.set(key, answer)
    for (const [oldest, { length }] of this.#kept) {
      if (this.#bytes <= this.#bytesMax) break
      this.#kept.delete(oldest)
      this.#bytes -= length
    }
  }
}

import { createHash } from 'node:crypto'
import { ArchiveError } from '../errors.ts'
import type { MemoryGate } from './gate.ts'

/** Memory is granted in steps, so that many small instances don't reserve what only a large one needs. */
const GATE_STEP_BYTES = 256 * 1024
/**
 * Everybody's first bytes pass without asking: enough to find out who an instance is, and to stream it to disk when there
 * is no memory for more. The number of connections bounds them.
 */
const FREE_BYTES = 128 * 1024

/**
 * The beginning of an incoming instance in memory, the rest of it still with its sender. Its memory counts at the gate
 * until `release`.
 */
export class Beginning {
  chunks: Buffer[] = []
  sizeBytes = 0
  /** The body ended: `chunks` are the whole instance. */
  whole = false
  readonly #rest: AsyncIterator<Buffer>
  readonly #gate: MemoryGate
  readonly #hash = createHash('sha256')
  #gatedBytes = 0

  constructor(body: AsyncIterable<Buffer>, gate: MemoryGate) {
    this.#rest = body[Symbol.asyncIterator]()
    this.#gate = gate
  }

  /** Reads on until there are `bytes`, the body ends, or memory is short for too long: false then. */
  async readUpTo(bytes: number): Promise<boolean> {
    while (!this.whole && this.sizeBytes < bytes) {
      const chunk = await this.#next()
      if (!chunk) {
        this.whole = true
        return true
      }
      this.chunks.push(chunk)
      this.sizeBytes += chunk.length
      this.#hash.update(chunk)
      if (!(await this.#account())) return false
    }
    return true
  }

  async #account(): Promise<boolean> {
    const beyond = Math.max(0, this.sizeBytes - FREE_BYTES)
    const wanted = Math.ceil(beyond / GATE_STEP_BYTES) * GATE_STEP_BYTES
    if (wanted <= this.#gatedBytes) return true
    if (!(await this.#gate.take(wanted - this.#gatedBytes))) return false
    this.#gatedBytes = wanted
    return true
  }

  async #next(): Promise<Buffer | undefined> {
    try {
      const { value, done } = await this.#rest.next()
      return done ? undefined : value
    } catch (error) {
      throw bodyFailed(error)
    }
  }

  /** Digest of a body that was read whole; to be asked for once. */
  sha256(): string {
    return this.#hash.digest('hex')
  }

  joined(): Buffer {
    return this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks)
  }

  /** Everything, once; what was in memory is given back as soon as it has been taken. */
  async *stream(): AsyncGenerator<Buffer> {
    yield* this.chunks
    this.release()
    for (let chunk = await this.#next(); chunk; chunk = await this.#next()) yield chunk
    this.whole = true
  }

  release(): void {
    this.#gate.release(this.#gatedBytes)
    this.#gatedBytes = 0
    this.chunks = []
  }

  /** Tells the sender that nothing more will be read. */
  async abandon(): Promise<void> {
    if (!this.whole) await this.#rest.return?.()
  }
}

/** A body fails when its sender goes away; what the protocol layer found wrong with it is passed on. */
function bodyFailed(error: unknown): ArchiveError {
  if (error instanceof ArchiveError) return error
  return new ArchiveError('aborted', `the sender broke off: ${(error as Error).message}`, { cause: error })
}

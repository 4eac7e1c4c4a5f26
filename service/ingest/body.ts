import { ArchiveError } from '../errors.ts'
import type { MemoryGate } from './gate.ts'

/** The beginning of an incoming instance in memory, and the rest of it still with the sender. */
export interface Beginning {
  chunks: Buffer[]
  sizeBytes: number
  /** The body ended: `chunks` are the whole instance. */
  whole: boolean
  /** What follows; only to be iterated when not `whole`. */
  rest: AsyncIterator<Buffer>
  /** Bytes taken from the gate, to be released by whoever ends up with the instance. */
  gated: number
}

/** Memory is granted in steps, so that many small instances don't reserve what only a large one needs. */
const GATE_STEP_BYTES = 256 * 1024

/** Reads up to `bytesMax` of a body, waiting at the gate for memory. */
export async function readBeginning(
  body: AsyncIterable<Buffer>,
  bytesMax: number,
  gate: MemoryGate,
): Promise<Beginning> {
  const rest = body[Symbol.asyncIterator]()
  const beginning: Beginning = { chunks: [], sizeBytes: 0, whole: false, rest, gated: 0 }
  try {
    while (beginning.sizeBytes <= bytesMax) {
      const { value, done } = await rest.next()
      if (done) {
        beginning.whole = true
        break
      }
      beginning.chunks.push(value)
      beginning.sizeBytes += value.length
      const wanted = Math.ceil(beginning.sizeBytes / GATE_STEP_BYTES) * GATE_STEP_BYTES
      if (wanted > beginning.gated) {
        await gate.take(wanted - beginning.gated)
        beginning.gated = wanted
      }
    }
    return beginning
  } catch (error) {
    gate.release(beginning.gated)
    throw bodyFailed(error)
  }
}

/** A body fails when its sender goes away; what the protocol layer found wrong with it is passed on. */
export function bodyFailed(error: unknown): ArchiveError {
  if (error instanceof ArchiveError) return error
  return new ArchiveError('aborted', `the sender broke off: ${(error as Error).message}`, { cause: error })
}

/** The beginning, then the rest. Ending early ends the sender's iterator too. */
export async function* wholeBody({ chunks, rest }: Beginning): AsyncGenerator<Buffer> {
  try {
    yield* chunks
    for (;;) {
      const { value, done } = await rest.next().catch((error) => {
        throw bodyFailed(error)
      })
      if (done) return
      yield value
    }
  } finally {
    await rest.return?.()
  }
}

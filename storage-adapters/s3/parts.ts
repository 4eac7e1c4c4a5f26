import { createHash } from 'node:crypto'
import { readSource } from '../contract/read-source.ts'
import type { Source } from '../contract/source.ts'

export interface Part {
  /** From 1. */
  readonly number: number
  readonly bytes: Buffer
  readonly sha256: string
}

/**
 * A source cut into parts, each held in memory: only what was counted and digested is sent, so neither a source that fails
 * in the middle, nor one that is too short or too long, ever meets a request that is under way. Throws like `readSource`
 * does, at the latest instead of giving the last part.
 */
export async function* partsOf(source: Source, partBytes: number, signal?: AbortSignal): AsyncGenerator<Part, void> {
  let number = 1
  let left = source.sizeBytes
  let gatherer = new Gatherer(Math.min(partBytes, left))
  let ready: Part | undefined
  for await (const chunk of readSource(source, signal)) {
    for (let at = 0; at < chunk.length; ) {
      // Only when more comes: the last part waits for the source's end and its verdict.
      if (ready) yield ready
      ready = undefined
      at += gatherer.take(chunk, at)
      if (!gatherer.isFull) continue
      ready = gatherer.finish(number)
      number += 1
      left -= ready.bytes.length
      gatherer = new Gatherer(Math.min(partBytes, left))
    }
  }
  yield ready ?? gatherer.finish(number)
}

class Gatherer {
  readonly #bytes: Buffer
  readonly #hash = createHash('sha256')
  #filled = 0

  constructor(sizeBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(sizeBytes)
  }

  get isFull(): boolean {
    return this.#filled === this.#bytes.length
  }

  /** Returns how many bytes of the chunk, from `at` on, fitted in. */
  take(chunk: Buffer, at: number): number {
    const copied = chunk.copy(this.#bytes, this.#filled, at)
    this.#hash.update(chunk.subarray(at, at + copied))
    this.#filled += copied
    return copied
  }

  finish(number: number): Part {
    return { number, bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }
}

import { Readable } from 'node:stream'
import type { StorageErrorCode } from '../contract/errors.ts'
import { bytesSource } from '../contract/read-source.ts'
import type { Source } from '../contract/source.ts'

const CHUNK_BYTES = 64 * 1024

/** A source whose streams are remembered, so that a test can see whether they were closed. */
export interface WatchedSource extends Source {
  readonly opened: Readable[]
}

/** Promises what `honest` has and gives `chunks`; an error among them is thrown in its turn. */
function source(honest: Buffer, chunks: () => Iterable<Buffer | Error>): WatchedSource {
  const opened: Readable[] = []
  const { sizeBytes, sha256 } = bytesSource(honest)
  return {
    sizeBytes,
    sha256,
    opened,
    open() {
      const stream = Readable.from(throwing(chunks()), { objectMode: false })
      opened.push(stream)
      return stream
    },
  }
}

async function* throwing(chunks: Iterable<Buffer | Error>): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    // As if each had to be waited for.
    await new Promise(setImmediate)
    if (chunk instanceof Error) throw chunk
    yield chunk
  }
}

export function chunked(bytes: Buffer, sizeBytes = CHUNK_BYTES): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length; at += sizeBytes) chunks.push(bytes.subarray(at, at + sizeBytes))
  return chunks
}

export function honestSource(bytes: Buffer, chunkBytes?: number): WatchedSource {
  return source(bytes, () => chunked(bytes, chunkBytes))
}

export interface Lie {
  readonly name: string
  /** What an adapter must answer. */
  readonly code: StorageErrorCode
  tell(bytes: Buffer): WatchedSource
}

const broken = () => new Error('the other end went away')

function flipped(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes)
  other[at] = (other[at] as number) ^ 1
  return other
}

export const LIES: readonly Lie[] = [
  {
    name: 'gives nothing',
    code: 'integrity_mismatch',
    tell: (bytes) => source(bytes, () => []),
  },
  {
    name: 'ends a byte early',
    code: 'integrity_mismatch',
    tell: (bytes) => source(bytes, () => chunked(bytes.subarray(0, -1))),
  },
  {
    name: 'gives a byte more',
    code: 'integrity_mismatch',
    tell: (bytes) => source(bytes, () => [...chunked(bytes), Buffer.from([7])]),
  },
  {
    name: 'gives itself twice',
    code: 'integrity_mismatch',
    tell: (bytes) => source(bytes, () => [...chunked(bytes), ...chunked(bytes)]),
  },
  {
    name: 'has another first bit',
    code: 'integrity_mismatch',
    tell: (bytes) => source(bytes, () => chunked(flipped(bytes, 0))),
  },
  {
    name: 'has another last bit',
    code: 'integrity_mismatch',
    tell: (bytes) => source(bytes, () => chunked(flipped(bytes, bytes.length - 1))),
  },
  {
    name: 'fails before its first byte',
    code: 'aborted',
    tell: (bytes) => source(bytes, () => [broken()]),
  },
  {
    name: 'fails in the middle',
    code: 'aborted',
    tell: (bytes) => source(bytes, () => [...chunked(bytes.subarray(0, bytes.length / 2)), broken()]),
  },
  {
    name: 'fails after its last byte',
    code: 'aborted',
    tell: (bytes) => source(bytes, () => [...chunked(bytes), broken()]),
  },
  {
    name: 'is closed in the middle without an error',
    code: 'aborted',
    tell(bytes) {
      const watched = source(bytes, () => chunked(bytes))
      const open = () => {
        const stream = new Readable({ read: () => undefined })
        watched.opened.push(stream)
        stream.push(bytes.subarray(0, 10))
        setTimeout(() => stream.destroy(), 20)
        return stream
      }
      return { ...watched, open }
    },
  },
  {
    name: "can't be opened",
    code: 'aborted',
    tell(bytes) {
      const watched = source(bytes, () => [])
      const open = () => {
        throw broken()
      }
      return { ...watched, open }
    },
  },
]

/** Gives half of the bytes and waits; `finish` lets it go on. */
export function stalledSource(bytes: Buffer): WatchedSource & { finish(): void; readonly stalled: Promise<void> } {
  const half = Math.floor(bytes.length / 2)
  const watched = source(bytes, () => [])
  let stalling: () => void = () => undefined
  let finish: () => void = () => undefined
  const stalled = new Promise<void>((resolve) => {
    stalling = resolve
  })
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  async function* chunks(): AsyncGenerator<Buffer> {
    yield bytes.subarray(0, half)
    stalling()
    await finished
    yield bytes.subarray(half)
  }
  const open = () => {
    const stream = Readable.from(chunks(), { objectMode: false })
    watched.opened.push(stream)
    return stream
  }
  return { ...watched, open, stalled, finish }
}

import { ArchiveError } from '../errors.ts'
import type { Segment } from './segment.ts'
import { ALIGNMENT_BYTES } from './slabs.ts'
import { encodeFiller, encodeMemberHeader, MEMBER_HEADER_BYTES, type Member, paddingBytes } from './tar.ts'

export interface Appended {
  segment: number
  /** Of the first byte of the instance's file. */
  offset: number
}

interface Entry {
  /** Encoded beforehand, so that whatever is wrong with one member concerns nobody else's. */
  header: Buffer
  sizeBytes: number
  chunks: readonly Buffer[]
  resolve(at: Appended): void
  reject(error: ArchiveError): void
}

export interface LaneHost {
  segmentBytes: number
  newSegment(): Promise<Segment>
  /** So many entries became durable in the segment. */
  appended(segment: Segment, entries: number): void
  /** The segment gets no more entries. */
  retired(segment: Segment): void
  outOfSpace(): void
}

/** A sync serves this many bytes at the most, so that a lone small instance never waits for hundreds of MB. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024

const PADDING = Buffer.alloc(512)

/**
 * Writes one segment: gathers entries while the previous batch is synced, then one write and one `fdatasync`
 * for all of them (group commit). Entries resolve in order, after their batch is durable.
 */
export class Lane {
  readonly #host: LaneHost
  #queue: Entry[] = []
  #queuedBytes = 0
  #segment: Segment | undefined
  #running: Promise<void> | undefined
  #ending = false

  constructor(host: LaneHost) {
    this.#host = host
  }

  /** Bytes that wait or are being written: how busy the lane is. */
  get load(): number {
    return this.#queuedBytes
  }

  writes(segment: number): boolean {
    return this.#segment?.id === segment
  }

  /** Throws RangeError when the member's header can't be encoded. */
  async append(member: Member, chunks: readonly Buffer[]): Promise<Appended> {
    const header = encodeMemberHeader(member)
    const { sizeBytes } = member
    return new Promise((resolve, reject) => {
      this.#queue.push({ header, sizeBytes, chunks, resolve, reject })
      this.#queuedBytes += sizeBytes
      this.#running ??= this.#run()
    })
  }

  /** Resolves when everything that was appended is durable and the segment is ended. */
  async close(): Promise<void> {
    await this.#running
    await this.#endSegment()
  }

  /** Ends the segment behind what was written to it; what comes later goes into another one. */
  async rotate(): Promise<void> {
    this.#ending = true
    this.#running ??= this.#run()
    await this.#running
  }

  async #run(): Promise<void> {
    // Lets everything that arrives in the same turn of the event loop share the first batch.
    await new Promise(setImmediate)
    while (this.#queue.length > 0 || this.#ending) {
      if (this.#ending) {
        this.#ending = false
        await this.#endSegment()
        continue
      }
      const batch = this.#takeBatch()
      await this.#write(batch)
      for (const { sizeBytes } of batch) this.#queuedBytes -= sizeBytes
    }
    this.#running = undefined
  }

  #takeBatch(): Entry[] {
    let bytes = 0
    let count = 0
    for (const { sizeBytes } of this.#queue) {
      if (count > 0 && bytes + sizeBytes > BATCH_BYTES_MAX) break
      bytes += sizeBytes
      count += 1
    }
    return this.#queue.splice(0, count)
  }

  async #write(batch: Entry[]): Promise<void> {
    try {
      await this.#append(batch)
    } catch (error) {
      await this.#failed(batch, error as NodeJS.ErrnoException)
    }
  }

  async #append(batch: readonly Entry[]): Promise<void> {
    this.#segment ??= await this.#host.newSegment()
    const segment = this.#segment
    const buffers = batch.flatMap(buffersOf)
    const bytes = buffers.reduce((sum, { length }) => sum + length, 0)
    const start = await segment.append([...buffers, encodeFiller(bytes, ALIGNMENT_BYTES)])
    this.#host.appended(segment, batch.length)
    let at = start
    for (const { sizeBytes, resolve } of batch) {
      resolve({ segment: segment.id, offset: at + MEMBER_HEADER_BYTES })
      at += MEMBER_HEADER_BYTES + sizeBytes + paddingBytes(sizeBytes)
    }
    if (segment.durableBytes >= this.#host.segmentBytes) await this.#endSegment()
  }

  /**
   * After a failed write or sync the file's tail is in doubt, and a second fdatasync may report success for pages that
   * never reached the disk. So the segment gets no more entries; what was durable before stays.
   */
  async #failed(batch: Entry[], error: NodeJS.ErrnoException): Promise<void> {
    await this.#dropSegment()
    const full = error.code === 'ENOSPC' || error.code === 'EDQUOT'
    if (full) this.#host.outOfSpace()
    if (full && batch.length > 1) {
      // The smaller ones may still fit.
      for (const entry of batch) await this.#write([entry])
      return
    }
    const refusal = full
      ? new ArchiveError('out_of_space', 'the landing is full', { cause: error })
      : new ArchiveError('storage_failed', `the landing can't be written: ${error.message}`, { cause: error })
    for (const { reject } of batch) reject(refusal)
  }

  async #dropSegment(): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    if (!segment) return
    await segment.cutTail().catch(() => undefined)
    await segment.abandon()
    if (segment.durableBytes === 0) await segment.remove().catch(() => undefined)
    else this.#host.retired(segment)
  }

  async #endSegment(): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    if (!segment) return
    await segment.end().catch(() => undefined)
    this.#host.retired(segment)
  }
}

function buffersOf({ header, sizeBytes, chunks }: Entry): Buffer[] {
  const padding = paddingBytes(sizeBytes)
  const buffers = [header, ...chunks]
  if (padding > 0) buffers.push(PADDING.subarray(0, padding))
  return buffers
}

import { existsSync } from 'node:fs'
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Permit, permits } from '../../storage-adapters/contract/permit.ts'
import type { LandingLocation } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import { syncFolder } from '../sync-folder.ts'
import { DraftWriter } from './draft.ts'
import { listSegments, PARTIAL, segmentKey, segmentPath } from './files.ts'
import { Lane } from './lane.ts'
import { SegmentReader } from './reader.ts'
import { Segment } from './segment.ts'
import { directFlag } from './slabs.ts'
import { Space } from './space.ts'
import { MEMBER_HEADER_BYTES, type Member, type MemberNote } from './tar.ts'

export interface LandingOptions {
  folder: string
  lanes: number
  segmentBytes: number
  reserveBytes?: number | undefined
  /** Write past the operating system's cache where the file system can; default true. */
  directIo?: boolean
  /** A segment got its last entry and all of them are settled. */
  onComplete?(segment: number): void
  /** Numbers up to this one were given out before, even where their segments are gone. */
  lastSegment?: number
}

/** A streamed instance whose bytes have all come: nothing of it exists until it is published. */
export interface Draft {
  sha256: string
  sizeBytes: number
  /**
   * Makes it durable, as received at this time (ISO 8601). Throws ArchiveError `out_of_space`, `storage_failed`; it is
   * gone then.
   */
  publish(received: string): Promise<LandingLocation>
  discard(): Promise<void>
}

/**
 * The site's journal on local disk: append-only tar segments, where an instance is first made durable.
 * When `append` or `stream` resolves, the instance survives kill -9 and power loss.
 */
export class Landing {
  readonly folder: string
  /** Of open(2): O_DIRECT where the file system takes it, else 0. */
  readonly directFlag: number
  readonly space: Space
  readonly #options: LandingOptions
  readonly #reader: SegmentReader
  readonly #lanes: Lane[]
  /** Entries of a segment that the catalogue doesn't have yet. */
  readonly #unsettled = new Map<number, number>()
  readonly #retired = new Set<number>()
  #lastSegment: number

  private constructor(options: LandingOptions, lastSegment: number, flag: number) {
    this.folder = options.folder
    this.directFlag = flag
    this.space = new Space(options.folder, options.reserveBytes)
    this.#options = options
    this.#reader = new SegmentReader(options.folder)
    this.#lastSegment = lastSegment
    const host = {
      segmentBytes: options.segmentBytes,
      newSegment: () => this.#newSegment(this.#nextSegment()),
      appended: (segment: Segment, entries: number) => this.#addUnsettled(segment.id, entries),
      retired: (segment: Segment) => this.#retire(segment.id),
      outOfSpace: () => void this.space.refresh().catch(() => undefined),
    }
    this.#lanes = Array.from({ length: options.lanes }, () => new Lane(host))
  }

  /** The folder must exist. Old segments are never appended to again; what a crash left of streamed instances was never acknowledged. */
  static async open(options: LandingOptions): Promise<Landing> {
    for (const name of await readdir(options.folder)) {
      if (name.endsWith(PARTIAL)) await unlink(join(options.folder, name))
    }
    const segments = await listSegments(options.folder)
    const flag = options.directIo === false ? 0 : await directFlag(options.folder)
    const landing = new Landing(options, Math.max(segments.at(-1) ?? 0, options.lastSegment ?? 0), flag)
    await landing.space.refresh()
    return landing
  }

  /** Appends an instance that is in memory. Throws ArchiveError `out_of_space`, `storage_failed`. */
  async append(member: Member, chunks: readonly Buffer[]): Promise<LandingLocation> {
    await this.#reserve(member.sizeBytes)
    const lane = this.#lanes.reduce((least, next) => (next.load < least.load ? next : least))
    return lane.append(member, chunks)
  }

  /**
   * Streams an instance of any size into a segment of its own, hashing on the way.
   * Throws what the body throws, and ArchiveError `out_of_space`, `storage_failed`, `too_large`.
   */
  async stream(
    { name, source }: { name: string; source: MemberNote['source'] },
    body: AsyncIterable<Buffer>,
    bytesMax: number,
  ): Promise<Draft> {
    await this.#reserve(0)
    const id = this.#nextSegment()
    const path = segmentPath(this.folder, id)
    const segment = await this.#newSegment(id, path + PARTIAL).catch((error) => {
      throw writeFailed(error)
    })
    const discard = async (): Promise<void> => {
      await segment.abandon()
      await unlink(path + PARTIAL).catch(() => undefined)
    }
    const orDiscard = async <T>(work: () => Promise<T>): Promise<T> => {
      try {
        return await work()
      } catch (error) {
        await discard()
        throw error instanceof ArchiveError ? error : writeFailed(error as NodeJS.ErrnoException)
      }
    }
    const draft = new DraftWriter(segment, this.space)
    const { sha256, sizeBytes } = await orDiscard(() => draft.take(body, bytesMax))
    const publish = (received: string): Promise<LandingLocation> => {
      const note: MemberNote = { firn: 1, sha256, received, source }
      return orDiscard(() => this.#publish(segment, draft, { name, sizeBytes, note }))
    }
    return { sha256, sizeBytes, discard, publish }
  }

  async #publish(segment: Segment, draft: DraftWriter, member: Member): Promise<LandingLocation> {
    await draft.finish(member)
    await segment.close()
    await segment.publish(segmentPath(this.folder, segment.id))
    this.#addUnsettled(segment.id, 1)
    this.#retire(segment.id)
    return { segment: segment.id, offset: MEMBER_HEADER_BYTES }
  }

  /** The catalogue has the instance at this place. */
  settled(at: LandingLocation): void {
    const left = (this.#unsettled.get(at.segment) ?? 0) - 1
    if (left > 0) this.#unsettled.set(at.segment, left)
    else this.#unsettled.delete(at.segment)
    this.#maybeComplete(at.segment)
  }

  read(at: LandingLocation, start: number, end: number): AsyncGenerator<Buffer> {
    return this.#reader.read(at, start, end)
  }

  /** Ends the segments that are written to, so that they become complete as soon as the catalogue has all of them. */
  async endSegments(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.rotate()))
  }

  async hasSegment(segment: number): Promise<boolean> {
    return existsSync(segmentPath(this.folder, segment))
  }

  /**
   * Frees a segment's bytes. Readers that have it open finish.
   * Throws without a genuine permit for it, and for a segment that is still being written.
   */
  async removeSegment(segment: number, permit: Permit): Promise<void> {
    if (!permits(permit, segmentKey(segment))) throw new Error(`no permit to free segment ${segment}`)
    if (this.#lanes.some((lane) => lane.writes(segment)) || this.#unsettled.has(segment)) {
      throw new Error(`segment ${segment} is still in use`)
    }
    await this.#reader.close(segment)
    await unlink(segmentPath(this.folder, segment))
    await syncFolder(this.folder)
  }

  /** Finishes what was appended. */
  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()))
    await this.#reader.close()
  }

  #newSegment(id: number, path?: string): Promise<Segment> {
    const { folder, directFlag } = this
    return Segment.create({ folder, id, directFlag, ...(path === undefined ? {} : { path }) })
  }

  #nextSegment(): number {
    this.#lastSegment += 1
    return this.#lastSegment
  }

  async #reserve(bytes: number): Promise<void> {
    if (!(await this.space.fits(bytes))) {
      const mib = Math.floor(this.space.bytesFree / 1024 / 1024)
      throw new ArchiveError('out_of_space', `the landing is full (${mib} MiB free, the rest is in reserve)`)
    }
    this.space.used(bytes)
  }

  #addUnsettled(segment: number, entries: number): void {
    this.#unsettled.set(segment, (this.#unsettled.get(segment) ?? 0) + entries)
  }

  #retire(segment: number): void {
    this.#retired.add(segment)
    this.#maybeComplete(segment)
  }

  #maybeComplete(segment: number): void {
    if (!this.#retired.has(segment) || this.#unsettled.has(segment)) return
    this.#retired.delete(segment)
    this.#options.onComplete?.(segment)
  }
}

function writeFailed(error: NodeJS.ErrnoException): ArchiveError {
  const full = error.code === 'ENOSPC' || error.code === 'EDQUOT'
  return full
    ? new ArchiveError('out_of_space', 'the landing is full', { cause: error })
    : new ArchiveError('storage_failed', `the landing can't be written: ${error.message}`, { cause: error })
}

import { isPacked, type Location } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'

export type ReadStored = (at: Location, start: number, end: number) => AsyncIterable<Buffer>

/** The bytes from `start` to `end` (exclusive) of the instance at `location`. */
export interface Stretch<Owner> {
  owner: Owner
  location: Location
  start: number
  end: number
}

/** Some of a stretch: `bytes` begin at `start` of the instance. */
export interface Piece<Owner> {
  owner: Owner
  start: number
  bytes: Buffer
}

interface Window<Owner> {
  pieces: Piece<Owner>[]
  /** What the window counts for until its reader is done with it. */
  bytesCharged: number
}

const MIB = 1024 * 1024
/** What one reader gets at a time: many small instances, or a part of a large one. */
const WINDOW_BYTES = 2 * MIB
/** The same when memory is short. Not counted, so that nobody ever waits for somebody who has stalled. */
const SHORT_WINDOW_BYTES = 64 * 1024
const SLICES_MAX = 512
/** Read while the reader is busy with one: two, so that the disk has work while a window crosses the event loop. */
const WINDOWS_AHEAD = 2
/** Between neighbours in a segment or pack stands a member's header with some padding: cheaper read than skipped. */
const GAP_BYTES_MAX = 4096

/**
 * Reads instances in windows, the next ones while the reader is busy with this one. All readers together
 * hold `bytesMax`, and 64 KiB each beyond that: who comes when it is used up gets small windows instead of waiting.
 */
export class ReadAhead {
  readonly #read: ReadStored
  readonly #bytesMax: number
  #bytesUsed = 0

  constructor(read: ReadStored, bytesMax = 64 * MIB) {
    this.#read = read
    this.#bytesMax = bytesMax
  }

  /** Bytes that readers hold now. */
  get bytesUsed(): number {
    return this.#bytesUsed
  }

  /** The stretches in order, window by window. A window belongs to its reader until the next one is asked for. */
  async *windows<Owner>(
    stretches: Iterable<Stretch<Owner>> | AsyncIterable<Stretch<Owner>>,
  ): AsyncGenerator<Piece<Owner>[]> {
    const slicer = new Slicer(stretches)
    const ahead: Promise<Window<Owner> | undefined>[] = []
    let window: Window<Owner> | undefined
    try {
      for (;;) {
        window = await (ahead.shift() ?? this.#window(slicer, this.#take(this.#bytesMax)))
        if (!window) return
        this.#readOn(slicer, ahead)
        yield window.pieces
        this.#bytesUsed -= window.bytesCharged
        window = undefined
      }
    } finally {
      this.#bytesUsed -= window?.bytesCharged ?? 0
      for (const unread of await Promise.all(ahead.map((next) => next.catch(() => undefined)))) {
        this.#bytesUsed -= unread?.bytesCharged ?? 0
      }
      await slicer.close()
    }
  }

  /** Reading ahead must not take the memory that others need to read at all. */
  #readOn<Owner>(slicer: Slicer<Owner>, ahead: Promise<Window<Owner> | undefined>[]): void {
    while (ahead.length < WINDOWS_AHEAD && !slicer.done) {
      const granted = this.#take(this.#bytesMax / 2)
      if (granted === 0) return
      const next = this.#window(slicer, granted)
      // What fails ahead is met when its turn comes.
      next.catch(() => undefined)
      ahead.push(next)
    }
  }

  #take(bytesMax: number): number {
    if (this.#bytesUsed + WINDOW_BYTES > bytesMax) return 0
    this.#bytesUsed += WINDOW_BYTES
    return WINDOW_BYTES
  }

  async #window<Owner>(slicer: Slicer<Owner>, granted: number): Promise<Window<Owner> | undefined> {
    let bytesCharged = granted
    try {
      const slices = await slicer.take(granted === 0 ? SHORT_WINDOW_BYTES : granted)
      const bytes = slices.reduce((sum, { start, end }) => sum + end - start, 0)
      if (granted > 0) {
        this.#bytesUsed -= granted - bytes
        bytesCharged = bytes
      }
      return slices.length === 0 ? undefined : { pieces: await this.#readAll(slices), bytesCharged }
    } catch (error) {
      this.#bytesUsed -= bytesCharged
      throw error
    }
  }

  async #readAll<Owner>(slices: readonly Stretch<Owner>[]): Promise<Piece<Owner>[]> {
    const pieces: Piece<Owner>[] = new Array(slices.length)
    await Promise.all(
      runsOf(slices).map(async ({ place, from, to, members }) => {
        const bytes = await this.#gather(place, 0, to - from).catch((error) => {
          // One by one, since another place has its own neighbours.
          if (!(error instanceof ArchiveError)) throw error
        })
        for (const { index, from: begin } of members) {
          const { owner, location, start, end } = slices[index] as Stretch<Owner>
          const at = begin - from
          const own = bytes?.subarray(at, at + end - start) ?? (await this.#gather(location, start, end))
          pieces[index] = { owner, start, bytes: own }
        }
      }),
    )
    return pieces
  }

  async #gather(at: Location, start: number, end: number): Promise<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of this.#read(at, start, end)) chunks.push(chunk)
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
  }
}

/** Cuts stretches into what a window holds; what fits into one window comes whole. */
class Slicer<Owner> {
  readonly #source: Iterator<Stretch<Owner>> | AsyncIterator<Stretch<Owner>>
  #rest: Stretch<Owner> | undefined
  #taking: Promise<unknown> = Promise.resolve()
  /** The source has ended; the last stretch may still have to be cut. */
  #ended = false

  constructor(stretches: Iterable<Stretch<Owner>> | AsyncIterable<Stretch<Owner>>) {
    this.#source = Symbol.asyncIterator in stretches ? stretches[Symbol.asyncIterator]() : stretches[Symbol.iterator]()
  }

  get done(): boolean {
    return this.#ended && this.#rest === undefined
  }

  /** In the order of the calls, also while an earlier one waits for its source. */
  take(bytesMax: number): Promise<Stretch<Owner>[]> {
    const taken = this.#taking.then(() => this.#take(bytesMax))
    this.#taking = taken.catch(() => undefined)
    return taken
  }

  async #take(bytesMax: number): Promise<Stretch<Owner>[]> {
    const slices: Stretch<Owner>[] = []
    let left = bytesMax
    while (left > 0 && slices.length < SLICES_MAX) {
      const stretch = this.#rest ?? (await this.#next())
      if (!stretch) break
      this.#rest = stretch
      const size = stretch.end - stretch.start
      if (size > left && size <= bytesMax) break
      const end = stretch.start + Math.min(size, left)
      slices.push({ ...stretch, end })
      left -= end - stretch.start
      this.#rest = end === stretch.end ? undefined : { ...stretch, start: end }
    }
    return slices
  }

  async #next(): Promise<Stretch<Owner> | undefined> {
    if (this.#ended) return undefined
    const { value, done } = await this.#source.next()
    this.#ended = done === true
    return this.#ended ? undefined : value
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }
}

interface Run {
  container: string
  /** Where it begins. */
  place: Location
  from: number
  to: number
  /** Indices of the slices in it, and where they begin. */
  members: { index: number; from: number }[]
}

/** The file that is read first, and the place in it; where it fails, only the location as a whole says where else to look. */
function placeOf(location: Location): { container: string; place: Location } {
  if (!isPacked(location)) return { container: `segment ${location.segment}`, place: location }
  const { pack, offset, landed } = location
  return landed ? placeOf(landed) : { container: `pack ${pack}`, place: { pack, offset } }
}

/** Which slices are read together: neighbours in a file, in whatever order they are wanted. */
function runsOf(slices: readonly Stretch<unknown>[]): Run[] {
  const order = slices.map(({ location, start, end }, index) => {
    const { container, place } = placeOf(location)
    const from = place.offset + start
    return { container, place, from, to: from + end - start, index }
  })
  order.sort((a, b) => (a.container < b.container ? -1 : a.container > b.container ? 1 : a.from - b.from))
  const runs: Run[] = []
  for (const { container, place, from, to, index } of order) {
    const last = runs.at(-1)
    const gap = last?.container === container ? from - last.to : -1
    if (last && gap >= 0 && gap <= GAP_BYTES_MAX) {
      last.to = to
      last.members.push({ index, from })
    } else runs.push({ container, place: { ...place, offset: from }, from, to, members: [{ index, from }] })
  }
  return runs
}

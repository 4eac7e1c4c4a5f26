import type { Event, Head } from './event.ts'

export interface ProjectionOptions {
  /** The number of the last event that was handled; 0 for none. */
  after: number
  /** Gets events in order, without gaps, not before it is done with those before. What it throws ends the projection. */
  handle(events: readonly Event[]): Promise<void>
  /** The most events at once (default 500). */
  batchMax?: number
  /** Whether to wait for events to come (default), or to end at the head. */
  follow?: boolean
  signal?: AbortSignal
}

export interface ProjectionSource {
  /** The last durable event. */
  readonly head: Head
  readBatches(after: number): AsyncIterable<Event[]>
  /** Resolves when the head has moved, or at the signal. */
  moved(signal: AbortSignal): Promise<void>
}

const BATCH_MAX = 500

/** Runs until the signal, or the head where it isn't to follow. Throws what reading or handling throws. */
export async function project(
  source: ProjectionSource,
  { after, handle, batchMax = BATCH_MAX, follow = true, signal }: ProjectionOptions & { signal: AbortSignal },
): Promise<void> {
  let done = after
  while (!signal.aborted) {
    if (source.head.seq > done) {
      for await (const events of source.readBatches(done)) {
        for (let at = 0; at < events.length && !signal.aborted; at += batchMax) {
          const some = events.slice(at, at + batchMax)
          await handle(some)
          done += some.length
        }
        if (signal.aborted) return
      }
    } else if (follow) await source.moved(signal)
    else return
  }
}

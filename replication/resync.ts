import { type Clock, type Copy, type CopyId, type LocalCopies, PeerError, type PeerLink } from './ports.ts'

export interface ResyncOptions {
  link: Pick<PeerLink, 'send' | 'lacking'>
  local: LocalCopies
  clock: Clock
  /** Whether senders are being served right now: they come first. */
  isBusy(): boolean
  /** 0: as fast as it goes. */
  bytesPerSecond: number
  warn(message: string, details: object): void
}

export interface ResyncProgress {
  /** Copies looked at, and of those the ones that were really sent, in this run. */
  looked: number
  sent: number
  sentBytes: number
  /** Copies that the other site will never take, with its word for the last one. */
  refused: number
  refusal: string | undefined
}

const PAGE = 200
/** Sent side by side while nobody else wants the disk and the line. */
const AT_ONCE = 4
/** While senders are served, one copy at a time, with pauses of so many times what it took. */
const PAUSE_FACTOR = 1
const BUSY_RETRY_MS = 1000

/**
 * Pays the other site what it is owed, oldest first. What it has already is asked for by digest and not sent again, so
 * that N missing copies cost N transfers. Debts are struck off only on the other site's word that it holds the bytes.
 */
export class Resync {
  readonly #options: ResyncOptions
  progress: ResyncProgress = { looked: 0, sent: 0, sentBytes: 0, refused: 0, refusal: undefined }

  constructor(options: ResyncOptions) {
    this.#options = options
  }

  /** Resolves when everything that was owed at the time was looked at. Rejects with PeerError when the other site goes away. */
  async run(signal: AbortSignal): Promise<ResyncProgress> {
    const { local } = this.#options
    this.progress = { looked: 0, sent: 0, sentBytes: 0, refused: 0, refusal: undefined }
    for (let after = 0; !signal.aborted; ) {
      const owed = await local.owed(after, PAGE)
      if (owed.length === 0) break
      after = (owed.at(-1) as { id: number }).id
      await this.#page(
        owed.map(({ copy }) => copy),
        signal,
      )
    }
    return this.progress
  }

  async #page(copies: readonly CopyId[], signal: AbortSignal): Promise<void> {
    const { link, local } = this.#options
    const known: Copy[] = []
    const gone: CopyId[] = []
    for (const copy of copies) {
      const described = await local.describe(copy)
      if (described) known.push(described)
      else gone.push(copy)
    }
    const lacking =
      known.length === 0
        ? []
        : await link.lacking(known.map(({ sopInstanceUid, sha256, served }) => ({ sopInstanceUid, sha256, served })))
    await local.paid([...gone, ...known.filter((_, index) => !lacking[index])])
    this.progress.looked += copies.length - lacking.filter(Boolean).length
    const toSend = known.filter((_, index) => lacking[index])
    const lanes = Array.from({ length: AT_ONCE }, (_, lane) => this.#lane(toSend, lane, signal))
    const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected')
    if (failed) throw failed.reason
  }

  /** Takes copies off the shared list until it is empty. All lanes but the first one rest while senders are served. */
  async #lane(toSend: Copy[], lane: number, signal: AbortSignal): Promise<void> {
    const { clock, isBusy, bytesPerSecond } = this.#options
    while (toSend.length > 0 && !signal.aborted) {
      if (lane > 0 && (isBusy() || bytesPerSecond > 0)) return
      const copy = toSend.shift() as Copy
      const began = clock.now()
      await this.#send(copy, signal)
      const tookMs = clock.now() - began
      const dueMs = bytesPerSecond > 0 ? (copy.sizeBytes / bytesPerSecond) * 1000 - tookMs : 0
      const pauseMs = Math.max(dueMs, isBusy() ? tookMs * PAUSE_FACTOR : 0)
      if (pauseMs > 0) await clock.sleep(pauseMs, signal)
    }
  }

  async #send(copy: Copy, signal: AbortSignal): Promise<void> {
    const { link, local, clock, warn } = this.#options
    for (;;) {
      const sending = link.send(copy)
      try {
        for await (const chunk of local.read(copy)) await sending.write(chunk)
        await sending.finish(copy)
        await local.paid([copy])
        this.progress.looked += 1
        this.progress.sent += 1
        this.progress.sentBytes += copy.sizeBytes
        return
      } catch (error) {
        sending.abandon()
        if (!(error instanceof PeerError) || error.code === 'never') {
          // A copy that can't be read here any more is the scrub's to repair; the debt stays.
          const reason = (error as Error).message
          this.progress.refused += 1
          this.progress.refusal = reason
          warn('a copy could not be given to the other site; it stays owed', { sha256: copy.sha256, reason })
          return
        }
        if (error.code !== 'busy' || signal.aborted) throw error
        await clock.sleep(BUSY_RETRY_MS, signal)
      }
    }
  }
}

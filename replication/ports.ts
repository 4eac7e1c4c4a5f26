/** What two-site replication needs of the world. Everything real (disk, network, clock) is behind these. */

/** Bytes under a SOP Instance UID: the unit that both sites must hold. */
export interface CopyId {
  sopInstanceUid: string
  /** SHA-256 of the whole file, 64 hexadecimal digits in lower case. */
  sha256: string
}

/** What is known of a copy beside its bytes; the same at both sites, so that they build the same packs of it. */
export interface Copy extends CopyId {
  sizeBytes: number
  /** When the first site took it, by that site's clock; ISO 8601. Nothing is decided by it. */
  receivedAt: string
  source: { protocol: string; name: string; address: string }
  /** It is what reads under this UID get at the site that says so; false for a conflicting copy. */
  served: boolean
}

/** A place in a site's event log. */
export interface Head {
  seq: number
  hash: string
}

/** What a site says of itself to the other one, again and again. */
export interface Hello {
  /** Of the peer protocol. Both must speak the same one. */
  protocol: number
  version: string
  /** Name for people, from the configuration. */
  name: string
  /** The random name for life of the site's storage. An emptied or another disk has another one. */
  site: string
  /** Changes when the storage went back to an earlier state and rejoined. */
  generation: string
  /** Of the process: changes with each start. */
  session: string
  /** Of the site's own log: everything up to it is durable. */
  head: Head
  /** It took something for which the other site wasn't there, or can't reach it now: nobody may say that both are equal. */
  parted: boolean
  /** What it remembers of the site it speaks to; null when it is paired with nobody. */
  sees: { site: string; head: Head } | null
}

/** How long what it was asked for takes is bounded by whoever implements it. Rejects with PeerError. */
export interface PeerLink {
  hello(mine: Hello): Promise<Hello>
  /** Begins to send a copy. Never rejects: what fails shows in `finish`. */
  send(copy: Pick<Copy, 'sopInstanceUid' | 'source'>): Sending
  /** Which of these copies the other site doesn't hold, or serves differently than `served` says. At most 1,000 at once. */
  lacking(copies: readonly DigestEntry[]): Promise<boolean[]>
  /** Which of these bytes the other site holds, having read and hashed them for this answer. At most 50 at once. */
  verified(sha256s: readonly string[]): Promise<boolean[]>
  /** Asks the other site to send these to us when it can. */
  owe(copies: readonly CopyId[]): Promise<void>
  /** Whole lines of the other site's own log behind a number; empty when there were none within the waiting time. */
  events(after: number, waitMs: number): Promise<Buffer>
  /** Lines of OUR log, as the other site has kept them. */
  ourEvents(after: number): Promise<Buffer>
  /** See Digests. */
  digests(range: DigestRange): Promise<DigestAnswer>
  /** The text of a record that an event names by its digest; undefined when the other site has it not either. */
  record(sha256: string): Promise<string | undefined>
  /** The bytes of a copy; undefined when the other site has it not either. */
  fetch(sha256: string): Promise<AsyncIterable<Buffer> | undefined>
}

/** A copy on its way to the other site. Chunks may be handed over while more of them are still coming from the sender. */
export interface Sending {
  /** Resolves when more may be handed over; at once when it has failed, since the other destinations go on. */
  write(chunk: Buffer): Promise<void>
  /** After the last chunk. Resolves when the other site holds the copy durably, rejects with PeerError otherwise. */
  finish(last: Pick<Copy, 'sha256' | 'sizeBytes' | 'receivedAt' | 'served'>): Promise<void>
  /** Nothing of it is kept by the other site. */
  abandon(): void
}

export type PeerErrorCode =
  /** It can't be reached, doesn't answer in time, or broke off: whether it did what was asked is not known. */
  | 'away'
  /** It answers, and has no room or is too busy. */
  | 'busy'
  /** It answers, and does not work with us: other protocol, fenced, paired with another site. */
  | 'refused'
  /** It will not take this copy, ever: the reason says why. */
  | 'never'

export class PeerError extends Error {
  override readonly name = 'PeerError'
  readonly code: PeerErrorCode

  constructor(code: PeerErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/**
 * A part of all copies, by the hexadecimal digits with which their digests begin (an even number, at most 16; none for
 * all of them).
 */
export interface DigestRange {
  prefix: string
  /** The copies themselves, which the caller knows to be few; else the sums of the 256 parts, but for empty ones. */
  list: boolean
}

export interface DigestSum {
  prefix: string
  count: number
  /** Exclusive or of the SHA-256 of all entries' texts (see entryHash): equal where both sites hold and serve the same. */
  hash: string
}

export type DigestEntry = Pick<Copy, 'sopInstanceUid' | 'sha256' | 'served'>
export type DigestAnswer = { copies: DigestEntry[] } | { parts: DigestSum[] }

/** The site's own holdings, as replication sees them. */
export interface LocalCopies {
  /** Copies that the other site may lack, in the order in which they came to be owed; `after` continues a listing. */
  owed(after: number, limit: number): Promise<{ id: number; copy: CopyId }[]>
  owedCount(): Promise<number>
  owe(copies: readonly CopyId[]): Promise<void>
  /** The other site holds them. */
  paid(copies: readonly CopyId[]): Promise<void>
  /** Undefined when it isn't here (any more). */
  describe(copy: CopyId): Promise<Copy | undefined>
  read(copy: CopyId): AsyncIterable<Buffer>
  digests(range: DigestRange): Promise<DigestAnswer>
}

/** Our own log, and the other site's as far as we have it. */
export interface EventChain {
  readonly head: Head
  has(head: Head): Promise<boolean>
}

export interface PeerChain extends EventChain {
  /** What became of lines; see service/events/peer-log.ts. */
  import(lines: Buffer): Promise<{ outcome: 'appended' | 'replay' | 'gap' | 'fork' | 'broken' }>
}

export interface Clock {
  /** Milliseconds that only ever grow. */
  now(): number
  /** Resolves after so long, or at the signal. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

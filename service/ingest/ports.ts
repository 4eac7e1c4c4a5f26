import type { InstanceIdentifiers } from '../dicom/types.ts'

/** Who sent an instance, as far as Firn knows. Kept with the instance. */
export interface Source {
  protocol: 'stow' | 'dimse' | 'import'
  /** Calling AE title, or the name of the API token; empty when neither is known. */
  name: string
  /** Network address of the sender, without port. */
  address: string
}

/** One incoming instance: a complete DICOM Part 10 file (preamble, `DICM`, file meta information, data set). */
export interface Incoming {
  /** The file's bytes in order. Not read ahead: pulling the next chunk is the back-pressure. */
  body: AsyncIterable<Buffer>
  source: Source
  /** What the protocol said about the instance beforehand; a data set that contradicts it is refused. */
  expected?: { studyUid?: string; sopClassUid?: string; sopInstanceUid?: string }
  /** It comes from the other site, which holds it, or is about to. */
  fromPeer?: {
    /** To be asked for when the body has ended: what the other site says of the whole. */
    proof(): { sha256: string; receivedAt: string; served: boolean }
  }
}

/** Firn holds these bytes durably: they survive kill -9 and power loss from here on. */
export interface Receipt extends InstanceIdentifiers {
  /** Lower-case hex of the whole file as kept. */
  sha256: string
  sizeBytes: number
  /**
   * `stored`: new. `duplicate`: the same bytes were already there, nothing was stored twice.
   * `conflict`: same SOP Instance UID with other bytes; both are kept, the first one is served.
   */
  outcome: 'stored' | 'duplicate' | 'conflict'
  /** `both`: the other site holds them durably too. */
  durability: 'both' | 'local'
}

export interface Receive {
  /**
   * Takes one instance and resolves when it is durable; whoever reads after that sees it. Rejects with an ArchiveError whose `identifiers`
   * hold what was read before the refusal, so that the protocol can name the instance:
   * `not_dicom header_truncated header_too_large missing_identifier invalid_identifier dicomdir study_mismatch
   * instance_mismatch too_large` (never retry), `out_of_space storage_failed busy unavailable` (later),
   * `aborted` (the body failed). Nothing of a refused instance is visible.
   * The body is consumed to its end, or abandoned (its iterator's `return` is called) on refusal.
   */
  receive(incoming: Incoming): Promise<Receipt>
}

/** A copy that goes to the other site while it goes to our own disk. See replication/mirror.ts. */
export interface Mirrored {
  write(chunk: Buffer): Promise<void>
  finish(last: { sha256: string; sizeBytes: number; receivedAt: string; served: boolean }): Promise<'both' | 'local'>
  abandon(): void
}

/** The way to the other site, where there is one. */
export interface MirrorPort {
  /** Why this source can't be served now; undefined when it can. */
  refusal(sourceName: string): string | undefined
  isStrict(sourceName: string): boolean
  /** Undefined while the other site is away. */
  begin(copy: { sopInstanceUid: string; source: Source }): Mirrored | undefined
  /** An instance that the other site lacks is recorded as owed to it: a comparison before may not have seen it. */
  owing(): void
  /** Whether the other site may lack bytes that this site has. */
  isOwed(sha256: string): Promise<boolean>
  paid(copy: { sopInstanceUid: string; sha256: string }): Promise<void>
  /** The other site shall send us this one when our own storage works again. Rejects when it can't be told. */
  oweUs(copy: { sopInstanceUid: string; sha256: string }): Promise<void>
}

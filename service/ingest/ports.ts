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

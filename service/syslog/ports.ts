import type { Event, Head } from '../events/event.ts'
import type { ProjectionOptions } from '../events/projection.ts'

/** What an audit message tells of a study beside its UID; looked up when it is sent. */
export interface StudySubject {
  patientId: string
  issuer: string
  patientName: string
  accession: string
  sopClasses: readonly string[]
}

export interface Subjects {
  /** Undefined when there is no such study, or no longer one. */
  study(studyUid: string): Promise<StudySubject | undefined>
}

/** The site's event log, as far as the sender needs it. */
export interface SentLog {
  readonly head: Head
  has(head: Head): Promise<boolean>
  project(options: ProjectionOptions): Promise<void>
}

/** Messages of one event, in XML; none where DICOM has no word for it. */
export type MessagesOf = (event: Event) => Promise<{ xml: string; at: string; failed: boolean }[]>

/** One connection to an audit repository. */
export interface Connection {
  /** Resolves when it may be given the next one. Rejects when the connection is gone. */
  send(message: Buffer): Promise<void>
  /** Ends it. Resolves when the receiver has read everything, as far as the transport can tell. */
  end(): Promise<void>
  /** At once. */
  destroy(): void
  /** Aborted when it is gone. */
  readonly gone: AbortSignal
}

export type Connect = (signal: AbortSignal) => Promise<Connection>

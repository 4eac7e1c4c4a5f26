import type { Pack } from './ports.ts'

/** The lock of one copy of a pack, as its store showed it last. */
export interface CopyLock {
  mode: 'none' | 'governance' | 'compliance'
  /** ISO 8601; missing where there is no lock. */
  until?: string
  legalHold: boolean
}

export interface LockedCopy {
  pack: Pack
  /** Undefined: nobody has looked yet. */
  lock: CopyLock | undefined
}

/** What keeping locks needs of the catalogue. Throws ArchiveError `catalogue_failed` where it writes. */
export interface CatalogueLocks {
  /** Copies in this store whose lock is to be looked at by then (ISO 8601), the longest overdue first. By an index. */
  locksDue(store: string, by: string, limit: number): Promise<LockedCopy[]>
  /** Undefined where the store has no copy of the pack, or nobody has looked at its lock. */
  lockOf(pack: number, store: string): Promise<CopyLock | undefined>
  /** What a store showed, if it did, and when to look again. */
  noteLock(note: { pack: number; store: string; lock?: CopyLock; due: string }): Promise<void>
  /** The locks of all that is held of a study are to be looked at again, at once. */
  studyLocksDue(studyUid: string): Promise<void>
  /** When the study got its last instance; undefined where there is no such study. */
  lastReceived(studyUid: string): Promise<string | undefined>
}

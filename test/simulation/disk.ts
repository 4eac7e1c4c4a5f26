import type { NewInstance } from '../../service/catalogue/ports.ts'
import type { Line } from './log.ts'

/** A member of the landing. Its header is parsed again when it is replayed. */
export interface Landed {
  sopInstanceUid: string
  sha256: string
  receivedAt: string
  source: NewInstance['source']
  bytes: Buffer
}

/** What the catalogue says of copies; plain data, so that a crash can bring an older state back. */
export interface Books {
  /** By SOP Instance UID: the served copy, then those that are only kept. */
  copies: Map<string, NewInstance[]>
  owed: { id: number; sopInstanceUid: string; sha256: string }[]
  nextId: number
}

export interface Remembered {
  generation: string | undefined
  site: string | undefined
  name: string | undefined
  removed: string[]
}

/** One site's storage. What is in `unsynced` is gone after a crash; all else survives it. */
export interface Disk {
  site: string
  landing: Landed[]
  unsynced: Landed[]
  books: Books
  /** Commits since then may be lost in a crash: the catalogue is not synced before anybody is told. */
  booksSynced: Books
  log: Line[]
  peerLogs: Map<string, Line[]>
  memory: Remembered
  full: boolean
}

export function emptyDisk(site: string): Disk {
  const memory = { generation: undefined, site: undefined, name: undefined, removed: [] }
  const books = { copies: new Map(), owed: [], nextId: 1 }
  const lists = { landing: [], unsynced: [], log: [], peerLogs: new Map() }
  return { site, ...lists, books, booksSynced: copyOf(books), memory, full: false }
}

export function copyOf({ copies, owed, nextId }: Books): Books {
  return { copies: new Map([...copies].map(([uid, list]) => [uid, [...list]])), owed: [...owed], nextId }
}

/** A backup of the whole folder. What wasn't synced is not in it. */
export function backupOf(disk: Disk): Disk {
  return {
    ...disk,
    landing: [...disk.landing],
    unsynced: [],
    books: copyOf(disk.booksSynced),
    booksSynced: copyOf(disk.booksSynced),
    log: [...disk.log],
    peerLogs: new Map([...disk.peerLogs].map(([site, lines]) => [site, [...lines]])),
    memory: { ...disk.memory, removed: [...disk.memory.removed] },
    full: false,
  }
}

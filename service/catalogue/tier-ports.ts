import type { Pack, StoreHolding } from './ports.ts'

/** What move rules ask of a pack and its study. Dates are YYYY-MM-DD; empty where they aren't known. */
export interface PackFacts {
  pack: Pack
  studyDate: string
  /** When the study's first instance came. */
  received: string
  /** When a client read from the pack last. */
  lastUsed: string
  /** Of all series of the study. */
  modalities: readonly string[]
  pinned: boolean
}

/** A study that moves leave where it is, or bring back to the fastest tier. */
export interface Pin {
  id: string
  studyUid: string
  reason: string
  by: string
  at: string
}

/** What a store held at the end of a day, and the room it had. */
export interface StoreDay {
  day: string
  store: string
  bytes: number
  bytesTotal: number | null
  bytesFree: number | null
}

export interface Alarm {
  /** `store ID`, `tier CLASS` or `volume ID`. */
  subject: string
  alarm: string
  detail: string
  /** ISO 8601. */
  since: string
}

/** What tiers, moves and capacity need of the catalogue. Each call costs what it returns, however many packs there are. */
export interface CatalogueTiers {
  /** What each volume holds, each pack counted once. */
  volumes(): Promise<{ volume: string; packs: number; bytes: number }[]>
  holdings(): Promise<StoreHolding[]>
  /** The volume of a study's first pack; undefined when it has none. */
  volumeOf(studyUid: string): Promise<string | undefined>
  modalitiesOf(studyUid: string): Promise<readonly string[]>
  /** Packs whose day has come, in the order of days and numbers, behind `after`. */
  packsToLook(upTo: string, options: { limit: number; after?: { day: string; id: number } }): Promise<LookedAt[]>
  /** When each is to be looked at again. */
  setNextLooks(looks: readonly { pack: number; day: string }[]): Promise<void>
  /** All packs with numbers from `from` to `to` are to be looked at as soon as possible. */
  lookAgain(range: { from: number; to: number } | { studyUid: string }): Promise<void>
  lastPack(): Promise<number>
  /** Clients read from these packs on this day. */
  markUsed(packs: readonly number[], day: string): Promise<void>
  recordDay(days: readonly StoreDay[], forgetBefore: string): Promise<void>
  /** In the order of days. */
  days(since: string): Promise<StoreDay[]>
  alarms(): Promise<Alarm[]>
  raise(alarm: Alarm): Promise<void>
  clear(alarm: Pick<Alarm, 'subject' | 'alarm'>): Promise<void>
  /** The newest first. */
  pins(): Promise<Pin[]>
  /** Copies that nobody reads any more, and whose bytes may still be in the store. */
  leftovers(limit: number): Promise<Leftover[]>
  noteLeftover(leftover: Leftover): Promise<void>
  forgetLeftover(leftover: Leftover): Promise<void>
  note(name: string): Promise<string | undefined>
  setNote(name: string, value: string): Promise<void>
}

/** `pack`: the catalogue's number. */
export interface Leftover {
  pack: number
  store: string
}

export interface LookedAt extends PackFacts {
  /** The day that had come. */
  day: string
}

import type { JsonObject } from './canonical.ts'

/** A place in a chain: an event's number and its hash. `{ seq: 0, hash: GENESIS }` is the place before the first. */
export interface Head {
  seq: number
  /** 64 hexadecimal digits in lower case. */
  hash: string
}

/** What the first event has instead of a hash before it. */
export const GENESIS = '0'.repeat(64)
export const EMPTY: Head = { seq: 0, hash: GENESIS }

/** Who caused an event. Empty text where it isn't known. */
export interface Actor {
  /** The token's name, the calling AE title, or `system`. */
  name: string
  role: string
  /** Network address, `local` for the command line on the same machine. */
  from: string
}

export const SYSTEM: Actor = { name: 'system', role: '', from: '' }

/** What an event is about: identifiers by kind of thing, such as `{ study: '1.2.3', store: 'nearline-2' }`. */
export interface Subject {
  readonly study?: string
  readonly series?: string
  readonly instance?: string
  /** SHA-256 of an instance's bytes. */
  readonly digest?: string
  /** SHA-256 of a pack's bytes. */
  readonly pack?: string
  readonly store?: string
  readonly volume?: string
  readonly hold?: string
  readonly patient?: string
  readonly disposition?: string
  readonly site?: string
  /** Newer versions may name other things. */
  readonly [thing: string]: string | undefined
}

/** What a caller hands in; the log adds the rest. */
export interface NewEvent {
  kind: string
  actor: Actor
  subject: Subject
  data: JsonObject
}

/** One line of a site's log. */
export interface Event extends NewEvent, Head {
  site: string
  /** Of the site's storage: it changes when a site rejoins after a restore. */
  generation: string
  /** ISO 8601 in UTC. For people only: nothing is ever ordered or decided by it. */
  at: string
  /** The hash of the event before. */
  prev: string
}

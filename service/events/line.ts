import { isUtf8 } from 'node:buffer'
import { hash as digest } from 'node:crypto'
import { canonical, isCanonical } from './canonical.ts'
import { type Event, GENESIS, type Head, type NewEvent } from './event.ts'

/** With its newline. Whoever reads a log needs no more memory than this for a line. */
export const LINE_BYTES_MAX = 256 * 1024

/** How a line differs from what was written; `docs/event-log.md` says what each can and can't tell. */
export type Damage = 'altered' | 'removed' | 'inserted' | 'reordered' | 'truncated'

/** A line that is not what the chain says should stand there. */
export class LineFault extends Error {
  override readonly name = 'LineFault'
  readonly damage: Damage

  constructor(damage: Damage, message: string) {
    super(message)
    this.damage = damage
  }
}

/** Site and generation become names of folders and parts of commands. */
const NAME = /^[A-Za-z0-9][\w-]{0,63}$/
const KIND = /^[a-z][a-z0-9-]*([.][a-z0-9-]+)+$/
const HASH = /^[0-9a-f]{64}$/
const AT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{3}Z$/

export const isHash = (text: string): boolean => HASH.test(text)

const TEXT_MAX = 256

export interface Origin {
  site: string
  generation: string
}

/** Throws RangeError when site or generation can't be names. */
export function assertOrigin({ site, generation }: Origin): void {
  if (!NAME.test(site) || !NAME.test(generation)) {
    throw new RangeError(`site ${JSON.stringify(site)} or generation ${JSON.stringify(generation)} is no name`)
  }
}

const isText = (value: unknown): boolean => typeof value === 'string' && value.length <= TEXT_MAX
const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const fits = (pattern: RegExp) => (value: unknown) => typeof value === 'string' && pattern.test(value)

/** The members of an event in the order of their keys, and what each must be. */
const MEMBERS: Record<keyof Event, (value: unknown) => boolean> = {
  actor: (value) =>
    isObject(value) && Object.keys(value).sort().join() === 'from,name,role' && Object.values(value).every(isText),
  at: fits(AT),
  data: isObject,
  generation: fits(NAME),
  hash: fits(HASH),
  kind: fits(KIND),
  prev: fits(HASH),
  seq: (value) => Number.isSafeInteger(value) && (value as number) > 0,
  site: fits(NAME),
  subject: (value) => isObject(value) && Object.values(value).every((one) => one === undefined || isText(one)),
}
const NAMES = Object.keys(MEMBERS) as (keyof Event)[]
const ALL_NAMES = NAMES.join()

/** Why a value is no event; undefined when it is one. Its keys must be in order. */
function flaw(value: unknown): string | undefined {
  if (!isObject(value) || Object.keys(value).join() !== ALL_NAMES) return `its members are not ${ALL_NAMES}`
  const wrong = NAMES.find((name) => !MEMBERS[name]((value as Event)[name]))
  return wrong && `${wrong} is not what it must be`
}

/** A line of which only number and hashes are missing: those depend on what is written before it. */
export interface Draft {
  beforeHash: string
  beforePrev: string
  afterSeq: string
  /** Of the whole line at most. */
  sizeBytes: number
}

const HASHES_AND_SEQ_BYTES = 3 * 64

/** Encodes an event. Throws RangeError when it can't be one. */
export function draft({ actor, subject, kind, data }: NewEvent, { site, generation }: Origin, at: string): Draft {
  const wrong = flaw({ actor, at, data, generation, hash: GENESIS, kind, prev: GENESIS, seq: 1, site, subject })
  if (wrong) throw new RangeError(`no event: ${wrong}`)
  const beforeHash = `{"actor":${canonical(actor, 1)},"at":"${at}","data":${canonical(data, 1)},"generation":"${generation}",`
  const beforePrev = `"kind":"${kind}","prev":"`
  const afterSeq = `,"site":"${site}","subject":${canonical(subject, 1)}}`
  const sizeBytes = Buffer.byteLength(beforeHash + beforePrev + afterSeq) + HASHES_AND_SEQ_BYTES
  if (sizeBytes > LINE_BYTES_MAX)
    throw new RangeError(`an event of ${sizeBytes} bytes is larger than ${LINE_BYTES_MAX}`)
  return { beforeHash, beforePrev, afterSeq, sizeBytes }
}

/** The line that follows `prev`, with its newline, and its place. */
export function finish({ beforeHash, beforePrev, afterSeq }: Draft, prev: Head): { line: string; head: Head } {
  const seq = prev.seq + 1
  const rest = `${beforePrev}${prev.hash}","seq":${seq}${afterSeq}`
  const hash = digest('sha256', beforeHash + rest, 'hex')
  return { line: `${beforeHash}"hash":"${hash}",${rest}\n`, head: { seq, hash } }
}

/**
 * Reads one line (without its newline) by itself, whatever stands around it: UTF-8, canonical JSON, an event's ten
 * members, and a hash that is the line's own. Throws LineFault `altered`.
 */
export function decodeLine(line: Buffer): Event {
  if (!isUtf8(line)) throw new LineFault('altered', 'it is not UTF-8')
  const text = line.toString('utf8')
  const event = parse(text)
  if (!isCanonical(text, event)) throw new LineFault('altered', 'it is not canonical JSON')
  const wrong = flaw(event)
  if (wrong) throw new LineFault('altered', `it is no event: ${wrong}`)
  const { hash } = event as Event
  const member = `"hash":"${hash}",`
  const at = text.indexOf(member)
  const own = digest('sha256', text.slice(0, at) + text.slice(at + member.length), 'hex')
  if (own !== hash) throw new LineFault('altered', `its hash says ${hash}, its content gives ${own}`)
  return event as Event
}

/** Undefined for a line that is damaged. */
export function decodeOr(line: Buffer): Event | undefined {
  try {
    return decodeLine(line)
  } catch {
    return undefined
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new LineFault('altered', 'it is not JSON')
  }
}

/** Follows a chain line by line. */
export class ChainCheck {
  /** Undefined before the first line of a chain that is entered in its middle. */
  #head: Head | undefined
  #site: string | undefined

  /** `site`, when it is known beforehand, must be each line's. */
  constructor(head: Head | undefined, site?: string) {
    this.#head = head
    this.#site = site
  }

  get head(): Head | undefined {
    return this.#head
  }

  /** Takes the next line, without its newline. Throws LineFault; the check can go on then as if the line weren't there. */
  accept(line: Buffer): Event {
    const event = decodeLine(line)
    const { seq, prev, site } = event
    const wanted = (this.#head?.seq ?? seq - 1) + 1
    if (seq > wanted) {
      throw new LineFault(
        'removed',
        `event ${wanted}${seq - 1 > wanted ? ` to ${seq - 1}` : ''} should come before ${seq}`,
      )
    }
    if (seq < wanted) throw new LineFault('inserted', `event ${seq} comes again where ${wanted} should`)
    const before = this.#head?.hash ?? (seq === 1 ? GENESIS : prev)
    if (prev !== before) {
      throw new LineFault(
        'altered',
        `it follows ${prev}, but the event before it has the hash ${before}: one of the two was replaced`,
      )
    }
    if (site !== (this.#site ?? site)) throw new LineFault('inserted', `it is of site ${site}, not ${this.#site}`)
    this.#site = site
    this.#head = { seq, hash: event.hash }
    return event
  }
}

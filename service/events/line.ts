import { isUtf8 } from 'node:buffer'
import { createHash, hash as digest } from 'node:crypto'
import { z } from 'zod'
import { canonical } from './canonical.ts'
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

const text = z.string().max(256)
const given = {
  actor: z.strictObject({ from: text, name: text, role: text }),
  data: z.record(z.string(), z.unknown()),
  kind: z.string().max(64).regex(KIND),
  subject: z.record(z.string(), text.optional()),
}
const origin = { site: z.string().regex(NAME), generation: z.string().regex(NAME) }
const originSchema = z.strictObject(origin)
const givenSchema = z.strictObject(given)
const eventSchema = z.strictObject({
  ...given,
  ...origin,
  at: z.string().regex(AT),
  hash: z.string().regex(HASH),
  prev: z.string().regex(HASH),
  seq: z.int().min(1),
})

export type Origin = z.output<typeof originSchema>

/** Throws when site or generation can't be names. */
export const assertOrigin = (value: Origin): void => void originSchema.parse(value)

/** A line of which only number and hashes are missing: those depend on what is written before it. */
export interface Draft {
  beforeHash: string
  beforePrev: string
  afterSeq: string
  /** Of the whole line at most. */
  sizeBytes: number
}

const HASHES_AND_SEQ_BYTES = 3 * 64

/** Encodes an event. Throws RangeError, or ZodError, when it can't be one. */
export function draft(event: NewEvent, { site, generation }: Origin, at: string): Draft {
  givenSchema.parse(event)
  const { actor, subject, kind, data } = event
  const beforeHash = `{"actor":${canonical(actor)},"at":"${at}","data":${canonical(data)},"generation":"${generation}",`
  const beforePrev = `"kind":"${kind}","prev":"`
  const afterSeq = `,"site":"${site}","subject":${canonical(subject)}}`
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
  const written = line.toString('utf8')
  const event = parse(written)
  if (canonicalOr(event) !== written) throw new LineFault('altered', 'it is not canonical JSON')
  const member = `"hash":"${event.hash}",`
  const at = line.indexOf(member)
  const own = createHash('sha256')
    .update(line.subarray(0, at))
    .update(line.subarray(at + member.length))
    .digest('hex')
  if (own !== event.hash) throw new LineFault('altered', `its hash says ${event.hash}, its content gives ${own}`)
  return event
}

function parse(written: string): Event {
  let value: unknown
  try {
    value = JSON.parse(written)
  } catch {
    throw new LineFault('altered', 'it is not JSON')
  }
  const { success, data, error } = eventSchema.safeParse(value)
  if (success) return data as Event
  const [issue] = error.issues
  throw new LineFault('altered', `it is no event: ${issue?.path.join('.')}: ${issue?.message}`)
}

function canonicalOr(event: Event): string | undefined {
  try {
    return canonical(event)
  } catch {
    return undefined
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

import type { Subject } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { Actor, Asked, AuditTrail, Began, Called, Denied, Person, Place, Read, Received } from './ports.ts'
import { type Counted, Tally } from './tally.ts'

export interface TrailOptions {
  record(event: KnownEvent): void
  /** How long the same person's accesses to the same study are added up. */
  windowMs: number
  refusal(): string | undefined
  now?: () => number
}

type Fact<What> = What & { who: Person }

const KEYS_MAX = 10_000
/** So many different refusals a minute are told one by one; the others are only counted. */
const DENIALS_PER_MINUTE = 60
const MINUTE_MS = 60_000
const SWEEP_MS = 1000
const TEXT_MAX = 256
const KEYS_TOLD_MAX = 100

/** Makes events of what protocols say, and adds up what repeats itself. */
export class Trail implements AuditTrail {
  readonly #options: TrailOptions
  readonly #now: () => number
  readonly #reads: Tally<Fact<Read>>
  readonly #queries: Tally<Fact<Asked>>
  readonly #denials: Tally<Fact<Denied>>
  readonly #timer: NodeJS.Timeout
  #toldThisMinute = 0
  #minute = 0

  constructor(options: TrailOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    const { windowMs, record } = options
    const shared = { windowMs, keysMax: KEYS_MAX, now: this.#now }
    this.#reads = new Tally({ ...shared, add: addReads, emit: (counted) => record(readEvent(counted)) })
    this.#queries = new Tally({ ...shared, add: addQueries, emit: (counted) => record(queryEvent(counted)) })
    const windows = { ...shared, windowMs: MINUTE_MS }
    const emit = (counted: Counted<Fact<Denied>>): void => record(deniedEvent(counted))
    this.#denials = new Tally({ ...windows, add: (sum) => sum, emit })
    this.#timer = setInterval(() => this.sweep(), SWEEP_MS)
    this.#timer.unref()
  }

  get refusal(): string | undefined {
    return this.#options.refusal()
  }

  began(who: Person, { service, instances, destination, ...place }: Began): void {
    const data = { service, instances, destination }
    this.#options.record({ kind: 'access.began', actor: actorOf(who), subject: subjectOf(place), data })
  }

  read(who: Person, what: Read): void {
    const { service, studyUid = '', destination = '', status = 0 } = what
    this.#reads.add(keyOf(who, service, studyUid, destination, String(status)), { ...what, who })
  }

  query(who: Person, what: Asked): void {
    const { service, level, keys } = what
    this.#queries.add(keyOf(who, service, level, what.sopClass ?? '', ...keys), { ...what, who })
  }

  /** An attacker with many names and addresses must not fill the disk: beyond a rate they are only counted. */
  denied(who: Person, what: Denied): void {
    const key = keyOf(who, what.service, what.reason)
    if (this.#denials.has(key) || this.#mayTell()) this.#denials.add(key, { ...what, who })
    else this.#denials.add('others', { service: what.service, reason: 'too many to tell one by one', who: NOBODY })
  }

  #mayTell(): boolean {
    const minute = Math.floor(this.#now() / MINUTE_MS)
    if (minute !== this.#minute) this.#toldThisMinute = 0
    this.#minute = minute
    this.#toldThisMinute += 1
    return this.#toldThisMinute <= DENIALS_PER_MINUTE
  }

  received(who: Person, { studyUid, seriesUid: _, sopInstanceUid: __, ...counts }: Received): void {
    const data = { ...counts, ...tokenOf(who) }
    this.#options.record({ kind: 'study.received', actor: actorOf(who), subject: subjectOf({ studyUid }), data })
  }

  called(who: Person, { method, route, status, subject }: Called): void {
    const data = { method, route, status, ...tokenOf(who) }
    const named = Object.entries(subject).map(([key, value]) => [key, text(value)])
    this.#options.record({
      kind: 'admin.called',
      actor: actorOf(who),
      subject: Object.fromEntries(named) as Subject,
      data,
    })
  }

  logRead(who: Person, { service, filter, events }: { service: string; filter: readonly string[]; events: number }) {
    const data = { service, filter: filter.map(text), events, ...tokenOf(who) }
    this.#options.record({ kind: 'audit.read', actor: actorOf(who), subject: {}, data })
  }

  sweep(): void {
    for (const tally of [this.#reads, this.#queries, this.#denials]) tally.sweep()
  }

  /** Everything that was added up so far becomes events. */
  close(): void {
    clearInterval(this.#timer)
    for (const tally of [this.#reads, this.#queries, this.#denials]) tally.flush()
  }
}

const NOBODY: Person = { name: '', role: '', from: '' }

/** At most as long as the log takes it, without half a character. */
const text = (value: string): string => value.slice(0, TEXT_MAX).replace(/[\ud800-\udfff]/gu, '\ufffd')

function actorOf({ name, role, from }: Person): Actor {
  return { name: text(name), role: text(role), from: text(from) }
}

const tokenOf = ({ token }: Person): { token?: string } => (token === undefined ? {} : { token: text(token) })

function subjectOf({ studyUid, seriesUid, sopInstanceUid }: Place): Subject {
  return {
    ...(studyUid === undefined ? {} : { study: text(studyUid) }),
    ...(seriesUid === undefined ? {} : { series: text(seriesUid) }),
    ...(sopInstanceUid === undefined ? {} : { instance: text(sopInstanceUid) }),
  }
}

const keyOf = ({ name, from, token = '' }: Person, ...rest: readonly string[]): string =>
  JSON.stringify([name, from, token, ...rest])

const common = (left: string | undefined, right: string | undefined): string | undefined =>
  left === right ? left : undefined

function addReads(sum: Fact<Read>, next: Fact<Read>): Fact<Read> {
  const frames = (sum.frames ?? 0) + (next.frames ?? 0)
  return {
    ...sum,
    // What they don't have in common is not what they were about.
    seriesUid: common(sum.seriesUid, next.seriesUid),
    sopInstanceUid: common(sum.sopInstanceUid, next.sopInstanceUid),
    instances: sum.instances + next.instances,
    bytes: sum.bytes + next.bytes,
    complete: sum.complete && next.complete,
    ...(frames === 0 ? {} : { frames }),
  }
}

function addQueries(sum: Fact<Asked>, next: Fact<Asked>): Fact<Asked> {
  return { ...sum, matches: sum.matches + next.matches, complete: sum.complete && next.complete }
}

function repeatedOf<What>({ fact, requests, since }: Counted<Fact<What>>) {
  const { who } = fact as { who: Person }
  return { ...tokenOf(who), ...(requests === 1 ? {} : { requests, since: since.toISOString() }) }
}

function readEvent(counted: Counted<Fact<Read>>): KnownEvent {
  const { service, instances, bytes, complete, frames, destination, status, who, ...place } = counted.fact
  const data = {
    service,
    instances,
    bytes,
    complete,
    ...(frames === undefined ? {} : { frames }),
    ...(destination === undefined ? {} : { destination: text(destination) }),
    ...(status === undefined ? {} : { status }),
    ...repeatedOf(counted),
  }
  return { kind: 'access.read', actor: actorOf(who), subject: subjectOf(place), data }
}

function queryEvent(counted: Counted<Fact<Asked>>): KnownEvent {
  const { service, level, keys, matches, complete, sopClass, who } = counted.fact
  const model = sopClass === undefined ? {} : { sopClass: text(sopClass) }
  const told = keys.slice(0, KEYS_TOLD_MAX).map(text)
  const data = { service, level, keys: told, matches, complete, ...model, ...repeatedOf(counted) }
  return { kind: 'access.query', actor: actorOf(who), subject: {}, data }
}

function deniedEvent(counted: Counted<Fact<Denied>>): KnownEvent {
  const { service, reason, who } = counted.fact
  const data = { service, reason, ...repeatedOf(counted) }
  return { kind: 'access.denied', actor: actorOf(who), subject: {}, data }
}

import { type Actor, personKey, requireReason, requireRecords } from './actor.ts'
import { canonicalJson } from './canonical.ts'
import { refuse } from './refusal.ts'

/** What a hold is on. A patient's hold covers studies that come later; a query's covers what it found, and no more. */
export type HoldTarget =
  | { readonly kind: 'study'; readonly studyUid: string }
  | { readonly kind: 'patient'; readonly patientKey: string }
  | { readonly kind: 'query'; readonly query: string; readonly studyUids: readonly string[] }

interface HoldEventBase {
  /** Unique among all events of both sites. */
  readonly id: string
  readonly holdId: string
  readonly site: string
  /** Of the site's storage, when it wrote this: after a restore it has another one. */
  readonly generation: string
  readonly by: string
  /** ISO 8601. It is shown and never compared: no order of holds depends on a clock. */
  readonly at: string
}

/** A site, and the generation of its storage that is in force. */
export interface SiteGeneration {
  readonly site: string
  readonly generation: string
}

export type HoldEvent =
  | (HoldEventBase & {
      readonly kind: 'placed'
      readonly target: HoldTarget
      readonly caseReference: string
      readonly reason: string
      /** For whom it is held: a court, a department. */
      readonly holder: string
    })
  /** One person's consent to a release; the hold ends with the second person's. */
  | (HoldEventBase & { readonly kind: 'release-agreed'; readonly reason: string })
  /**
   * The site has the hold in its log. The site that placed it confirms when it has the other's confirmation: before that
   * it may be restored from a backup, and have forgotten what the other one just confirmed (`protocol.ts`). For the same
   * reason a confirmation of an older generation counts no more, and a restored site confirms again.
   */
  | (HoldEventBase & { readonly kind: 'confirmed' })

export type PlacedEvent = Extract<HoldEvent, { kind: 'placed' }>

export interface Hold {
  readonly holdId: string
  readonly placed: PlacedEvent
  /** Persons who agreed to its release; two end it. */
  readonly releasedBy: readonly string[]
  readonly state: 'active' | 'released'
  /** `guaranteed` once every site has confirmed it; before that only this site is known to respect it. */
  readonly assurance: 'local only' | 'guaranteed'
}

const STUDIES_MAX = 100_000
const RELEASERS = 2

/**
 * The holds of a site: a set of events that only grows. Merging is union, so it doesn't matter who tells whom first, how
 * often, or what is lost in between. Which holds are active is computed from the set: placed without two consents.
 */
export class HoldSet {
  readonly #events = new Map<string, HoldEvent>()
  readonly #byHold = new Map<string, HoldEvent[]>()
  readonly #byStudy = new Map<string, Set<string>>()
  readonly #byPatient = new Map<string, Set<string>>()
  readonly #sites: readonly SiteGeneration[]

  /** `sites`: those whose confirmation makes a hold guaranteed. */
  constructor(sites: readonly SiteGeneration[], events: Iterable<HoldEvent> = []) {
    this.#sites = sites
    for (const event of events) this.add(event)
  }

  /** Everything that counts as an event's identity is its whole content: one with a reused id displaces no other. */
  add(event: HoldEvent): void {
    const key = canonicalJson(event)
    if (this.#events.has(key)) return
    this.#events.set(key, event)
    const ofHold = this.#byHold.get(event.holdId)
    if (ofHold) ofHold.push(event)
    else this.#byHold.set(event.holdId, [event])
    if (event.kind === 'placed') this.#index(event)
  }

  #index({ holdId, target }: PlacedEvent): void {
    const put = (index: Map<string, Set<string>>, key: string) => {
      const ids = index.get(key)
      if (ids) ids.add(holdId)
      else index.set(key, new Set([holdId]))
    }
    if (target.kind === 'study') put(this.#byStudy, target.studyUid)
    if (target.kind === 'patient') put(this.#byPatient, target.patientKey)
    if (target.kind === 'query') for (const studyUid of target.studyUids) put(this.#byStudy, studyUid)
  }

  /** Everything of both. Neither is changed. */
  merge(other: HoldSet): HoldSet {
    return new HoldSet(this.#sites, [...this.#events.values(), ...other.#events.values()])
  }

  /** In an order that depends on the events alone, for comparing sites. */
  events(): HoldEvent[] {
    return [...this.#events].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, event]) => event)
  }

  /** Undefined for a hold of which no placing is known (yet): a release that came first waits for it. */
  hold(holdId: string): Hold | undefined {
    const events = this.#byHold.get(holdId) ?? []
    const placed = events
      .filter((event) => event.kind === 'placed')
      .sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1))
    const [first] = placed
    if (!first) return undefined
    const releasedBy = new Map(
      events.filter(({ kind }) => kind === 'release-agreed').map(({ by }) => [personKey(by), by] as const),
    )
    const confirms = ({ site, generation }: SiteGeneration) =>
      events.some((event) => event.kind === 'confirmed' && event.site === site && event.generation === generation)
    return {
      holdId,
      placed: first,
      releasedBy: [...releasedBy.keys()].sort(),
      // Two placings under one id are somebody's mistake; whoever released one of them can't have known the other.
      state: releasedBy.size >= RELEASERS && placed.length === 1 ? 'released' : 'active',
      assurance: this.#sites.length > 0 && this.#sites.every(confirms) ? 'guaranteed' : 'local only',
    }
  }

  all(): Hold[] {
    return [...this.#byHold.keys()].sort().flatMap((holdId) => this.hold(holdId) ?? [])
  }

  /** Active holds on a study: its own, those of queries that found it, and those on any key of its patient. */
  on(studyUid: string, patientKeys: readonly string[]): Hold[] {
    const ids = new Set(this.#byStudy.get(studyUid))
    for (const key of patientKeys) for (const id of this.#byPatient.get(key) ?? []) ids.add(id)
    return [...ids].sort().flatMap((id) => {
      const hold = this.hold(id)
      return hold?.state === 'active' ? [hold] : []
    })
  }
}

export interface NewHold {
  /** Both fresh and unique, for example UUIDs. */
  readonly id: string
  readonly holdId: string
  readonly target: HoldTarget
  readonly caseReference: string
  readonly reason: string
  readonly holder: string
}

/** The event by which a records officer places a hold. Throws RetentionRefusal. */
export function placeHold(hold: NewHold, actor: Actor, at: string, site: SiteGeneration): PlacedEvent {
  requireRecords(actor, 'place a hold')
  checkTarget(hold.target)
  for (const text of [hold.caseReference, hold.holder]) requireReason(text)
  return { kind: 'placed', ...hold, reason: requireReason(hold.reason), ...site, by: actor.id, at }
}

function checkTarget(target: HoldTarget): void {
  const key = target.kind === 'study' ? target.studyUid : target.kind === 'patient' ? target.patientKey : target.query
  if (key.trim() === '') refuse('invalid_target', 'a hold needs a study, a patient or a query')
  if (target.kind !== 'query') return
  if (target.studyUids.length === 0) refuse('invalid_target', 'the query found no study to hold')
  if (target.studyUids.length > STUDIES_MAX) {
    refuse('invalid_target', `the query found more than ${STUDIES_MAX} studies; divide it`)
  }
}

/** The event by which one person agrees to a release; the first of them releases nothing. Throws RetentionRefusal. */
export function agreeToRelease(
  holds: HoldSet,
  { id, holdId, reason }: { id: string; holdId: string; reason: string },
  actor: Actor,
  at: string,
  site: SiteGeneration,
): HoldEvent {
  requireRecords(actor, 'release a hold')
  const hold = holds.hold(holdId)
  if (!hold) refuse('unknown_hold', `there is no hold ${holdId}`)
  if (hold.state === 'released') refuse('already_released', `hold ${holdId} is released already`)
  if (hold.releasedBy.includes(personKey(actor.id))) {
    refuse('same_person', 'you have agreed to this release before; a second person must agree too')
  }
  return { kind: 'release-agreed', id, holdId, reason: requireReason(reason), ...site, by: actor.id, at }
}

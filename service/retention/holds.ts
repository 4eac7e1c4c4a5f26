import { randomUUID } from 'node:crypto'
import { requireRecords } from '../../retention/actor.ts'
import { agreeToRelease, type Hold, HoldSet, type HoldTarget, placeHold } from '../../retention/holds.ts'
import type { CatalogueReader, MatchKey } from '../catalogue/ports.ts'
import type { CatalogueRetention, Page } from '../catalogue/retention-ports.ts'
import { textOf } from '../dicom/describe.ts'
import { ArchiveError } from '../errors.ts'
import type { JsonObject } from '../events/canonical.ts'
import { SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import { actorOf, type Officer, personOf, refusing } from './officer.ts'
import type { Sites } from './ports.ts'
import { notFound, type Recorder } from './record.ts'

export interface HoldsOptions {
  catalogue: CatalogueRetention
  find: CatalogueReader['find']
  recorder: Recorder
  sites: Sites
}

/** What is to be held: one of these. */
export interface HoldRequest {
  studyUid?: string | undefined
  patient?: { patientId: string; issuer?: string | undefined } | undefined
  /** Matching keys of the study level; every study that is found now is held, and none that comes later. */
  query?: readonly MatchKey[] | undefined
  caseReference: string
  reason: string
  holder: string
}

export interface ShownHold extends Hold {
  /** How many studies a query had found. */
  studies: number
  /** Studies that were being destroyed already, and so are not held. */
  tooLate?: readonly string[]
}

const STUDIES_MAX = 100_000
const STUDIES_PER_EVENT = 1000

/** Holds: placed by one records officer, released by two, and asked about before anything is freed. */
export class Holds {
  readonly #options: HoldsOptions

  constructor(options: HoldsOptions) {
    this.#options = options
  }

  /** Active ones on a study. */
  async on(studyUid: string, patient: string): Promise<Hold[]> {
    const { catalogue, sites } = this.#options
    const events = await catalogue.holdEventsOn(studyUid, patient)
    return new HoldSet(sites.all(), events).on(studyUid, [patient])
  }

  /** Throws ArchiveError `not_found`. */
  async show(holdId: string): Promise<ShownHold> {
    const { catalogue, sites } = this.#options
    const hold = new HoldSet(sites.all(), await catalogue.holdEvents(holdId)).hold(holdId)
    if (!hold) throw notFound(`there is no hold ${holdId}`)
    return { ...hold, studies: hold.placed.target.kind === 'query' ? await catalogue.holdStudies(holdId) : 0 }
  }

  async list(state: 'active' | 'released' | 'all', page: Page): Promise<ShownHold[]> {
    const ids = await this.#options.catalogue.holds(state, page)
    const shown: ShownHold[] = []
    for (const id of ids) shown.push(await this.show(id))
    return shown
  }

  /** Resolves when this site respects it. Throws ArchiveError `forbidden`, `invalid_request`, `conflict`. */
  async place(request: HoldRequest, officer: Officer): Promise<ShownHold> {
    const person = personOf(officer)
    await refusing(() => requireRecords(person, 'place a hold'))
    const { recorder, sites } = this.#options
    const target = await this.#target(request)
    return recorder.inTurn(async () => {
      const tooLate = await this.#beingDestroyed(target)
      if (target.kind === 'study' && tooLate.length > 0) {
        throw new ArchiveError(
          'conflict',
          `study ${target.studyUid} is being destroyed; no hold can stop that any more`,
        )
      }
      const holdId = randomUUID()
      const { caseReference, reason, holder } = request
      const [site = { site: recorder.site, generation: '' }] = sites.all()
      const hold = { id: randomUUID(), holdId, target, caseReference, reason, holder }
      const placed = await refusing(() => placeHold(hold, person, new Date().toISOString(), site))
      // With a second site the hold is confirmed when that has it.
      const confirmed: KnownEvent[] =
        sites.all().length > 1 ? [] : [{ kind: 'hold.confirmed', actor: SYSTEM, subject: { hold: holdId }, data: {} }]
      await recorder.record(...eventsOf({ ...hold, reason: placed.reason }, request, officer), ...confirmed)
      return { ...(await this.show(holdId)), ...(tooLate.length > 0 ? { tooLate } : {}) }
    })
  }

  /** One person's consent; the second one's releases it. Throws ArchiveError `not_found`, `forbidden`, `conflict`. */
  async release(holdId: string, reason: string, officer: Officer): Promise<ShownHold> {
    const { catalogue, recorder, sites } = this.#options
    const person = personOf(officer)
    return recorder.inTurn(async () => {
      const set = new HoldSet(sites.all(), await catalogue.holdEvents(holdId))
      const [site = { site: recorder.site, generation: '' }] = sites.all()
      const at = new Date().toISOString()
      const agreed = await refusing(() => agreeToRelease(set, { id: randomUUID(), holdId, reason }, person, at, site))
      const first = set.hold(holdId)?.releasedBy.length === 0
      const text = agreed.kind === 'release-agreed' ? agreed.reason : reason
      const event = { actor: actorOf(officer), subject: { hold: holdId } }
      await recorder.record(
        first
          ? { ...event, kind: 'hold.agreed', data: { reason: text } }
          : { ...event, kind: 'hold.released', data: { reason: text, approvedBy: officer.name } },
      )
      return this.show(holdId)
    })
  }

  async #target({ studyUid, patient, query }: HoldRequest): Promise<HoldTarget> {
    const given = [studyUid, patient, query].filter((one) => one !== undefined)
    if (given.length !== 1)
      throw new ArchiveError('invalid_request', 'a hold is on one of: a study, a patient, a query')
    if (studyUid !== undefined) {
      if ((await this.#options.catalogue.patientOf(studyUid)) !== undefined) return { kind: 'study', studyUid }
      throw notFound(`there is no study ${studyUid}; a hold on a patient covers studies that come later`)
    }
    if (patient) {
      const { patientId, issuer = '' } = patient
      const known = await this.#options.catalogue.patient(patientId, issuer)
      // As the catalogue will call them when their first study comes.
      return { kind: 'patient', patientKey: known ?? `id ${issuer}\\${patientId}` }
    }
    return { kind: 'query', query: JSON.stringify(query), studyUids: await this.#found(query ?? []) }
  }

  async #found(match: readonly MatchKey[]): Promise<string[]> {
    if (match.length === 0) throw new ArchiveError('invalid_request', 'a query without keys would hold everything')
    const found: string[] = []
    for await (const json of this.#options.find({ level: 'study', match, include: [], fuzzy: false })) {
      const uid = textOf(json, '0020000D')
      if (uid !== undefined) found.push(uid)
      if (found.length > STUDIES_MAX) break
    }
    return found
  }

  async #beingDestroyed(target: HoldTarget): Promise<string[]> {
    const late: string[] = []
    for (let after = ''; ; ) {
      const page = await this.#options.catalogue.dispositions({ state: 'destroying' }, { after, limit: 100 })
      for (const { studyUid } of page) {
        if (target.kind === 'study' && target.studyUid === studyUid) late.push(studyUid)
        if (target.kind === 'query' && target.studyUids.includes(studyUid)) late.push(studyUid)
        if (target.kind === 'patient') {
          if ((await this.#options.catalogue.patientOf(studyUid)) === target.patientKey) late.push(studyUid)
        }
      }
      if (page.length < 100) return late
      after = page.at(-1)?.id ?? ''
    }
  }
}

/** What a query found is written before the placing: a crash in between leaves no hold, and nobody was told of one. */
function eventsOf(
  { holdId: hold, target, caseReference, reason, holder }: Parameters<typeof placeHold>[0],
  { query }: HoldRequest,
  officer: Officer,
): KnownEvent[] {
  const actor = actorOf(officer)
  const events: KnownEvent[] = []
  const studies = target.kind === 'query' ? target.studyUids : []
  for (let at = 0; at < studies.length; at += STUDIES_PER_EVENT) {
    const some = studies.slice(at, at + STUDIES_PER_EVENT)
    events.push({ kind: 'hold.expanded', actor, subject: { hold }, data: { studies: [...some] } })
  }
  const subject =
    target.kind === 'study'
      ? { hold, study: target.studyUid }
      : target.kind === 'patient'
        ? { hold, patient: target.patientKey }
        : { hold }
  const keys = (query ?? []).map(({ path, value }) => ({ path: [...path], value }))
  const data = { case: caseReference, reason, holder, ...(query ? { query: { keys } as JsonObject } : {}) }
  events.push({ kind: 'hold.placed', actor, subject, data })
  return events
}

import { randomUUID } from 'node:crypto'
import { requireRecords } from '../../retention/actor.ts'
import { abort, approve, begin, type Disposition, nominate, reject, review } from '../../retention/disposition.ts'
import { toRecord } from '../../retention/record.ts'
import type { CatalogueRetention, Page, StoredDisposition } from '../catalogue/retention-ports.ts'
import { ArchiveError } from '../errors.ts'
import type { JsonObject } from '../events/canonical.ts'
import { SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { Destroyer } from './destroy.ts'
import { type FoldedDisposition, foldDisposition } from './fold.ts'
import type { StudyGuard } from './guard.ts'
import { actorOf, type Officer, personOf, refusing } from './officer.ts'
import type { Policies } from './policies.ts'
import type { Sites } from './ports.ts'
import { notFound, type Recorder } from './record.ts'
import type { Standings } from './standings.ts'

export interface DispositionsOptions {
  catalogue: CatalogueRetention
  recorder: Recorder
  policies: Policies
  standings: Standings
  destroyer: Destroyer
  sites: Sites
  guard: StudyGuard
  /** Brings what the landing holds of a study into packs and out of the landing. */
  clearLanding(studyUid: string): Promise<void>
}

const INSTANCES_PER_EVENT = 500
const OPEN: ReadonlySet<string> = new Set(['candidate', 'reviewed', 'approved', 'destroying'])
const PACKS_NAMED_MAX = 1000

/** The steps that persons take from an expired study to its certificate. Nothing moves by itself. */
export class Dispositions {
  readonly #options: DispositionsOptions

  constructor(options: DispositionsOptions) {
    this.#options = options
  }

  /** Throws ArchiveError `not_found`. */
  async show(id: string): Promise<FoldedDisposition> {
    const stored = await this.#options.catalogue.disposition(id)
    const folded = stored && fold(stored)
    if (!folded) throw notFound(`there is no disposition ${id}`)
    return folded
  }

  async list(which: { state?: string | undefined; studyUid?: string | undefined }, page: Page) {
    const stored = await this.#options.catalogue.dispositions(which, page)
    return stored.flatMap((one) => fold(one) ?? [])
  }

  /** Puts a study on the list of candidates. Throws ArchiveError `conflict` with what forbids it, `not_found`, `forbidden`. */
  async nominate(studyUid: string, officer: Officer): Promise<FoldedDisposition> {
    const { catalogue, recorder, standings } = this.#options
    const person = personOf(officer)
    await refusing(() => requireRecords(person, 'list a candidate'))
    return recorder.inTurn(async () => {
      const before = await catalogue.dispositions({ studyUid }, { limit: 1000 })
      const open = before.flatMap((one) => fold(one) ?? []).find(({ disposition }) => OPEN.has(disposition.state))
      if (open) throw new ArchiveError('conflict', `study ${studyUid} is in disposition ${open.disposition.id} already`)
      const { standing, digests } = await standings.of(studyUid)
      const id = randomUUID()
      const { subject, approvalsNeeded } = await refusing(() => nominate(id, standing, digests, now()))
      const { rule, retainUntil } = subject
      const data = { rule, retainUntil, subject: subject as unknown as JsonObject, approvals: approvalsNeeded }
      await recorder.record({ kind: 'disposition.listed', ...about(id, studyUid, officer), data })
      return this.show(id)
    })
  }

  /** Lets go of a candidate, or keeps it. */
  review(id: string, accepted: boolean, reason: string, officer: Officer): Promise<FoldedDisposition> {
    return this.#step(id, officer, (disposition) => {
      const judge = accepted ? review : reject
      judge(disposition, personOf(officer), now(), reason)
      return { kind: 'disposition.reviewed', data: { accepted, reason: reason.trim() } }
    })
  }

  approve(id: string, reason: string, officer: Officer): Promise<FoldedDisposition> {
    return this.#step(id, officer, (disposition) => {
      approve(disposition, personOf(officer), now(), reason)
      return { kind: 'disposition.approved', data: { reason: reason.trim(), reviewedBy: disposition.reviewedBy ?? '' } }
    })
  }

  /** A records officer says no; an administrator may stop it too. */
  reject(id: string, reason: string, officer: Officer): Promise<FoldedDisposition> {
    return this.#step(id, officer, (disposition) => {
      const person = personOf(officer)
      if (person.roles.includes('records')) {
        reject(disposition, person, now(), reason)
        return { kind: 'disposition.rejected', data: { reason: reason.trim() } }
      }
      abort(disposition, person.id, now(), reason)
      return { kind: 'disposition.aborted', data: { proposal: disposition.proposal ?? 0, reason: reason.trim() } }
    })
  }

  async #step(
    id: string,
    officer: Officer,
    take: (disposition: Disposition) => Pick<KnownEvent, 'kind' | 'data'>,
  ): Promise<FoldedDisposition> {
    const { recorder } = this.#options
    return recorder.inTurn(async () => {
      const { disposition } = await this.show(id)
      const event = await refusing(() => take(disposition))
      await recorder.record({ ...event, ...about(id, disposition.subject.studyUid, officer) } as KnownEvent)
      return this.show(id)
    })
  }

  /**
   * Destroys what persons have approved, after everything was looked at once more. Where something has changed it is
   * aborted. Once it has committed there is no way but forward: what can't be reached now is destroyed as soon as it can.
   * Throws ArchiveError `conflict` before the commit, with nothing changed.
   */
  async carryOut(id: string, officer: Officer): Promise<FoldedDisposition> {
    const { clearLanding, destroyer, guard, recorder } = this.#options
    const person = personOf(officer)
    await refusing(() => requireRecords(person, 'begin a destruction'))
    const { disposition } = await this.show(id)
    const { studyUid } = disposition.subject
    if (disposition.state === 'approved') {
      await destroyer.assertReachable(studyUid)
      await clearLanding(studyUid)
      await guard.close(studyUid)
      try {
        await recorder.inTurn(() => this.#commit(id, officer))
      } finally {
        if (!(await destroyer.isCommitted(id).catch(() => true))) guard.open(studyUid)
      }
    } else if (disposition.state !== 'destroying') {
      throw new ArchiveError('conflict', `you can't destroy by a disposition that is ${disposition.state}`)
    }
    const after = await this.show(id)
    if (after.disposition.state === 'destroying') await destroyer.destroy(id)
    return this.show(id)
  }

  /** The recheck and the commit, with nothing decided in between. */
  async #commit(id: string, officer: Officer): Promise<void> {
    const { catalogue, policies, recorder, sites, standings } = this.#options
    const { disposition } = await this.show(id)
    const { studyUid } = disposition.subject
    const { standing, digests } = await standings.of(studyUid)
    // No event has the same number, so no two proposals have.
    const proposal = recorder.seq + 1
    const begun = await refusing(() => begin(disposition, standing, digests, proposal, now()))
    const subject = { disposition: id, study: studyUid }
    if (begun.state === 'aborted') {
      const blocks = [...(begun.steps.at(-1)?.blocks ?? [])]
      const reason = `the recheck before destruction failed: ${blocks.join(', ')}`
      await recorder.record({ kind: 'disposition.aborted', actor: SYSTEM, subject, data: { proposal, reason, blocks } })
      return
    }
    // The certificate's decision refers to it.
    await policies.announce(recorder)
    await sites.agreeToDestroy(begun, proposal)
    const copies = await catalogue.copies(studyUid)
    const doomed = copies.map((copy): [string, string, number] => [copy.sopInstanceUid, copy.sha256, copy.sizeBytes])
    const events: KnownEvent[] = []
    for (let at = 0; at < doomed.length; at += INSTANCES_PER_EVENT) {
      const instances = doomed.slice(at, at + INSTANCES_PER_EVENT)
      events.push({ kind: 'disposition.doomed', actor: SYSTEM, subject, data: { instances } })
    }
    const decision = toRecord(standing.decision) as unknown as JsonObject
    const packs = packsOf(copies).slice(0, PACKS_NAMED_MAX)
    events.push({
      kind: 'disposition.committed',
      actor: actorOf(officer),
      subject,
      data: { proposal, packs, decision },
    })
    await recorder.record(...events)
  }
}

/** By the catalogue's numbers. */
const packsOf = (copies: readonly { location: object }[]): string[] => [
  ...new Set(copies.flatMap(({ location }) => ('pack' in location ? [String(location.pack)] : []))),
]

const now = (): string => new Date().toISOString()

const about = (disposition: string, study: string, officer: Officer) => ({
  actor: actorOf(officer),
  subject: { disposition, study },
})

export function fold({ id, studyUid, records }: StoredDisposition): FoldedDisposition | undefined {
  return foldDisposition(id, studyUid, records)
}

import { randomBytes, randomUUID } from 'node:crypto'
import type { CatalogueReader } from '../catalogue/ports.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Actor, Subject } from '../events/event.ts'
import type { DataOf, KnownEvent } from '../events/kinds.ts'
import type { RecordEvents } from '../events/ports.ts'
import { REJECTION_REASONS } from './codes.ts'
import { isOfPatient, keyText, type PatientKey } from './overlay.ts'
import { type Attributes, type Correct, type ReadCorrections, type Reject, tagsIn } from './ports.ts'
import type { Records } from './records.ts'
import { correctedValues } from './values.ts'

export interface CorrectionsOptions {
  catalogue: Pick<CatalogueReader, 'instances'>
  corrections: ReadCorrections
  records: Pick<Records, 'put'>
  events: RecordEvents & { readonly site: string }
  /** Resolves when the catalogue shows what an event says. */
  projected(site: string, seq: number): Promise<void>
}

/** What one event's line may name. */
const INSTANCES_PER_EVENT = 1000
/** A batch of lines has a limit of bytes. */
const EVENTS_PER_APPEND = 8

export interface NamedInstances {
  rejection: string
  studyUid: string
  sopInstanceUids: readonly string[]
  code: string
  reason: string
  note?: string
}

/** The use cases of rejecting and correcting: each becomes an event, and what is shown follows from the events. */
export class Corrections implements Correct {
  readonly #options: CorrectionsOptions

  constructor(options: CorrectionsOptions) {
    this.#options = options
  }

  async reject(what: Reject, actor: Actor): Promise<{ rejection: string; instances: number }> {
    const { studyUid, seriesUid, code, reason } = what
    if (!Object.hasOwn(REJECTION_REASONS, code)) {
      const codes = Object.keys(REJECTION_REASONS).join(', ')
      throw new ArchiveError('invalid_request', `${code.slice(0, 32)} is no code of a rejection: ${codes}`)
    }
    const wanted = what.sopInstanceUids && new Set(what.sopInstanceUids)
    const scope = { studyUids: [studyUid], ...(seriesUid === undefined ? {} : { seriesUids: [seriesUid] }) }
    const sopInstanceUids: string[] = []
    for await (const { sopInstanceUid } of this.#options.catalogue.instances(scope)) {
      if (!wanted || wanted.delete(sopInstanceUid)) sopInstanceUids.push(sopInstanceUid)
    }
    const [missing] = wanted ?? []
    if (missing !== undefined) throw new ArchiveError('not_found', `the study has no instance ${missing} that is shown`)
    if (sopInstanceUids.length === 0) throw new ArchiveError('not_found', 'nothing of it is shown')
    const rejection = randomUUID()
    await this.rejectNamed([{ rejection, studyUid, sopInstanceUids, code, reason }], actor)
    return { rejection, instances: sopInstanceUids.length }
  }

  /** Rejects instances by name, whether they are here or will come. */
  async rejectNamed(rejections: readonly NamedInstances[], actor: Actor): Promise<void> {
    const events = rejections.flatMap((one) => eventsOf(one, actor))
    for (let at = 0; at < events.length; at += EVENTS_PER_APPEND) {
      await this.#append(...events.slice(at, at + EVENTS_PER_APPEND))
    }
  }

  async restore(
    { studyUid, rejection, reason }: { studyUid: string; rejection: string; reason: string },
    actor: Actor,
  ): Promise<void> {
    const known = await this.#options.corrections.rejections(studyUid)
    if (!known.some(({ id }) => id === rejection))
      throw new ArchiveError('not_found', 'the study has no such rejection')
    await this.#append({ kind: 'instances.restored', actor, subject: { study: studyUid, rejection }, data: { reason } })
  }

  /** An instance was sent again, so that rejections like this one no longer hold for it. */
  async restoreSentAgain(
    { studyUid, rejection, sopInstanceUid }: { studyUid: string; rejection: string; sopInstanceUid: string },
    actor: Actor,
  ): Promise<void> {
    const data = { reason: 'sent again', instances: [sopInstanceUid] }
    await this.#append({ kind: 'instances.restored', actor, subject: { study: studyUid, rejection }, data })
  }

  async correctStudy(
    what: { studyUid: string; seriesUid?: string | undefined; attributes: Attributes; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }> {
    const { studyUid, seriesUid, reason } = what
    const type = seriesUid === undefined ? 'study' : 'series'
    const values = correctedValues(type, what.attributes)
    await this.#assertKnown(studyUid, seriesUid)
    const subject = { study: studyUid, ...(seriesUid === undefined ? {} : { series: seriesUid }) }
    return this.#correct({ type, subject, values, reason }, actor)
  }

  async moveStudy(
    what: { studyUid: string; to: PatientKey; attributes?: Attributes | undefined; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }> {
    const { studyUid, to, reason } = what
    await this.#assertKnown(studyUid)
    const base = await this.#baseOf(to, what.attributes)
    if (!base) {
      throw new ArchiveError('invalid_request', 'the patient is not in the archive: give at least PatientName')
    }
    return this.#correct({ type: 'move', subject: { study: studyUid }, values: base, reason, to }, actor)
  }

  async mergePatients(
    what: { prior: PatientKey; surviving: PatientKey; attributes?: Attributes | undefined; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }> {
    const { prior, surviving, reason } = what
    if (keyText(prior) === keyText(surviving)) throw new ArchiveError('invalid_request', 'both are the same patient')
    // Where the surviving one is new, it is the prior one under a new identifier.
    const own = await this.#options.corrections.patient(prior)
    const base = (await this.#baseOf(surviving, what.attributes)) ?? (own && demographics(own))
    if (!base) throw new ArchiveError('not_found', 'neither patient is in the archive')
    return this.#correct({ type: 'merge', subject: {}, values: base, reason, patient: prior, to: surviving }, actor)
  }

  async correctPatient(
    { patient, attributes, reason }: { patient: PatientKey; attributes: Attributes; reason: string },
    actor: Actor,
  ): Promise<{ correction: string }> {
    const values = correctedValues('patient', attributes)
    if (!(await this.#options.corrections.patient(patient))) {
      throw new ArchiveError('not_found', 'the patient is not in the archive')
    }
    return this.#correct({ type: 'patient', subject: {}, values, reason, patient }, actor)
  }

  async withdraw({ correction, reason }: { correction: string; reason: string }, actor: Actor): Promise<void> {
    const known = await this.#options.corrections.correction(correction)
    if (!known) throw new ArchiveError('not_found', 'there is no such correction')
    await this.#append({ kind: 'correction.withdrawn', actor, subject: { correction }, data: { reason } })
  }

  async #assertKnown(studyUid: string, seriesUid?: string): Promise<void> {
    if (await this.#options.corrections.knowsStudy(studyUid, seriesUid)) return
    throw new ArchiveError('not_found', seriesUid === undefined ? 'no such study' : 'no such series')
  }

  /** What the studies of others show of the patient to whom they go: as stored files say it, with what is given. */
  async #baseOf(key: PatientKey, attributes: Attributes | undefined): Promise<DicomJson | undefined> {
    const given = attributes && correctedValues('patient', attributes)
    const stored = await this.#options.corrections.patient(key)
    if (!stored && !given?.['00100010']?.Value) return undefined
    return { ...demographics(stored ?? {}), ...given }
  }

  async #correct(
    one: {
      type: DataOf<'correction.made'>['type']
      subject: Subject
      values: DicomJson
      reason: string
      patient?: PatientKey
      to?: PatientKey
    },
    actor: Actor,
  ): Promise<{ correction: string }> {
    const { type, subject, values, reason, patient, to } = one
    const { records, corrections } = this.#options
    const correction = randomUUID()
    // The salt keeps anybody from guessing a name and comparing digests after the record is gone.
    const salt = randomBytes(16).toString('hex')
    const record = await records.put(
      `${JSON.stringify({ firn: 1, correction, type, attributes: values, reason, salt })}\n`,
    )
    const place = await corrections.nextPlace()
    const identity = (key: PatientKey) => ({ id: key.patientId, issuer: key.issuer })
    await this.#append({
      kind: 'correction.made',
      actor,
      subject: { ...subject, correction },
      data: {
        type,
        place,
        keys: tagsIn(values),
        record,
        ...(patient ? { patient: identity(patient) } : {}),
        ...(to ? { to: identity(to) } : {}),
      },
    })
    return { correction }
  }

  async #append(...events: readonly KnownEvent[]): Promise<void> {
    const { events: log, projected } = this.#options
    const places = await log.append(...events)
    const last = places.at(-1)
    if (last) await projected(log.site, last.seq)
  }
}

/** The patient's attributes but the identifiers, which the correction names itself. */
function demographics(json: DicomJson): DicomJson {
  const entries = Object.entries(json).filter(
    ([tag]) => isOfPatient(tag) && tag !== '00100020' && tag !== '00100021' && tag !== '00100024',
  )
  return Object.fromEntries(entries)
}

function eventsOf({ rejection, studyUid, sopInstanceUids, code, reason, note }: NamedInstances, actor: Actor) {
  const events: KnownEvent[] = []
  for (let at = 0; at < sopInstanceUids.length; at += INSTANCES_PER_EVENT) {
    events.push({
      kind: 'instances.rejected',
      actor,
      subject: { study: studyUid, rejection },
      data: {
        code,
        reason,
        instances: sopInstanceUids.slice(at, at + INSTANCES_PER_EVENT),
        ...(note === undefined ? {} : { note }),
      },
    })
  }
  return events
}

import type { Actor, Event } from '../events/event.ts'
import { type KnownEvent, known } from '../events/kinds.ts'
import {
  type AuditMessage,
  type AuditSource,
  type Code,
  dcm,
  type Participant,
  type ParticipantObject,
  rfc3881,
  toXml,
} from './audit-message.ts'
import type { MessagesOf, StudySubject, Subjects } from './ports.ts'
import { queryOf } from './query-object.ts'

export interface MessagesOptions {
  source: AuditSource
  aeTitle: string
  /** Of this machine. */
  host: string
  subjects: Subjects
}

/** PS3.16 CID 400 and 402 to 405. */
const APPLICATION = dcm('110150', 'Application')
const DESTINATION = dcm('110152', 'Destination Role ID')
const SOURCE = dcm('110153', 'Source Role ID')
const DESTINATION_MEDIA = dcm('110154', 'Destination Media')
const SOURCE_MEDIA = dcm('110155', 'Source Media')
const MEDIA_URI = dcm('110037', 'URI')
const TRANSFERRED = dcm('110104', 'DICOM Instances Transferred')
const SECURITY_ALERT = dcm('110113', 'Security Alert')
const NODE_AUTHENTICATION = dcm('110126', 'Node Authentication')
const RESTRICTED_FUNCTION = dcm('110132', 'Use of Restricted Function')
const URI = rfc3881('12', 'URI')
const PATIENT_NUMBER = rfc3881('2', 'Patient Number')
const STUDY_UID = dcm('110180', 'Study Instance UID')

/** Whole instances go out by these; by the others somebody looks at some of them. */
const TRANSFERS: ReadonlySet<string> = new Set(['wado-rs', 'wado-uri', 'by-digest', 'c-move', 'c-get'])

type Known<K extends KnownEvent['kind']> = Event & Extract<KnownEvent, { kind: K }>

/** The audit messages of PS3.15 A.5.3 that the site's events make. */
export function messagesOf(options: MessagesOptions): MessagesOf {
  const maker = new Maker(options)
  return async (event) => {
    const messages = await maker.make(event)
    return messages.map((message) => ({
      xml: toXml(message, options.source),
      at: message.at,
      failed: message.outcome !== 0,
    }))
  }
}

class Maker {
  readonly #options: MessagesOptions

  constructor(options: MessagesOptions) {
    this.#options = options
  }

  async make(event: Event): Promise<AuditMessage[]> {
    const one = known(event)
    switch (one?.kind) {
      case 'access.read':
        return this.#read(one)
      case 'access.began':
        return [await this.#began(one)]
      case 'access.query':
        return [this.#query(one)]
      case 'access.denied':
        return [this.#denied(one)]
      case 'study.received':
        return this.#received(one)
      case 'audit.read':
        return [this.#logUsed(one)]
      case 'site.started':
        return [this.#activity(one, dcm('110120', 'Application Start'))]
      case 'site.stopped':
        return [this.#activity(one, dcm('110121', 'Application Stop'))]
      case 'disposition.destroyed':
        return [await this.#destroyed(one)]
      default:
        return one ? this.#alerts(one) : []
    }
  }

  /** Where some was sent and some was not, the standard wants a message for each (Table A.5.2-1). */
  async #read(event: Known<'access.read'>): Promise<AuditMessage[]> {
    const { complete, instances } = event.data
    const outcomes = complete ? [0 as const] : instances > 0 ? [0 as const, 4 as const] : [4 as const]
    return Promise.all(outcomes.map((outcome) => this.#readWith(event, outcome)))
  }

  async #readWith(event: Known<'access.read'>, outcome: 0 | 4): Promise<AuditMessage> {
    const { data, actor, subject } = event
    const { service, instances, destination } = data
    const person = personOf(actor)
    const toPerson = { ...person, role: DESTINATION }
    const base = {
      action: 'R' as const,
      at: timeOf(event),
      outcome,
      ...(outcome === 0 ? {} : { outcomeText: `not all of it was sent${data.status ? ` (${data.status})` : ''}` }),
      objects: await this.#studyObjects(subject.study, outcome === 0 ? instances : 0),
    }
    const firn = this.#firn({ role: SOURCE })
    if (service === 'zip') {
      const media: Participant = {
        userId: `https://${actor.from || 'unknown'}`,
        isRequestor: false,
        role: DESTINATION_MEDIA,
        mediaType: MEDIA_URI,
      }
      return { ...base, event: dcm('110106', 'Export'), participants: [firn, { ...person, role: SOURCE }, media] }
    }
    if (!TRANSFERS.has(service)) {
      return { ...base, event: dcm('110103', 'DICOM Instances Accessed'), participants: [person, this.#firn({})] }
    }
    const to = destination === undefined ? [toPerson] : [this.#ae(destination, DESTINATION), person]
    return { ...base, event: TRANSFERRED, participants: [firn, ...to] }
  }

  async #began(event: Known<'access.began'>): Promise<AuditMessage> {
    const { actor, data, subject } = event
    const receiver =
      data.service === 'c-move'
        ? [this.#ae(data.destination, DESTINATION), personOf(actor)]
        : [{ ...personOf(actor), role: DESTINATION }]
    return {
      event: dcm('110102', 'Begin Transferring DICOM Instances'),
      action: 'E',
      at: timeOf(event),
      outcome: 0,
      participants: [this.#firn({ role: SOURCE }), ...receiver],
      objects: await this.#studyObjects(subject.study, data.instances),
    }
  }

  #query(event: Known<'access.query'>): AuditMessage {
    return {
      event: dcm('110112', 'Query'),
      action: 'E',
      at: timeOf(event),
      outcome: event.data.complete === false ? 4 : 0,
      participants: [{ ...personOf(event.actor), role: SOURCE }, this.#firn({ role: DESTINATION })],
      objects: [queryOf(event.data)],
    }
  }

  async #received(event: Known<'study.received'>): Promise<AuditMessage[]> {
    const { instances, duplicates, refused, service } = event.data
    const isImport = service === 'import'
    const from: Participant = isImport
      ? {
          userId: `file://${event.actor.from || 'local'}`,
          isRequestor: false,
          role: SOURCE_MEDIA,
          mediaType: MEDIA_URI,
        }
      : { ...personOf(event.actor), role: SOURCE }
    const base = {
      event: isImport ? dcm('110107', 'Import') : TRANSFERRED,
      at: timeOf(event),
      participants: [from, this.#firn({ role: DESTINATION }), ...(isImport ? [personOf(event.actor)] : [])],
    }
    const messages: AuditMessage[] = []
    if (instances > 0) {
      // Read: everything was there already (Table A.5.3.7-1).
      const action = duplicates === instances && !isImport ? 'R' : 'C'
      const objects = await this.#studyObjects(event.subject.study, instances)
      messages.push({ ...base, action, outcome: 0, objects })
    }
    if (refused > 0 || instances === 0) {
      const objects = await this.#studyObjects(event.subject.study, 0)
      messages.push({ ...base, action: 'C', outcome: 4, outcomeText: `${refused} instances were refused`, objects })
    }
    return messages
  }

  #activity(event: Event, type: Code): AuditMessage {
    const participants = [this.#firn({ role: APPLICATION })]
    const identity = { event: dcm('110100', 'Application Activity'), type, action: 'E' as const }
    return { ...identity, at: event.at, outcome: 0, participants, objects: [] }
  }

  #logUsed(event: Known<'audit.read'>): AuditMessage {
    return {
      event: dcm('110101', 'Audit Log Used'),
      action: 'R',
      at: timeOf(event),
      outcome: 0,
      participants: [personOf(event.actor), this.#firn({})],
      objects: [{ id: `urn:firn:${event.site}:events`, idType: URI, type: 2, role: 13, name: 'Security Audit Log' }],
    }
  }

  async #destroyed(event: Known<'disposition.destroyed'>): Promise<AuditMessage> {
    return {
      event: dcm('110105', 'DICOM Study Deleted'),
      action: 'D',
      at: event.at,
      outcome: 0,
      participants: [personOf(event.actor), this.#firn({})],
      objects: await this.#studyObjects(event.subject.study, event.data.instances),
    }
  }

  /** Nobody without a valid token logs in; a token without the role, or an AE title that isn't admitted, is an alert. */
  #denied(event: Known<'access.denied'>): AuditMessage {
    const { actor, data } = event
    const { service, reason, requests = 1 } = data
    const outcomeText = `${reason}${requests > 1 ? `, ${requests} times` : ''}`
    if (reason === 'no token' || reason === 'no valid token') {
      return {
        event: dcm('110114', 'User Authentication'),
        type: dcm('110122', 'Login'),
        action: 'E',
        at: timeOf(event),
        outcome: 4,
        outcomeText,
        participants: [{ ...personOf(actor), userId: data.token ?? (actor.name || 'unknown') }, this.#firn({})],
        objects: [],
      }
    }
    const isNode = actor.role === 'dimse' || reason === 'TLS handshake'
    const type = isNode ? NODE_AUTHENTICATION : RESTRICTED_FUNCTION
    return this.#alert(event, { type, outcome: 4, object: service, text: outcomeText })
  }

  #alerts(event: Event & KnownEvent): AuditMessage[] {
    const { kind, subject } = event
    const alert = (type: Code, outcome: AuditMessage['outcome'], text: string): AuditMessage[] => [
      this.#alert(event, { type, outcome, object: subject.store ?? subject.hold ?? subject.study ?? kind, text }),
    ]
    if (kind === 'admin.called') {
      const { method, route, status } = event.data
      return alert(RESTRICTED_FUNCTION, status < 400 ? 0 : 4, `${method} ${route}: ${status}`)
    }
    if (kind === 'token.created' || kind === 'token.revoked') {
      const text = `${kind} ${event.data.token} (${event.data.name})`
      return alert(dcm('110137', 'User security Attributes Changed'), 0, text)
    }
    if (kind === 'config.changed') {
      return alert(dcm('110129', 'Security Configuration'), 0, `configuration changed: ${event.data.keys.join(', ')}`)
    }
    if (kind === 'audit.lost') {
      return alert(dcm('110133', 'Audit Recording Stopped'), 8, `${event.data.events} audit events were lost`)
    }
    if (kind === 'hold.placed' || kind === 'hold.released') {
      return alert(dcm('110135', 'Object Security Attributes Changed'), 0, kind)
    }
    return []
  }

  #alert(
    event: Event,
    { type, outcome, object, text }: { type: Code; outcome: AuditMessage['outcome']; object: string; text: string },
  ): AuditMessage {
    return {
      event: SECURITY_ALERT,
      type,
      action: 'E',
      at: timeOf(event),
      outcome,
      ...(outcome === 0 ? {} : { outcomeText: text }),
      participants: [this.#firn({ isRequestor: true }), { ...personOf(event.actor), isRequestor: false }],
      objects: [
        {
          id: object,
          idType: URI,
          type: 2,
          role: 13,
          name: object,
          details: [{ type: 'Alert Description', value: text }],
        },
      ],
    }
  }

  #firn({ role, isRequestor = false }: { role?: Code; isRequestor?: boolean }): Participant {
    const { aeTitle, host, source } = this.#options
    return {
      userId: source.id,
      alternativeUserId: `AETITLES=${aeTitle}`,
      userName: 'Firn',
      isRequestor,
      address: host,
      ...(role ? { role } : {}),
    }
  }

  #ae(aeTitle: string, role: Code): Participant {
    return { userId: aeTitle, alternativeUserId: `AETITLES=${aeTitle}`, isRequestor: false, role }
  }

  /** The study and its patient, who may not be known any more. */
  async #studyObjects(studyUid: string | undefined, instances: number): Promise<ParticipantObject[]> {
    if (studyUid === undefined) return []
    const found = await this.#options.subjects.study(studyUid)
    const study: ParticipantObject = {
      id: studyUid,
      idType: STUDY_UID,
      type: 2,
      role: 3,
      accessions: found && found.accession !== '' ? [found.accession] : [],
      sopClasses: classesOf(found, instances),
    }
    const id = found ? patientIdOf(found) : '(unknown)'
    return [study, { id, idType: PATIENT_NUMBER, type: 1, role: 1, name: found?.patientName }]
  }
}

/** Which class has how many isn't in the event: of several each is named, and the number stands alone. */
function classesOf(found: StudySubject | undefined, instances: number): { uid?: string; instances: number }[] {
  const uids = found?.sopClasses ?? []
  const [uid] = uids
  return uid !== undefined && uids.length === 1 ? [{ uid, instances }] : [{ instances }]
}

/** As HL7's CX type has it, which audit repositories expect. */
const patientIdOf = ({ patientId, issuer }: StudySubject): string =>
  issuer === '' ? patientId : `${patientId}^^^${issuer}`

/** The first of those that one event stands for. */
function timeOf(event: Event): string {
  const { since } = event.data
  return typeof since === 'string' ? since : event.at
}

function personOf({ name, role, from }: Actor): Participant {
  const isAe = role === 'dimse'
  const userId = name || (isAe ? 'unknown' : 'anonymous')
  return {
    userId,
    ...(isAe && name !== '' ? { alternativeUserId: `AETITLES=${name}` } : {}),
    isRequestor: true,
    ...(from === '' || from === 'local' ? {} : { address: from }),
  }
}

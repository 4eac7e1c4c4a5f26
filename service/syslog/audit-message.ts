import { element, escapeXml } from './xml.ts'

/** A coded value (PS3.15 A.5.1.1 CodedValueType). */
export interface Code {
  code: string
  system: string
  meaning: string
}

export const dcm = (code: string, meaning: string): Code => ({ code, system: 'DCM', meaning })
export const rfc3881 = (code: string, meaning: string): Code => ({ code, system: 'RFC-3881', meaning })

/** 0 success, 4 minor, 8 serious, 12 major failure. */
export type AuditOutcome = 0 | 4 | 8 | 12

export interface Participant {
  userId: string
  alternativeUserId?: string | undefined
  userName?: string | undefined
  isRequestor: boolean
  role?: Code
  mediaType?: Code
  /** An IP address or a machine's name; left out where it is empty. */
  address?: string
}

export interface ParticipantObject {
  id: string
  idType: Code
  /** 1 person, 2 system object. */
  type: 1 | 2
  /** ParticipantObjectTypeCodeRole: 1 patient, 3 report, 13 security resource ... */
  role: number
  /** The schema wants one of the two. */
  name?: string | undefined
  query?: Buffer
  details?: readonly { type: string; value: string }[]
  accessions?: readonly string[]
  sopClasses?: readonly { uid?: string; instances: number }[]
}

export interface AuditMessage {
  event: Code
  type?: Code
  action: 'C' | 'R' | 'U' | 'D' | 'E'
  /** ISO 8601 with time zone. */
  at: string
  outcome: AuditOutcome
  outcomeText?: string | undefined
  participants: readonly Participant[]
  objects: readonly ParticipantObject[]
}

export interface AuditSource {
  id: string
  enterpriseSiteId?: string | undefined
}

/** One message in the XML of PS3.15 A.5.1.1; the schema's order of elements matters. */
export function toXml(message: AuditMessage, source: AuditSource): string {
  const { event, type, action, at, outcome, outcomeText, participants, objects } = message
  const identification = element(
    'EventIdentification',
    { EventActionCode: action, EventDateTime: at, EventOutcomeIndicator: outcome },
    [
      coded('EventID', event),
      ...(type ? [coded('EventTypeCode', type)] : []),
      ...(outcomeText === undefined ? [] : [element('EventOutcomeDescription', {}, [escapeXml(outcomeText)])]),
    ],
  )
  const by = element(
    'AuditSourceIdentification',
    {
      AuditEnterpriseSiteID: source.enterpriseSiteId,
      AuditSourceID: source.id,
    },
    [element('AuditSourceTypeCode', { 'csd-code': '4' })],
  )
  const children = [identification, ...participants.map(participant), by, ...objects.map(object)]
  return `<?xml version="1.0" encoding="UTF-8"?>${element('AuditMessage', {}, children)}`
}

const coded = (name: string, { code, system, meaning }: Code): string =>
  element(name, { 'csd-code': code, codeSystemName: system, originalText: meaning })

function participant(one: Participant): string {
  const { userId, alternativeUserId, userName, isRequestor, role, mediaType, address = '' } = one
  const isAddress = /^[\d.]+$|:/.test(address)
  const attributes = {
    UserID: userId,
    AlternativeUserID: alternativeUserId,
    UserName: userName,
    UserIsRequestor: isRequestor,
    ...(address === '' ? {} : { NetworkAccessPointID: address, NetworkAccessPointTypeCode: isAddress ? 2 : 1 }),
  }
  return element('ActiveParticipant', attributes, [
    ...(role ? [coded('RoleIDCode', role)] : []),
    ...(mediaType ? [element('MediaIdentifier', {}, [coded('MediaType', mediaType)])] : []),
  ])
}

function object(one: ParticipantObject): string {
  const { id, idType, type, role, name, query, details = [], accessions = [], sopClasses = [] } = one
  const attributes = {
    ParticipantObjectID: id,
    ParticipantObjectTypeCode: type,
    ParticipantObjectTypeCodeRole: role,
  }
  const description = [
    ...accessions.map((number) => element('Accession', { Number: number })),
    ...sopClasses.map(({ uid, instances }) => element('SOPClass', { UID: uid, NumberOfInstances: instances })),
  ]
  return element('ParticipantObjectIdentification', attributes, [
    coded('ParticipantObjectIDTypeCode', idType),
    query
      ? element('ParticipantObjectQuery', {}, [query.toString('base64')])
      : element('ParticipantObjectName', {}, [escapeXml(name ?? '')]),
    ...details.map(({ type: kind, value }) =>
      element('ParticipantObjectDetail', { type: kind, value: Buffer.from(value).toString('base64') }),
    ),
    ...(description.length > 0 ? [element('ParticipantObjectDescription', {}, description)] : []),
  ])
}

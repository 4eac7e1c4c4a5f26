import type { InstanceScope, MatchKey, QueryLevel } from '../catalogue/ports.ts'
import { decodeDataSet } from '../dicom/decode.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { DicomJson, JsonAttribute, JsonPersonName, JsonValue, Tag } from '../dicom/types.ts'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import type { Operation } from './association-types.ts'
import { collect } from './data-set-stream.ts'
import type { InformationModel } from './sop-classes.ts'

const QUERY_RETRIEVE_LEVEL = '00080052'

/** Transfer syntaxes in which identifiers are understood; of those proposed the first is accepted. */
const IDENTIFIER_SYNTAXES: readonly string[] = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]

export function chooseIdentifierSyntax(proposed: readonly string[]): string | undefined {
  return proposed.find((uid) => IDENTIFIER_SYNTAXES.includes(uid))
}

/** How an identifier is encoded in a context whose transfer syntax was chosen by the above. */
export function identifierEncoding(transferSyntaxUid: string): 'implicit' | 'explicit' {
  return transferSyntaxUid === IMPLICIT_LITTLE_ENDIAN ? 'implicit' : 'explicit'
}

/** The identifier of a request. Throws ArchiveError `invalid_request`, `too_large`, `aborted`. */
export async function readIdentifier({ dataSet, association, context }: Operation): Promise<DicomJson> {
  if (!dataSet) throw new ArchiveError('invalid_request', 'the request has no identifier')
  const bytes = await collect(dataSet, association.limits.identifierBytesMax)
  return decodeDataSet(bytes, context.transferSyntax)
}

/** Throws ArchiveError `invalid_request` when the level is missing or none of the model's. */
export function readLevel(identifier: DicomJson, model: InformationModel): { name: string; level: QueryLevel } {
  const name = keyText(identifier[QUERY_RETRIEVE_LEVEL]).toUpperCase()
  if (name === '') throw new ArchiveError('invalid_request', '(0008,0052) Query/Retrieve Level is missing')
  const level = model.levels.get(name)
  if (!level) throw new ArchiveError('invalid_request', `(0008,0052): ${model.name} has no level ${name.slice(0, 16)}`)
  return { name, level }
}

function personName(name: JsonPersonName): string {
  const groups = [name.Alphabetic ?? '', name.Ideographic ?? '', name.Phonetic ?? '']
  while (groups.length > 0 && groups.at(-1) === '') groups.pop()
  return groups.join('=')
}

function valueText(value: JsonValue): string {
  if (value === null) return ''
  if (typeof value === 'object') return personName(value as JsonPersonName)
  return String(value)
}

/** A key's value in DICOM's own form, several values separated by a backslash; empty for none. */
export function keyText(attribute: JsonAttribute | undefined): string {
  return (attribute?.Value ?? []).map(valueText).join('\\').trim()
}

/** The items of a sequence key. */
export function keyItems(attribute: JsonAttribute): DicomJson[] {
  return attribute.vr === 'SQ' ? ((attribute.Value ?? []) as DicomJson[]) : []
}

/** Whether a key's value restricts anything: PS3.4 C.2.2.2.3 and C.2.2.2.4, universal matching. */
function restricts(value: string): boolean {
  return value !== '' && !/^\*+$/.test(value)
}

/** The matching keys below one attribute; nothing for one that is only to be returned. */
export function matchKeys(tag: Tag, attribute: JsonAttribute): MatchKey[] {
  if (attribute.vr !== 'SQ') {
    const value = keyText(attribute)
    return restricts(value) ? [{ path: [tag], value }] : []
  }
  return keyItems(attribute).flatMap((item) =>
    Object.entries(item).flatMap(([inner, innerAttribute]) => {
      const value = innerAttribute.vr === 'SQ' ? '' : keyText(innerAttribute)
      return restricts(value) ? [{ path: [tag, inner], value }] : []
    }),
  )
}

/** The unique key of each level (PS3.4 C.6), from the top. */
const UNIQUE_KEYS = [
  { level: 'patient', tag: '00100020', name: 'Patient ID' },
  { level: 'study', tag: '0020000D', name: 'Study Instance UID' },
  { level: 'series', tag: '0020000E', name: 'Series Instance UID' },
  { level: 'instance', tag: '00080018', name: 'SOP Instance UID' },
] as const satisfies readonly { level: QueryLevel; tag: Tag; name: string }[]

function uidList(value: string, name: string): string[] {
  const uids = value.split('\\').map((uid) => uid.trim())
  for (const uid of uids) if (!isUid(uid)) throw new ArchiveError('invalid_request', `${name} holds what is no UID`)
  return uids
}

/**
 * What a C-MOVE or C-GET identifier asks for (PS3.4 C.4.2.1.4): the unique key of its level must be there, those of the
 * levels above restrict it further when they are. Throws ArchiveError `invalid_request`.
 */
export function readScope(identifier: DicomJson, model: InformationModel): InstanceScope {
  const { level } = readLevel(identifier, model)
  const scope: InstanceScope = {}
  for (const key of UNIQUE_KEYS) {
    const value = keyText(identifier[key.tag])
    if (value === '' && key.level === level) throw new ArchiveError('invalid_request', `${key.name} is missing`)
    if (value !== '') {
      if (key.level === 'patient') scope.patientId = value
      else if (key.level === 'study') scope.studyUids = uidList(value, key.name)
      else if (key.level === 'series') scope.seriesUids = uidList(value, key.name)
      else scope.sopInstanceUids = uidList(value, key.name)
    }
    if (key.level === level) break
  }
  return scope
}

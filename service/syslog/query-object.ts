import { dcm, type ParticipantObject, rfc3881 } from './audit-message.ts'

interface Asked {
  service: string
  level: string
  keys: readonly string[]
  sopClass?: string | undefined
}

const IMPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2'
const QUERY_RETRIEVE_LEVEL = '00080052'
const LEVELS: Readonly<Record<string, string>> = {
  patient: 'PATIENT',
  study: 'STUDY',
  series: 'SERIES',
  instance: 'IMAGE',
}

/**
 * What was asked (PS3.15 Table A.5.3.10-1). The log has no values, because they name patients; so the query has its keys
 * with empty values.
 */
export function queryOf({ service, level, keys, sopClass }: Asked): ParticipantObject {
  const object = { type: 2 as const, role: 3 }
  if (sopClass !== undefined) {
    return {
      ...object,
      id: sopClass,
      idType: dcm('110181', 'SOP Class UID'),
      query: identifier(level, keys),
      details: [{ type: 'TransferSyntax', value: IMPLICIT_LITTLE_ENDIAN }],
    }
  }
  const query = Buffer.from(keys.map((key) => `${key}=`).join('&'))
  return { ...object, id: `${service}/${level.replace(/^\//, '')}`, idType: rfc3881('12', 'URI'), query }
}

/** A data set of elements without value, and the level. Of a key within a sequence the sequence stands there. */
function identifier(level: string, keys: readonly string[]): Buffer {
  const tags = new Set(keys.map((key) => key.split('.')[0] ?? '').filter((tag) => /^[0-9A-Fa-f]{8}$/.test(tag)))
  const value = LEVELS[level]
  if (value !== undefined) tags.add(QUERY_RETRIEVE_LEVEL)
  const ordered = [...tags].map((tag) => tag.toUpperCase()).sort()
  return Buffer.concat(ordered.map((tag) => elementOf(tag, tag === QUERY_RETRIEVE_LEVEL ? (value ?? '') : '')))
}

function elementOf(tag: string, value: string): Buffer {
  const padded = Buffer.from(value.length % 2 === 0 ? value : `${value} `)
  const head = Buffer.alloc(8)
  head.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16), 0)
  head.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2)
  head.writeUInt32LE(padded.length, 4)
  return Buffer.concat([head, padded])
}

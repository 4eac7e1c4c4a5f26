import type { Request } from 'express'
import type { TransferSyntax } from '../dicom/transfer-syntaxes.ts'
import { ArchiveError } from '../errors.ts'
import { type MediaType, parseAccept } from './media-types.ts'

/** In which form instances are to be given. */
export interface InstanceForm {
  kind: 'multipart' | 'single' | 'zip'
  /** Undefined: as stored. */
  transferSyntaxUid?: string
}

const ANY = ['*/*', 'application/*']

/**
 * Content negotiation for whole instances (PS3.18 8.7.4): every form that the client takes and Firn knows, the client's
 * favourite first. `accept` in the query counts as the header does. Throws ArchiveError `not_acceptable`.
 */
export function instanceForms(req: Request, isInstance: boolean): InstanceForm[] {
  const forms = acceptOf(req).flatMap((accepted) => formOf(accepted, isInstance) ?? [])
  if (forms.length > 0) return forms
  throw new ArchiveError(
    'not_acceptable',
    'instances come as multipart/related; type="application/dicom", as application/zip, and one alone as application/dicom',
  )
}

function formOf({ type, parameters }: MediaType, isInstance: boolean): InstanceForm | undefined {
  const wanted = parameters['transfer-syntax']
  const syntax = wanted === undefined || wanted === '*' ? {} : { transferSyntaxUid: wanted }
  if (type === 'application/zip') return { kind: 'zip', ...syntax }
  if (type === 'application/dicom' && isInstance) return { kind: 'single', ...syntax }
  const isDicom = parameters.type === undefined || parameters.type.toLowerCase() === 'application/dicom'
  if ((type === 'multipart/related' || type === 'multipart/*') && isDicom) return { kind: 'multipart', ...syntax }
  return ANY.includes(type) ? { kind: 'multipart' } : undefined
}

/** In which form frames or bulk data are to be given. */
export interface BulkForm {
  kind: 'multipart' | 'single'
  /** Content type of each part. */
  contentType: string
}

/**
 * Content negotiation for bytes out of instances (PS3.18 8.7.3): as their transfer syntax has them, since Firn
 * doesn't transcode.
 */
export function bulkForm(req: Request, syntax: Pick<TransferSyntax, 'uid' | 'mediaType' | 'encapsulated'>): BulkForm {
  for (const accepted of acceptOf(req)) {
    const multipart = accepted.type === 'multipart/related' || accepted.type === 'multipart/*'
    const type = multipart ? (accepted.parameters.type ?? '*/*').toLowerCase() : accepted.type
    const contentType = giveAs(type, accepted, syntax)
    if (contentType !== undefined)
      return { kind: multipart || ANY.includes(type) ? 'multipart' : 'single', contentType }
  }
  const own = `multipart/related; type="${syntax.mediaType}"; transfer-syntax=${syntax.uid}`
  throw new ArchiveError('not_acceptable', `this is stored as, and given as: ${own}`)
}

const OCTETS = 'application/octet-stream'

function giveAs(
  type: string,
  { parameters }: MediaType,
  { uid, mediaType, encapsulated }: Pick<TransferSyntax, 'uid' | 'mediaType' | 'encapsulated'>,
): string | undefined {
  const wanted = parameters['transfer-syntax']
  const own = encapsulated ? `${mediaType}; transfer-syntax=${uid}` : OCTETS
  if (wanted !== undefined && wanted !== '*' && wanted !== uid && encapsulated) return undefined
  if (ANY.includes(type) || type === mediaType || (type.endsWith('/*') && mediaType.startsWith(type.slice(0, -1))))
    return own
  // Octets mean uncompressed pixels, unless the client says that it takes them in any syntax, or in this one.
  return type === OCTETS && wanted !== undefined ? `${OCTETS}; transfer-syntax=${uid}` : undefined
}

/** Whether data sets, found or described, are wanted in JSON or XML (PS3.18 8.7.3). Throws ArchiveError `not_acceptable`. */
export function dataSetForm(req: Request): 'json' | 'xml' {
  for (const { type, parameters } of acceptOf(req)) {
    if ([...ANY, 'application/json', 'application/dicom+json'].includes(type)) return 'json'
    if (type === 'application/dicom+xml' || parameters.type === 'application/dicom+xml') return 'xml'
  }
  throw new ArchiveError('not_acceptable', 'data sets come as application/dicom+json or application/dicom+xml')
}

/** What the client takes; `accept` in the query counts in place of the header (PS3.18 8.3.3.1). */
export function acceptOf(req: Request): MediaType[] {
  const { accept } = req.query
  return parseAccept(typeof accept === 'string' ? accept : req.get('accept'))
}

/**
 * One range of a GET's Range header (RFC 9110 14.2); undefined when the whole is to be sent, which is what a range that
 * makes no sense comes to, and 'bad' when it lies outside.
 */
export function rangeOf(req: Request, sizeBytes: number): { start: number; end: number } | 'bad' | undefined {
  const found = req.method === 'HEAD' ? null : /^bytes=(\d*)-(\d*)$/.exec(req.get('range') ?? '')
  if (!found) return undefined
  const [, first = '', last = ''] = found
  if (first === '' && last === '') return undefined
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined
  const from = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first)
  const to = first === '' || last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1)
  return from > to || from >= sizeBytes ? 'bad' : { start: from, end: to + 1 }
}

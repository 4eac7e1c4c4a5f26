import { multipart, type Part, parseMultipart } from './multipart.ts'

/** A DICOMweb client of the tests' own, for Firn as for any other server. */

export interface Attribute {
  vr: string
  Value?: unknown[]
  BulkDataURI?: string
  InlineBinary?: string
}
export type DataSetJson = Record<string, Attribute>

export interface Answer {
  status: number
  headers: Headers
  bytes: Buffer
}

export async function send(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
}

export async function get(url: string, accept?: string, headers: Record<string, string> = {}): Promise<Answer> {
  return await send(url, { headers: accept === undefined ? headers : { ...headers, accept } })
}

export function json<T>(answer: Answer): T {
  try {
    return JSON.parse(answer.bytes.toString()) as T
  } catch {
    throw new Error(`HTTP ${answer.status}, no JSON: ${answer.bytes.toString().slice(0, 300)}`)
  }
}

/** First value of an attribute as text; empty when there is none. */
export function first(item: DataSetJson | undefined, tag: string): string {
  const value = item?.[tag]?.Value?.[0]
  if (value !== null && typeof value === 'object') return String((value as { Alphabetic?: string }).Alphabetic ?? '')
  return value === undefined || value === null ? '' : String(value)
}

export function items(item: DataSetJson, tag: string): DataSetJson[] {
  return (item[tag]?.Value ?? []) as DataSetJson[]
}

export interface Stored {
  sopClassUid: string
  sopInstanceUid: string
  retrieveUrl: string
}
export interface Failed {
  sopClassUid: string
  sopInstanceUid: string
  reason: number
}
export interface StowAnswer extends Answer {
  stored: Stored[]
  failed: Failed[]
}

/** Reads a STOW-RS store instances response (PS3.18 10.5.3.2.1) in DICOM JSON. */
export function stowAnswer(answer: Answer): StowAnswer {
  const type = answer.headers.get('content-type') ?? ''
  if (!type.startsWith('application/dicom+json') && !type.startsWith('application/json')) {
    return { ...answer, stored: [], failed: [] }
  }
  const body = json<DataSetJson | DataSetJson[]>(answer)
  const response = (Array.isArray(body) ? body[0] : body) ?? {}
  const one = (item: DataSetJson) => ({ sopClassUid: first(item, '00081150'), sopInstanceUid: first(item, '00081155') })
  // What can't be named by its UIDs comes in the Other Failures Sequence (0008,119A).
  const failed = [...items(response, '00081198'), ...items(response, '0008119A')]
  return {
    ...answer,
    stored: items(response, '00081199').map((item) => ({ ...one(item), retrieveUrl: first(item, '00081190') })),
    failed: failed.map((item) => ({ ...one(item), reason: Number(first(item, '00081197')) })),
  }
}

export async function stow(
  root: string,
  files: readonly Buffer[],
  options: { studyUid?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<StowAnswer> {
  const { body, contentType } = multipart(files)
  return await stowRaw(root, body, contentType, options)
}

export async function stowRaw(
  root: string,
  body: RequestInit['body'],
  contentType: string,
  options: { studyUid?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<StowAnswer> {
  const path = options.studyUid === undefined ? '/studies' : `/studies/${options.studyUid}`
  const init: RequestInit = {
    method: 'POST',
    headers: { accept: 'application/dicom+json', 'content-type': contentType, ...options.headers },
    body: body ?? null,
  }
  if (body instanceof ReadableStream) init.duplex = 'half'
  if (options.signal !== undefined) init.signal = options.signal
  return stowAnswer(await send(root + path, init))
}

export function instancePath(uids: { studyUid: string; seriesUid: string; sopInstanceUid: string }): string {
  return `/studies/${uids.studyUid}/series/${uids.seriesUid}/instances/${uids.sopInstanceUid}`
}

/** Parts of a multipart answer; throws with the body's start when the status isn't 200. */
export function parts(answer: Answer): Part[] {
  if (answer.status !== 200) throw new Error(`HTTP ${answer.status}: ${answer.bytes.toString().slice(0, 300)}`)
  return parseMultipart(answer.bytes, answer.headers.get('content-type') ?? '')
}

const AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'

/** WADO-RS of a study, series or instance as stored (PS3.18 10.4). */
export async function retrieve(root: string, path: string): Promise<Buffer[]> {
  return parts(await get(root + path, AS_STORED)).map((part) => part.body)
}

/** A QIDO-RS search; 204 is an empty list, anything else but 200 throws. */
export async function search(root: string, path: string): Promise<DataSetJson[]> {
  const answer = await get(root + path, 'application/dicom+json')
  if (answer.status === 204) return []
  if (answer.status !== 200) throw new Error(`${path}: HTTP ${answer.status}: ${answer.bytes.toString().slice(0, 300)}`)
  return json<DataSetJson[]>(answer)
}

/** A search fetched page by page, so that servers' limits don't cut it. */
export async function searchAll(root: string, path: string, page = 500): Promise<DataSetJson[]> {
  const all: DataSetJson[] = []
  for (;;) {
    const joint = path.includes('?') ? '&' : '?'
    const found = await search(root, `${path}${joint}limit=${page}&offset=${all.length}`)
    all.push(...found)
    if (found.length < page) return all
  }
}

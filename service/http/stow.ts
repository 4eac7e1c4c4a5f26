import type { Request, RequestHandler, Response } from 'express'
import type { DicomJson, InstanceIdentifiers } from '../dicom/types.ts'
import { toNativeXml } from '../dicom/xml.ts'
import { ArchiveError } from '../errors.ts'
import type { Receipt, Receive, Source } from '../ingest/ports.ts'
import { noteStored } from './audit.ts'
import { addressOf, callerOf } from './auth.ts'
import type { DicomWebContext } from './context.ts'
import { parseAccept, parseMediaType } from './media-types.ts'
import { MultipartReader, type Part } from './multipart-reader.ts'
import { failureReason, statusOfRefusals, WARNING_CONFLICT } from './status-map.ts'
import { DICOM_WEB, originOf, resourceOf, resourceUrl } from './urls.ts'

const DICOM = 'application/dicom'
/** Instances of one request on their way at the same time; the gate bounds their memory, this their number. */
const UNDERWAY_MAX = 64
/** One request's answer lists every instance; beyond so many the sender should use further requests. */
const PARTS_MAX = 100_000

interface Refusal {
  error: ArchiveError
  identifiers: Partial<InstanceIdentifiers>
}

interface Outcome {
  receipts: Receipt[]
  refusals: Refusal[]
  /** Set when the request's framing broke; what came before it stands. */
  broken?: ArchiveError
}

/** STOW-RS (PS3.18 10.5). Every part that is answered as stored is durable before the answer. */
export function stow(context: DicomWebContext): RequestHandler {
  return async (req, res) => {
    const boundary = boundaryOf(req)
    const { studyUid } = resourceOf(req)
    const source: Source = { protocol: 'stow', name: callerOf(req).name, address: addressOf(req) }
    const reader = new MultipartReader(req, boundary)
    const outcome = await receiveParts(reader, context.receive, source, studyUid)
    noteStored(req, outcome.receipts, outcome.refusals.length, outcome.broken === undefined)
    if (req.destroyed && !req.complete) return
    await answer(context, req, res, outcome, studyUid)
  }
}

function boundaryOf(req: Request): string {
  const type = parseMediaType(req.get('content-type') ?? '')
  const { type: partType, boundary } = type?.parameters ?? {}
  if (type?.type !== 'multipart/related' || (partType !== undefined && partType.toLowerCase() !== DICOM)) {
    throw new ArchiveError('unsupported', `send multipart/related; type="${DICOM}"`)
  }
  // RFC 2046 allows 70 characters; Orthanc sends 73.
  if (boundary === undefined || !/^[\x20-\x7e]{1,200}$/.test(boundary)) {
    throw new ArchiveError('invalid_request', 'the content type has no usable boundary')
  }
  return boundary
}

/** The next part is read while earlier ones are being synced, so that one sync serves many. */
async function receiveParts(
  reader: MultipartReader,
  receive: Receive,
  source: Source,
  studyUid: string | undefined,
): Promise<Outcome> {
  const outcome: Outcome = { receipts: [], refusals: [] }
  const underway = new Set<Promise<void>>()
  try {
    for (let count = 0; ; count++) {
      const part = await reader.nextPart()
      if (!part) break
      if (count >= PARTS_MAX) throw new ArchiveError('invalid_request', `more than ${PARTS_MAX} parts in one request`)
      await takePart(part, receive, source, studyUid, outcome, underway)
    }
  } catch (error) {
    outcome.broken = error instanceof ArchiveError ? error : new ArchiveError('aborted', (error as Error).message)
  }
  await Promise.all(underway)
  return outcome
}

/** Resolves when the part's bytes were read; the rest of the work goes on in `underway`. */
async function takePart(
  part: Part,
  receive: Receive,
  source: Source,
  studyUid: string | undefined,
  outcome: Outcome,
  underway: Set<Promise<void>>,
): Promise<void> {
  const type = parseMediaType(part.headers.get('content-type') ?? DICOM)?.type
  if (type !== DICOM) {
    const error = new ArchiveError('not_dicom', `a part is ${type ?? 'of no known type'}, not ${DICOM}`)
    outcome.refusals.push({ error, identifiers: {} })
    return
  }
  let read = (): void => undefined
  const wasRead = new Promise<void>((resolve) => {
    read = resolve
  })
  const incoming = { body: noteEnd(part.body, read), source, ...(studyUid ? { expected: { studyUid } } : {}) }
  const work = receive
    .receive(incoming)
    .then(
      (receipt) => void outcome.receipts.push(receipt),
      (error) => void outcome.refusals.push(refusal(error)),
    )
    .finally(() => {
      read()
      underway.delete(work)
    })
  underway.add(work)
  await wasRead
  if (underway.size >= UNDERWAY_MAX) await Promise.race(underway)
}

async function* noteEnd(body: AsyncIterable<Buffer>, ended: () => void): AsyncGenerator<Buffer> {
  try {
    yield* body
  } finally {
    ended()
  }
}

function refusal(error: unknown): Refusal {
  if (error instanceof ArchiveError) return { error, identifiers: error.identifiers }
  return { error: new ArchiveError('storage_failed', (error as Error).message, { cause: error }), identifiers: {} }
}

async function answer(
  context: DicomWebContext,
  req: Request,
  res: Response,
  outcome: Outcome,
  studyUid: string | undefined,
): Promise<void> {
  const { receipts, refusals, broken } = outcome
  for (const { error } of refusals) context.log.warn({ code: error.code, reason: error.message }, 'instance refused')
  if (broken) context.log.warn({ code: broken.code, reason: broken.message }, 'broken STOW-RS request')
  if (broken && receipts.length === 0 && refusals.every(({ error }) => error.code === broken.code)) throw broken
  if (receipts.length === 0 && refusals.length === 0) {
    throw new ArchiveError('invalid_request', 'the request has no parts')
  }
  const root = originOf(req, context.publicUrl) + DICOM_WEB
  const json = storeInstancesResponse(root, receipts, refusals, studyUid)
  const conflict = receipts.some(({ outcome }) => outcome === 'conflict')
  const reasons = [...(broken ? [broken] : []), ...refusals.map(({ error }) => error)].map(({ message }) => message)
  const warnings = new Set(conflict ? [...reasons, CONFLICT] : reasons)
  for (const text of [...warnings].slice(0, 5))
    res.append('Warning', `299 firn "${text.replace(/[^\x20-\x7e]|["\\]/g, "'")}"`)
  if (receipts.length > 0) {
    res.set('Firn-Durability', receipts.every(({ durability }) => durability === 'both') ? 'both' : 'local')
  }
  const all = refusals.length === 0 && !broken && !conflict
  res.status(all ? 200 : receipts.length > 0 ? 202 : statusOfRefusals(refusals.map(({ error }) => error.code)))
  const wantsXml = parseAccept(req.get('accept'))
    .find(({ type }) => /[+/](json|xml)$/.test(type))
    ?.type.endsWith('xml')
  if (wantsXml) res.type('application/dicom+xml').send(toNativeXml(json))
  else res.type('application/dicom+json').send(JSON.stringify(json))
}

/** The Store Instances Response Module (PS3.3 C.12.3, PS3.18 Annex I.2). */
function storeInstancesResponse(
  root: string,
  receipts: readonly Receipt[],
  refusals: readonly Refusal[],
  studyUid: string | undefined,
): DicomJson {
  const json: DicomJson = {}
  const study = studyUid ?? receipts[0]?.studyUid
  if (study !== undefined) json['00081190'] = { vr: 'UR', Value: [resourceUrl(root, { studyUid: study })] }
  const named = refusals.filter(({ identifiers }) => identifiers.sopInstanceUid !== undefined)
  const unnamed = refusals.filter(({ identifiers }) => identifiers.sopInstanceUid === undefined)
  if (named.length > 0) json['00081198'] = { vr: 'SQ', Value: named.map(failedItem) }
  if (receipts.length > 0) json['00081199'] = { vr: 'SQ', Value: receipts.map((receipt) => storedItem(root, receipt)) }
  // Other Failures Sequence: what can't be named.
  if (unnamed.length > 0) json['0008119A'] = { vr: 'SQ', Value: unnamed.map(failedItem) }
  return json
}

/** Where the copy of a conflict isn't served there is no Retrieve URL to give. */
function storedItem(root: string, receipt: Receipt): DicomJson {
  const item: DicomJson = {
    '00081150': { vr: 'UI', Value: [receipt.sopClassUid] },
    '00081155': { vr: 'UI', Value: [receipt.sopInstanceUid] },
  }
  if (receipt.outcome !== 'conflict') {
    item['00081190'] = { vr: 'UR', Value: [resourceUrl(root, receipt)] }
    return item
  }
  item['00081190'] = { vr: 'UR' }
  item['00081196'] = { vr: 'US', Value: [WARNING_CONFLICT] }
  return { ...item, ...inWords(`${CONFLICT}; its SHA-256 is ${receipt.sha256}`) }
}

const CONFLICT = 'another file with this SOP Instance UID came first and is served; this one is kept beside it'

function failedItem({ error, identifiers }: Refusal): DicomJson {
  const { sopClassUid, sopInstanceUid } = identifiers
  return {
    ...(sopClassUid === undefined ? {} : { '00081150': { vr: 'UI', Value: [sopClassUid] } }),
    ...(sopInstanceUid === undefined ? {} : { '00081155': { vr: 'UI', Value: [sopInstanceUid] } }),
    '00081197': { vr: 'US', Value: [failureReason(error.code)] },
    ...inWords(error.message),
  }
}

/** A reason in words is a private attribute: the standard has only a number for it. */
function inWords(reason: string): DicomJson {
  return { '00090010': { vr: 'LO', Value: ['FIRN'] }, '00091001': { vr: 'LT', Value: [reason] } }
}

import { Readable } from 'node:stream'
import type { Request, RequestHandler, Response } from 'express'
import yazl from 'yazl'
import type { InstanceRecord, InstanceScope } from '../catalogue/ports.ts'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import { noteInstance, noteInstances, noteService } from './audit.ts'
import type { DicomWebContext } from './context.ts'
import { sendAllCorrected, sendCorrected, wantsCorrected } from './corrected.ts'
import { MultipartWriter, type PartHead } from './multipart-writer.ts'
import { dataSetForm, type InstanceForm, instanceForms, rangeOf } from './negotiate.ts'
import { notModified, sendChunks, streamBody, streamText } from './send.ts'
import { DICOM_WEB, originOf, type Resource, resourceOf, resourceUrl } from './urls.ts'
import { objectsOf, XML_PARTS, xmlParts } from './xml-parts.ts'

/** An answer of up to so many instances announces its length. */
const COUNTED_MAX = 2000

/** WADO-RS, whole instances of a study, series or one (PS3.18 10.4.1.1). */
export function wadoInstances(context: DicomWebContext): RequestHandler {
  return async (req, res) => {
    const resource = resourceOf(req)
    const form = await giveableForm(context, resource, instanceForms(req, resource.sopInstanceUid !== undefined))
    if (wantsCorrected(req)) return sendCorrectedAs(context, req, res, resource, form)
    if (form.kind === 'single') return sendInstance(context, req, res, await oneInstance(context, resource))
    const version = await context.catalogue.studyVersion(resource.studyUid as string)
    if (version === undefined) throw notFound(resource)
    if (notModified(req, res, `"${form.kind}-${version}"`)) return
    if (form.kind === 'zip') return sendZip(context, req, res, resource)
    await sendMultipart(context, req, res, resource)
  }
}

async function sendCorrectedAs(
  context: DicomWebContext,
  req: Request,
  res: Response,
  resource: Resource,
  { kind }: InstanceForm,
): Promise<void> {
  if (kind === 'single') return sendCorrected(context, req, res, await oneInstance(context, resource))
  if (kind === 'zip') throw new ArchiveError('not_acceptable', 'a ZIP holds files as they are stored')
  await sendAllCorrected(context, req, res, () => context.catalogue.instances(scopeOf(resource)))
}

export function scopeOf({ studyUid, seriesUid, sopInstanceUid }: Resource): InstanceScope {
  return {
    ...(studyUid === undefined ? {} : { studyUids: [studyUid] }),
    ...(seriesUid === undefined ? {} : { seriesUids: [seriesUid] }),
    ...(sopInstanceUid === undefined ? {} : { sopInstanceUids: [sopInstanceUid] }),
  }
}

/** Throws ArchiveError `not_found`. */
export async function oneInstance(context: DicomWebContext, resource: Resource): Promise<InstanceRecord> {
  for await (const record of context.catalogue.instances(scopeOf(resource))) return record
  throw notFound(resource)
}

export function notFound(resource: Resource): ArchiveError {
  const level = resource.sopInstanceUid ? 'instance' : resource.seriesUid ? 'series' : 'study'
  return new ArchiveError('not_found', `no such ${level}`)
}

/** Firn gives instances as they are stored; a transfer syntax in which some aren't is not to be had. */
async function giveableForm(
  context: DicomWebContext,
  resource: Resource,
  forms: readonly InstanceForm[],
): Promise<InstanceForm> {
  let stored = ''
  for (const form of forms) {
    const other = await otherSyntax(context, resource, form.transferSyntaxUid)
    if (other === undefined) return form
    stored = other
  }
  throw new ArchiveError('not_acceptable', `stored as ${stored}; ask for that or for transfer-syntax=*`)
}

/** A transfer syntax other than the wanted one in which an instance is stored. */
async function otherSyntax(
  context: DicomWebContext,
  resource: Resource,
  wanted: string | undefined,
): Promise<string | undefined> {
  if (wanted === undefined) return undefined
  for await (const { transferSyntaxUid } of context.catalogue.instances(scopeOf(resource))) {
    if (transferSyntaxUid !== wanted) return transferSyntaxUid
  }
  return undefined
}

/** One instance's file, whole or a range of it (RFC 9110 14). */
export async function sendInstance(
  context: Pick<DicomWebContext, 'instances'>,
  req: Request,
  res: Response,
  record: InstanceRecord,
): Promise<void> {
  const etag = `"${record.sha256}"`
  res.set('Accept-Ranges', 'bytes')
  if (notModified(req, res, etag)) return
  const ifRange = req.get('if-range')
  const range = ifRange === undefined || ifRange === etag ? rangeOf(req, record.sizeBytes) : undefined
  if (range === 'bad') {
    res.status(416).set('Content-Range', `bytes */${record.sizeBytes}`).end()
    return
  }
  const { start, end } = range ?? { start: 0, end: record.sizeBytes }
  if (range) res.status(206).set('Content-Range', `bytes ${start}-${end - 1}/${record.sizeBytes}`)
  res.set('Content-Type', dicomType(record))
  res.set('Content-Length', String(end - start))
  await streamBody(req, res, () => {
    noteInstance(req, record)
    return context.instances.open(record).bytes(start, end)
  })
}

async function sendMultipart(context: DicomWebContext, req: Request, res: Response, resource: Resource): Promise<void> {
  const root = originOf(req, context.publicUrl) + DICOM_WEB
  const toPart = (record: InstanceRecord): PartHead => ({
    contentType: dicomType(record),
    location: resourceUrl(root, record),
    sizeBytes: record.sizeBytes,
  })
  const records = context.catalogue.instances(scopeOf(resource))[Symbol.asyncIterator]()
  const first: InstanceRecord[] = []
  let more = true
  while (more && first.length < COUNTED_MAX) {
    const { value, done } = await records.next()
    if (done) more = false
    else first.push(value)
  }
  if (first.length === 0) throw notFound(resource)
  const writer = new MultipartWriter('application/dicom')
  res.set('Content-Type', writer.contentType)
  if (!more) res.set('Content-Length', String(writer.sizeOf(first.map(toPart))))
  await streamBody(req, res, () =>
    writer.bodyOf(context.instances.readAll(more ? concat(first, records) : first), (record) => {
      noteInstance(req, record)
      return toPart(record)
    }),
  )
}

/** Rows from before transfer syntaxes were checked may hold what must not get into a header. */
function dicomType({ transferSyntaxUid }: InstanceRecord): string {
  return isUid(transferSyntaxUid) ? `application/dicom; transfer-syntax=${transferSyntaxUid}` : 'application/dicom'
}

async function* concat(
  first: readonly InstanceRecord[],
  rest: AsyncIterator<InstanceRecord>,
): AsyncGenerator<InstanceRecord> {
  yield* first
  for (;;) {
    const { value, done } = await rest.next()
    if (done) return
    yield value
  }
}

/** A ZIP of a study or series, stored without compression; one instance at a time is open. */
async function sendZip(context: DicomWebContext, req: Request, res: Response, resource: Resource): Promise<void> {
  const records = context.catalogue.instances(scopeOf(resource))[Symbol.asyncIterator]()
  const first = await records.next()
  if (first.done) throw notFound(resource)
  noteService(req, 'zip')
  const name = resource.sopInstanceUid ?? resource.seriesUid ?? resource.studyUid
  res.set({ 'Content-Type': 'application/zip', 'Content-Disposition': `attachment; filename="${name}.zip"` })
  if (req.method === 'HEAD') {
    res.end()
    return
  }
  const zip = new yazl.ZipFile()
  const output = zip.outputStream as unknown as Readable
  const sent = sendChunks(res, output)
  // It may fail before its turn comes.
  sent.catch(() => undefined)
  try {
    for (let next: IteratorResult<InstanceRecord> = first; !next.done; next = await records.next()) {
      noteInstance(req, next.value)
      await addToZip(context, zip, next.value, res)
      if (res.destroyed) return
    }
    zip.end()
    await sent
    res.end()
  } catch (error) {
    context.log.error({ error: (error as Error).message }, 'a ZIP was broken off')
    res.destroy(error as Error)
  } finally {
    output.destroy()
    await records.return?.()
  }
}

/** Resolves when the member's bytes were taken, or the client has gone. */
async function addToZip(
  context: DicomWebContext,
  zip: yazl.ZipFile,
  record: InstanceRecord,
  res: Response,
): Promise<void> {
  const stream = Readable.from(context.instances.open(record).bytes(), { objectMode: false })
  const leave = (): void => void stream.destroy()
  const ended = new Promise<void>((resolve, reject) => stream.once('close', resolve).once('error', reject))
  ended.catch(() => undefined)
  res.once('close', leave)
  const { seriesUid, sopInstanceUid, sizeBytes, receivedAt } = record
  try {
    zip.addReadStream(stream, `${seriesUid}/${sopInstanceUid}.dcm`, {
      size: sizeBytes,
      compress: false,
      mtime: new Date(receivedAt),
    })
    if (res.destroyed) leave()
    await ended
  } finally {
    res.off('close', leave)
    stream.destroy()
  }
}

const METADATA_TYPES = { json: 'application/dicom+json', xml: XML_PARTS }

/** `/metadata` at any level (PS3.18 10.4.1.1.2). */
export function wadoMetadata(context: DicomWebContext): RequestHandler {
  return async (req, res) => {
    const resource = resourceOf(req)
    const studyUid = resource.studyUid as string
    const form = dataSetForm(req)
    const version = await context.catalogue.studyVersion(studyUid)
    if (version === undefined) throw notFound(resource)
    if (notModified(req, res, `W/"metadata-${form}-${version}"`)) return
    const root = originOf(req, context.publicUrl) + DICOM_WEB
    const { seriesUid, sopInstanceUid } = resource
    if (req.method === 'HEAD') {
      await oneInstance(context, resource)
      res.type(METADATA_TYPES[form]).vary('Accept-Encoding').end()
      return
    }
    let told = 0
    const array = await context.metadata.array(
      studyUid,
      (entry) => {
        const isMeant =
          (seriesUid === undefined || entry.seriesUid === seriesUid) &&
          (sopInstanceUid === undefined || entry.sopInstanceUid === sopInstanceUid)
        if (isMeant) told += 1
        return isMeant
      },
      root,
    )
    noteInstances(req, told)
    if (!array) throw notFound(resource)
    await streamText(req, res, METADATA_TYPES[form], () => (form === 'xml' ? xmlParts(objectsOf(array)) : array))
  }
}

import type { Request, RequestHandler, Response } from 'express'
import { ArchiveError } from '../errors.ts'
import type { Bulk } from '../retrieve/bulk.ts'
import { noteInstance } from './audit.ts'
import type { DicomWebContext } from './context.ts'
import { MultipartWriter } from './multipart-writer.ts'
import { type BulkForm, bulkForm } from './negotiate.ts'
import { notModified, streamBody } from './send.ts'
import { resourceOf } from './urls.ts'
import { oneInstance } from './wado.ts'

const FRAMES_MAX = 10_000
const OCTETS = { uid: '1.2.840.10008.1.2.1', mediaType: 'application/octet-stream', encapsulated: false }

/** `/frames/{list}` (PS3.18 10.4.1.1.6): the pixels of single frames, as the transfer syntax has them. */
export function wadoFrames(context: DicomWebContext): RequestHandler {
  return async (req, res) => {
    const numbers = frameNumbers(String(req.params.frames))
    const record = await oneInstance(context, resourceOf(req))
    const form = bulkForm(req, context.bulk.syntaxOf(record))
    const frames = await context.bulk.frames(record, numbers)
    if (notModified(req, res, `"${record.sha256}-frames-${numbers.join('-').slice(0, 200)}"`)) return
    noteInstance(req, record, numbers.length)
    await sendBulk(req, res, frames, form)
  }
}

function frameNumbers(list: string): number[] {
  const numbers = list.split(',').map(Number)
  if (!/^\d{1,9}(,\d{1,9})*$/.test(list) || numbers.includes(0)) {
    throw new ArchiveError('invalid_request', 'frames are numbered from 1 and parted by commas')
  }
  if (numbers.length > FRAMES_MAX) throw new ArchiveError('invalid_request', `at most ${FRAMES_MAX} frames a request`)
  return numbers
}

/** The values that metadata refers to by BulkDataURI (PS3.18 10.4.1.1.5). */
export function wadoBulkData(context: DicomWebContext): RequestHandler {
  return async (req, res) => {
    const path = String(req.params.path).toUpperCase()
    if (!/^[0-9A-F]{8}(\.\d{1,6}\.[0-9A-F]{8}){0,16}$/.test(path)) {
      throw new ArchiveError(
        'invalid_request',
        'bulk data is named by tags and item numbers: 00282000, 00540016.1.00181072',
      )
    }
    const record = await oneInstance(context, resourceOf(req))
    const { parts, isPixelData } = await context.bulk.bulkData(record, path)
    const form = bulkForm(req, isPixelData ? context.bulk.syntaxOf(record) : OCTETS)
    if (notModified(req, res, `"${record.sha256}-${path}"`)) return
    noteInstance(req, record)
    await sendBulk(req, res, parts, form)
  }
}

async function sendBulk(
  req: Request,
  res: Response,
  parts: readonly Bulk[],
  { kind, contentType }: BulkForm,
): Promise<void> {
  const only = parts.length === 1 ? parts[0] : undefined
  if (kind === 'single' && only) {
    res.set({ 'Content-Type': contentType, 'Content-Length': String(only.sizeBytes) })
    await streamBody(req, res, () => only.bytes())
    return
  }
  const writer = new MultipartWriter(contentType.split(';')[0] as string)
  const outgoing = parts.map(({ sizeBytes, bytes }) => ({ contentType, sizeBytes, bytes }))
  res.set({ 'Content-Type': writer.contentType, 'Content-Length': String(writer.sizeOf(outgoing)) })
  await streamBody(req, res, () => writer.body(outgoing))
}

import type { Request, Response } from 'express'
import type { InstanceRecord } from '../catalogue/ports.ts'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import type { DicomWebContext } from './context.ts'
import { MultipartWriter, type OutgoingPart } from './multipart-writer.ts'
import { acceptOf } from './negotiate.ts'
import { streamBody } from './send.ts'
import { DICOM_WEB, originOf, type Resource, resourceUrl } from './urls.ts'

/** The marks of a corrected version: parameter of its content type, and header of the answer. */
const PARAMETER = 'firn-corrected'
const HEADER = 'Firn-Corrected'

/** Whether corrections are to be laid over the instances: they never are unless somebody asks. */
export function wantsCorrected(req: Request): boolean {
  return req.query.corrected === 'true' || acceptOf(req).some(({ parameters }) => parameters[PARAMETER] === 'true')
}

function typeOf({ transferSyntaxUid }: InstanceRecord, corrected: boolean): string {
  const syntax = isUid(transferSyntaxUid) ? `; transfer-syntax=${transferSyntaxUid}` : ''
  return `application/dicom${syntax}${corrected ? `; ${PARAMETER}=true` : ''}`
}

export async function sendCorrected(
  { corrected }: DicomWebContext,
  req: Request,
  res: Response,
  record: InstanceRecord,
): Promise<void> {
  const instance = await corrected.open(record)
  res.set(HEADER, String(instance.corrected))
  res.set('Content-Type', typeOf(record, instance.corrected))
  res.set('Content-Length', String(instance.sizeBytes))
  await streamBody(req, res, () => instance.bytes())
}

/** All that can't be made is found before the first byte is sent: an answer never leaves an instance out. */
export async function sendAllCorrected(
  { corrected, publicUrl }: DicomWebContext,
  req: Request,
  res: Response,
  records: () => AsyncIterable<InstanceRecord>,
): Promise<void> {
  let any = false
  let some = false
  for await (const record of records()) {
    any = true
    if ((await corrected.open(record)).corrected) some = true
  }
  if (!any) throw new ArchiveError('not_found', 'no such study or series')
  const root = originOf(req, publicUrl) + DICOM_WEB
  const writer = new MultipartWriter('application/dicom')
  res.set({ [HEADER]: String(some), 'Content-Type': writer.contentType })
  await streamBody(req, res, async function* () {
    for await (const record of records()) {
      const instance = await corrected.open(record)
      const part: OutgoingPart = {
        contentType: typeOf(record, instance.corrected),
        location: resourceUrl(root, record satisfies Resource),
        sizeBytes: instance.sizeBytes,
        bytes: () => instance.bytes(),
      }
      yield* writer.part(part)
    }
    yield writer.end
  })
}

import type { RequestHandler } from 'express'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import type { DicomWebContext } from './context.ts'
import { oneInstance, sendInstance } from './wado.ts'

/** WADO-URI (PS3.18 9) for old viewers: one instance as application/dicom, as it is stored. */
export function wadoUri(context: DicomWebContext): RequestHandler {
  return async (req, res) => {
    const text = (name: string): string | undefined => {
      const value = req.query[name]
      return typeof value === 'string' && value !== '' ? value : undefined
    }
    if (text('requestType') !== 'WADO') throw new ArchiveError('invalid_request', 'requestType must be WADO')
    const uid = (name: string): string => {
      const value = text(name)
      if (value === undefined || !isUid(value)) throw new ArchiveError('invalid_request', `${name} must be a UID`)
      return value
    }
    const types = (text('contentType') ?? 'application/dicom').split(',').map((one) => one.split(';')[0]?.trim())
    if (!types.some((type) => type === 'application/dicom' || type === '*/*')) {
      throw new ArchiveError('not_acceptable', 'Firn gives instances as application/dicom only')
    }
    const record = await oneInstance(context, {
      studyUid: uid('studyUID'),
      seriesUid: uid('seriesUID'),
      sopInstanceUid: uid('objectUID'),
    })
    const syntax = text('transferSyntax')
    if (syntax !== undefined && syntax !== record.transferSyntaxUid) {
      throw new ArchiveError('not_acceptable', `stored as ${record.transferSyntaxUid}`)
    }
    await sendInstance(context, req, res, record)
  }
}

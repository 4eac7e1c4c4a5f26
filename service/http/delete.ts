import type { RequestHandler } from 'express'
import { DELETED } from '../corrections/ports.ts'
import { actorOf } from './auth.ts'
import type { DicomWebContext } from './context.ts'
import { resourceOf } from './urls.ts'

/** DELETE of a study, series or instance, as some DICOMweb clients know it: hides what it names, and frees nothing. */
export function dicomWebDelete({ correct }: DicomWebContext): RequestHandler {
  return async (req, res) => {
    const { studyUid = '', seriesUid, sopInstanceUid } = resourceOf(req)
    const sopInstanceUids = sopInstanceUid === undefined ? undefined : [sopInstanceUid]
    const what = { studyUid, seriesUid, sopInstanceUids, code: DELETED, reason: 'DICOMweb DELETE' }
    await correct.reject(what, actorOf(req, 'records'))
    res.status(204).end()
  }
}

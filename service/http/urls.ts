import type { Request } from 'express'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'

export const DICOM_WEB = '/dicom-web'

const HOST = /^(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i

/** Origin under which the client reaches Firn: by configuration, or as it said itself. */
export function originOf(req: Request, publicUrl: string | undefined): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, '')
  const host = req.get('host') ?? ''
  // A proxy's X-Forwarded-Proto comes here as it is.
  const scheme = req.protocol === 'https' ? 'https' : 'http'
  return `${scheme}://${HOST.test(host) ? host : 'localhost'}`
}

export interface Resource {
  studyUid?: string
  seriesUid?: string
  sopInstanceUid?: string
}

/** The UIDs of a request's path. Throws ArchiveError `invalid_request` for what can't be one. */
export function resourceOf(req: Request): Resource {
  const { study, series, instance } = req.params as Record<string, string | undefined>
  for (const uid of [study, series, instance]) {
    if (uid !== undefined && !isUid(uid))
      throw new ArchiveError('invalid_request', 'the path holds something that is no UID')
  }
  return {
    ...(study === undefined ? {} : { studyUid: study }),
    ...(series === undefined ? {} : { seriesUid: series }),
    ...(instance === undefined ? {} : { sopInstanceUid: instance }),
  }
}

export function resourceUrl(root: string, { studyUid, seriesUid, sopInstanceUid }: Resource): string {
  const levels = [
    ['studies', studyUid],
    ['series', seriesUid],
    ['instances', sopInstanceUid],
  ] as const
  return root + levels.flatMap(([name, uid]) => (uid === undefined ? [] : [`/${name}/${uid}`])).join('')
}

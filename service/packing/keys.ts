import { createHash } from 'node:crypto'
import { isUid } from '../dicom/uids.ts'

const KEY = /^packs\/([0-9a-f]{2})\/([^/]+)\/([0-9a-f]{64})\.tar$/

/** Below it are all packs of a study. */
export function packPrefix(studyUid: string): string {
  if (!isUid(studyUid)) throw new RangeError(`no UID: ${studyUid}`)
  // Two digits of a digest spread studies over 256 folders, whoever gives out their UIDs.
  return `packs/${createHash('sha256').update(studyUid).digest('hex').slice(0, 2)}/${studyUid}/`
}

/** Where a pack is kept in every store. The digest in it makes writing twice harmless: other bytes have another key. */
export function packKey(studyUid: string, sha256: string): string {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new RangeError(`no SHA-256: ${sha256}`)
  return `${packPrefix(studyUid)}${sha256}.tar`
}

/** Whose pack a key is; undefined when it is no key of a pack. */
export function parsePackKey(key: string): { studyUid: string; sha256: string } | undefined {
  const [, , studyUid = '', sha256 = ''] = KEY.exec(key) ?? []
  return isUid(studyUid) && packKey(studyUid, sha256) === key ? { studyUid, sha256 } : undefined
}

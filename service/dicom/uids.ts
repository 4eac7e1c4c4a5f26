import { STORAGE_SOP_CLASS_LINES } from './storage-sop-classes.ts'

const UID = /^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/

/**
 * Whether a text will do as a UID. Lenient on purpose: what real files have in place of UIDs (PS3.5 9.1), leading zeros,
 * empty components and hexadecimal digests included. 1 to 64 characters that mean nothing to a path, a URL or a list; the
 * first one is a digit or a letter, so that it is never `..`.
 */
export function isUid(text: string): boolean {
  return UID.test(text)
}

const COMMON_PREFIX = '1.2.840.10008.5.1.'

/** Every Storage SOP Class that Firn knows: UID -> name. */
export const storageSopClasses: ReadonlyMap<string, string> = new Map(
  STORAGE_SOP_CLASS_LINES.trimEnd()
    .split('\n')
    .map((line) => {
      const blank = line.indexOf(' ')
      return [COMMON_PREFIX + line.slice(0, blank), line.slice(blank + 1)] as const
    }),
)

/** PS3.6 keeps Composite Storage SOP Classes in this arc, those that come after this table was written included. */
const STORAGE_ARC = '1.2.840.10008.5.1.4.1.1.'

/** Whether a SOP Class of the standard is for storage; private ones can't be told from their UID. */
export function isStorageSopClass(uid: string): boolean {
  return uid.startsWith(STORAGE_ARC) || storageSopClasses.has(uid)
}

/** The name of a Storage SOP Class; undefined when it isn't known. */
export function sopClassName(uid: string): string | undefined {
  return storageSopClasses.get(uid)
}

/** PS3.3 F.3: the class of a DICOMDIR, which no archive keeps. */
export const MEDIA_STORAGE_DIRECTORY = '1.2.840.10008.1.3.10'

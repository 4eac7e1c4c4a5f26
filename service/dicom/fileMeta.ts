/** Firn's Implementation Class UID (PS3.7 D.3.3.2) and Implementation Version Name (PS3.7 D.3.3.2.3). */
export const IMPLEMENTATION_CLASS_UID = '2.25.248331098365279418227904103563412480763'
export const IMPLEMENTATION_VERSION_NAME = 'FIRN_1'

export interface FileMeta {
  sopClassUid: string
  sopInstanceUid: string
  transferSyntaxUid: string
}

/** Preamble, `DICM` and file meta information (PS3.10 7.1). The same input always gives the same bytes. */
export function encodePart10Header(meta: FileMeta): Buffer {
  throw new Error(`not yet: ${meta}`)
}

import { explicitHeader } from './encode.ts'
import type { Tag } from './types.ts'

/** Firn's Implementation Class UID (PS3.7 D.3.3.2), made from a UUID (PS3.5 B.2). It names the software, not a site. */
export const IMPLEMENTATION_CLASS_UID = '2.25.89580994065017522313828074943814065954'

/** PS3.7 D.3.3.2.3. Part of every file that Firn writes a header for, so it changes only if that header does. */
export const IMPLEMENTATION_VERSION_NAME = 'FIRN_1'

const PREAMBLE_BYTES = 128

export interface FileMeta {
  sopClassUid: string
  sopInstanceUid: string
  transferSyntaxUid: string
}

/**
 * Preamble, `DICM` and file meta information (PS3.10 7.1) for a data set that came without. The same input gives the same
 * bytes for ever: no time, no AE title, so that the same instance sent twice is the same file.
 */
export function encodePart10Header({ sopClassUid, sopInstanceUid, transferSyntaxUid }: FileMeta): Buffer {
  const elements = Buffer.concat([
    element('00020001', 'OB', Buffer.of(0, 1)),
    element('00020002', 'UI', text(sopClassUid, 0)),
    element('00020003', 'UI', text(sopInstanceUid, 0)),
    element('00020010', 'UI', text(transferSyntaxUid, 0)),
    element('00020012', 'UI', text(IMPLEMENTATION_CLASS_UID, 0)),
    element('00020013', 'SH', text(IMPLEMENTATION_VERSION_NAME, 0x20)),
  ])
  const groupLength = Buffer.alloc(4)
  groupLength.writeUInt32LE(elements.length)
  const magic = Buffer.from('DICM', 'latin1')
  return Buffer.concat([Buffer.alloc(PREAMBLE_BYTES), magic, element('00020000', 'UL', groupLength), elements])
}

function element(tag: Tag, vr: string, value: Buffer): Buffer {
  return Buffer.concat([explicitHeader(tag, vr, value.length), value])
}

function text(value: string, padding: number): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(padding)])
}

import { type ParsedElement, UNDEFINED_LENGTH } from './data-set.ts'
import { lookUp, vrOf } from './dictionary.ts'
import type { Tag } from './types.ts'

/** VRs whose value is bytes (PS3.18 F.2.7), with the size of the words that byte order concerns. */
const BINARY_WORD_BYTES: Readonly<Record<string, number>> = { OB: 1, OD: 8, OF: 4, OL: 4, OV: 8, OW: 2, UN: 1 }

/** VRs of numbers in binary form, with the bytes of one value. */
const NUMBER_BYTES: Readonly<Record<string, number>> = { AT: 4, FD: 8, FL: 4, SL: 4, SS: 2, SV: 8, UL: 4, US: 2, UV: 8 }

const TEXT = ['AE', 'AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'LO', 'LT', 'PN', 'SH', 'ST', 'TM', 'UC', 'UI', 'UR', 'UT']

const KNOWN: ReadonlySet<string> = new Set([
  ...Object.keys(BINARY_WORD_BYTES),
  ...Object.keys(NUMBER_BYTES),
  ...TEXT,
  'SQ',
])

/** VRs with a length of 32 bits in explicit data sets (PS3.5 7.1.2). */
export const LONG_LENGTH_VRS = ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'] as const
const LONG: ReadonlySet<string> = new Set(LONG_LENGTH_VRS)

export function isKnownVr(vr: string): boolean {
  return KNOWN.has(vr)
}

export function hasLongLength(vr: string): boolean {
  return LONG.has(vr)
}

/** Bytes of a word of a binary VR; undefined for other VRs. */
export function binaryWordBytes(vr: string): number | undefined {
  return BINARY_WORD_BYTES[vr]
}

/** Bytes of one value of a number VR; undefined for other VRs. */
export function numberBytes(vr: string): number | undefined {
  return NUMBER_BYTES[vr]
}

/**
 * The VR that an element really has: the one it says, or by dictionary where it says none (implicit), an invalid one, or
 * UN for an attribute of the standard (PS3.5 6.2.2: whoever knows the VR may use it).
 *
 * @param signed Pixel Representation (0028,0103) is 1, which decides between US and SS
 */
export function effectiveVr(bytes: Buffer, element: ParsedElement, tag: Tag, signed: boolean): string {
  const said = element.vr
  if (element.items && (said === undefined || said === 'UN' || said === 'SQ')) return 'SQ'
  if (said === 'US' && isWritten(bytes, element, said)) return said
  if (said !== undefined && said !== 'UN' && said !== 'US' && said !== 'OB' && KNOWN.has(said)) return said
  const entry = lookUp(tag)
  if (said === 'OB' && (!entry || isWritten(bytes, element, said))) return said
  if (!entry && said === 'US') return said
  if (!entry) return vrOf(tag) ?? (element.hadUndefinedLength ? 'SQ' : 'UN')
  if (entry.otherVrs.includes('OW')) return 'OW'
  return signed && entry.otherVrs.includes('SS') ? 'SS' : entry.vr
}

/**
 * Whether the VR stands in the bytes before the value. A parser of implicit data may have filled it in from a dictionary,
 * which can't decide what PS3.6 leaves open.
 */
function isWritten(bytes: Buffer, element: ParsedElement, vr: string): boolean {
  const at = element.dataOffset - (LONG.has(vr) ? 8 : 4)
  return at >= 0 && bytes[at] === vr.charCodeAt(0) && bytes[at + 1] === vr.charCodeAt(1)
}

/** Whether the parser left the end of the value open. */
export function hasOpenEnd(element: ParsedElement): boolean {
  return element.length === UNDEFINED_LENGTH
}

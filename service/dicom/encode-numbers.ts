import { ArchiveError } from '../errors.ts'
import type { JsonValue, Tag } from './types.ts'
import { numberBytes } from './value-representations.ts'

type Write = (bytes: Buffer, at: number, value: string | number) => void

const WRITE: Readonly<Record<string, Write>> = {
  AT: (bytes, at, value) => {
    const text = String(value)
    if (!/^[0-9A-Fa-f]{8}$/.test(text)) throw new RangeError('not a tag')
    bytes.writeUInt16LE(Number.parseInt(text.slice(0, 4), 16), at)
    bytes.writeUInt16LE(Number.parseInt(text.slice(4), 16), at + 2)
  },
  FD: (bytes, at, value) => bytes.writeDoubleLE(Number(value), at),
  FL: (bytes, at, value) => bytes.writeFloatLE(Number(value), at),
  SL: (bytes, at, value) => bytes.writeInt32LE(whole(value), at),
  SS: (bytes, at, value) => bytes.writeInt16LE(whole(value), at),
  SV: (bytes, at, value) => bytes.writeBigInt64LE(BigInt(value), at),
  UL: (bytes, at, value) => bytes.writeUInt32LE(whole(value), at),
  US: (bytes, at, value) => bytes.writeUInt16LE(whole(value), at),
  UV: (bytes, at, value) => bytes.writeBigUInt64LE(BigInt(value), at),
}

function whole(value: string | number): number {
  const number = Number(value)
  if (!Number.isInteger(number)) throw new RangeError('not a whole number')
  return number
}

/**
 * The values of a number VR, little endian; nulls are left out, for binary numbers can't be empty.
 *
 * @throws ArchiveError `invalid_request` for a value that the VR can't hold
 */
export function encodeNumbers(tag: Tag, vr: string, values: readonly JsonValue[]): Buffer {
  const size = numberBytes(vr) as number
  const given = values.filter((value) => value !== null)
  const bytes = Buffer.alloc(given.length * size)
  given.forEach((value, index) => {
    try {
      if (typeof value === 'object') throw new RangeError('not a number')
      WRITE[vr]?.(bytes, index * size, value)
    } catch (cause) {
      throw new ArchiveError('invalid_request', `a value of ${tag} is not one of VR ${vr}`, { cause })
    }
  })
  return bytes
}

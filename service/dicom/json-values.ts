import type { CharacterDecoder } from './charset.ts'
import type { JsonPersonName, JsonValue } from './types.ts'
import { numberBytes } from './value-representations.ts'

/** A value in [start, end) of `bytes`. */
export interface ValueBytes {
  bytes: Buffer
  start: number
  end: number
  littleEndian: boolean
}

/**
 * The values of an element that is neither a sequence nor binary, in the forms of PS3.18 F.2.3; empty ones are null
 * (F.2.5). Undefined when there is none at all.
 */
export function jsonValues(vr: string, value: ValueBytes, decoder: CharacterDecoder): JsonValue[] | undefined {
  if (value.end <= value.start) return undefined
  const values = numberBytes(vr) === undefined ? textValues(vr, value, decoder) : numbers(vr, value)
  return values.some((each) => each !== null) ? values : undefined
}

function textValues(vr: string, { bytes, start, end }: ValueBytes, decoder: CharacterDecoder): JsonValue[] {
  const part = bytes.subarray(start, end)
  if (vr === 'PN') return decoder.personName(part).map(nameOrNull)
  const texts = decoder.values(part, vr)
  if (vr === 'DS' || vr === 'IS') return texts.map(numberOfText)
  return texts.map((text) => (text === '' ? null : text))
}

function nameOrNull(name: JsonPersonName): JsonPersonName | null {
  return Object.keys(name).length > 0 ? name : null
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

/** Text that is no number, or one that JSON's numbers would change beyond recognition, stays text. */
function numberOfText(text: string): JsonValue {
  if (text === '') return null
  if (!DECIMAL.test(text)) return text
  const number = Number(text)
  const exact = Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number))
  return exact || /[.eE]/.test(text) ? finite(number, text) : text
}

function finite(number: number, otherwise: string): JsonValue {
  return Number.isFinite(number) ? number : otherwise
}

/** Whole values only: what is left over of a wrong length is no value. */
function numbers(vr: string, { bytes, start, end, littleEndian }: ValueBytes): JsonValue[] {
  const size = numberBytes(vr) as number
  const read = littleEndian ? READ_LITTLE[vr] : READ_BIG[vr]
  const values: JsonValue[] = []
  if (!read) return values
  for (let at = start; at + size <= end; at += size) values.push(read(bytes, at))
  return values
}

type Read = (bytes: Buffer, at: number) => JsonValue

/** JSON has no NaN and no infinity; they go by their names, as other implementations do. */
function real(number: number): JsonValue {
  return Number.isFinite(number) ? number : String(number)
}

/** PS3.18 F.2.3: 64-bit integers may be strings, which those are that a double can't hold. */
function integer(number: bigint): JsonValue {
  const approximate = Number(number)
  return Number.isSafeInteger(approximate) ? approximate : number.toString()
}

function tagText(group: number, element: number): string {
  return (group * 0x10000 + element).toString(16).padStart(8, '0').toUpperCase()
}

const READ_LITTLE: Readonly<Record<string, Read>> = {
  AT: (bytes, at) => tagText(bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2)),
  FD: (bytes, at) => real(bytes.readDoubleLE(at)),
  FL: (bytes, at) => real(bytes.readFloatLE(at)),
  SL: (bytes, at) => bytes.readInt32LE(at),
  SS: (bytes, at) => bytes.readInt16LE(at),
  SV: (bytes, at) => integer(bytes.readBigInt64LE(at)),
  UL: (bytes, at) => bytes.readUInt32LE(at),
  US: (bytes, at) => bytes.readUInt16LE(at),
  UV: (bytes, at) => integer(bytes.readBigUInt64LE(at)),
}

const READ_BIG: Readonly<Record<string, Read>> = {
  AT: (bytes, at) => tagText(bytes.readUInt16BE(at), bytes.readUInt16BE(at + 2)),
  FD: (bytes, at) => real(bytes.readDoubleBE(at)),
  FL: (bytes, at) => real(bytes.readFloatBE(at)),
  SL: (bytes, at) => bytes.readInt32BE(at),
  SS: (bytes, at) => bytes.readInt16BE(at),
  SV: (bytes, at) => integer(bytes.readBigInt64BE(at)),
  UL: (bytes, at) => bytes.readUInt32BE(at),
  US: (bytes, at) => bytes.readUInt16BE(at),
  UV: (bytes, at) => integer(bytes.readBigUInt64BE(at)),
}

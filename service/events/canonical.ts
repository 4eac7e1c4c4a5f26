/** What JSON can say (RFC 8259). A member that is undefined is left out, as JSON.stringify does. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json | undefined
}

const DEPTH_MAX = 16
/**
 * Plain ASCII, so that every language sorts keys the same way and none needs to be escaped; no digit first, because
 * JavaScript puts such keys before all others.
 */
const KEY = /^[A-Za-z][\w.:/-]{0,127}$/
const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * The one text of a JSON value: no white space, keys sorted, strings escaped as JSON.stringify does, numbers only safe
 * integers in decimal. It is RFC 8785 (JCS), with everything left out in which implementations of it differ.
 * `depth` says how deep in the whole the value is. Throws RangeError for whatever else there is: fractions, dates, buffers, lone surrogates, keys that `KEY` doesn't fit.
 */
export function canonical(value: unknown, depth = 0): string {
  if (depth > DEPTH_MAX) throw new RangeError(`nested more than ${DEPTH_MAX} deep`)
  switch (typeof value) {
    case 'string':
      if (LONE_SURROGATE.test(value)) throw new RangeError('a string with half a surrogate pair')
      return JSON.stringify(value)
    case 'number':
      if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`)
      return String(value)
    case 'boolean':
      return String(value)
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? encodeArray(value, depth) : encodeObject(value, depth)
    default:
      throw new RangeError(`JSON has no ${typeof value}`)
  }
}

function encodeArray(values: readonly unknown[], depth: number): string {
  // Array.from, because map would leave holes as they are.
  return `[${Array.from(values, (value) => canonical(value, depth + 1)).join(',')}]`
}

function encodeObject(object: object, depth: number): string {
  const prototype = Object.getPrototypeOf(object)
  if (prototype !== null && prototype !== Object.prototype) {
    throw new RangeError(`JSON has no ${prototype.constructor?.name ?? 'such object'}`)
  }
  const members: string[] = []
  for (const key of Object.keys(object).sort()) {
    const value = (object as Record<string, unknown>)[key]
    if (value === undefined) continue
    if (!KEY.test(key)) throw new RangeError(`the key ${JSON.stringify(key)} doesn't fit ${KEY.source}`)
    members.push(`"${key}":${canonical(value, depth + 1)}`)
  }
  return `{${members.join(',')}}`
}

/**
 * Whether a text is the canonical one of the value that JSON.parse made of it: much faster than to encode that again.
 * JSON.parse keeps the order of keys and JSON.stringify the same value in one way, so only what they let pass is looked at.
 */
export function isCanonical(text: string, parsed: unknown): boolean {
  // Half a surrogate pair is the only thing that JSON.stringify escapes by `\ud`; as a text it comes with two backslashes.
  if (text.includes('\\ud')) return isEncodingOf(text, parsed)
  // In this order: JSON.stringify would overflow the stack with what nests without end.
  return isStrict(parsed, 0) && JSON.stringify(parsed) === text
}

function isEncodingOf(text: string, parsed: unknown): boolean {
  try {
    return canonical(parsed) === text
  } catch {
    return false
  }
}

function isStrict(value: unknown, depth: number): boolean {
  if (depth > DEPTH_MAX) return false
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every((one) => isStrict(one, depth + 1))
  let before = ''
  for (const key of Object.keys(value)) {
    if (key <= before || !KEY.test(key)) return false
    if (!isStrict((value as Record<string, unknown>)[key], depth + 1)) return false
    before = key
  }
  return true
}

import type { MatchKey } from '../catalogue/ports.ts'
import type { DicomJson, JsonPersonName, JsonValue } from '../dicom/types.ts'

/**
 * Whether what a source says of a study fits a matching key (PS3.4 C.2.2.2): a single value, a list of UIDs, wildcards, a
 * range of dates or times. What the source doesn't say doesn't rule it out.
 */
export function matches(study: DicomJson, { path, value }: MatchKey): boolean {
  const [tag] = path
  const attribute = path.length === 1 && tag !== undefined ? study[tag] : undefined
  const values = attribute?.Value ?? []
  if (!attribute || values.length === 0 || attribute.vr === 'SQ') return true
  const texts = values.flatMap(textsOf)
  if (attribute.vr === 'UI') return value.split('\\').some((uid) => texts.includes(uid.trim()))
  if (['DA', 'TM', 'DT'].includes(attribute.vr) && value.includes('-'))
    return texts.some((text) => inRange(text, value))
  const same = (text: string): string => (attribute.vr === 'PN' ? text.toLowerCase() : text).trim()
  return texts.some((text) => fits(same(text), same(value)))
}

function textsOf(value: JsonValue): string[] {
  if (value === null) return []
  if (typeof value !== 'object') return [String(value)]
  const { Alphabetic, Ideographic, Phonetic } = value as JsonPersonName
  return [Alphabetic, Ideographic, Phonetic].filter((text) => text !== undefined)
}

function inRange(text: string, range: string): boolean {
  const [from = '', to = ''] = range.split('-').map((part) => part.trim())
  // A shorter end covers all that begins with it: 2024 as an end is the whole year.
  return (from === '' || text >= from) && (to === '' || text.slice(0, to.length) <= to)
}

/** `*` stands for any characters, `?` for one. Takes no more steps than the product of both lengths. */
function fits(text: string, pattern: string): boolean {
  let [at, place] = [0, 0]
  /** The last star, and how far the text was when it was met. */
  let star: { at: number; from: number } | undefined
  while (at < text.length) {
    if (pattern[place] === '*') {
      star = { at: place, from: at }
      place += 1
    } else if (place < pattern.length && (pattern[place] === '?' || pattern[place] === text[at])) {
      at += 1
      place += 1
    } else if (star) {
      star.from += 1
      at = star.from
      place = star.at + 1
    } else return false
  }
  return /^\**$/.test(pattern.slice(place))
}

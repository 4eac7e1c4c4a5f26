import type { Knex } from 'knex'
import { searchForm } from '../../dicom/charset.ts'
import { keywordOf } from '../../dicom/dictionary.ts'
import type { Tag } from '../../dicom/types.ts'
import { ArchiveError } from '../../errors.ts'
import type { MatchKey, QueryLevel } from '../ports.ts'
import { type Key, keyFor } from './keys.ts'
import { dateRange, type Range, timeRange } from './temporal.ts'

/** Adds a key's condition to a query. Throws ArchiveError `invalid_request` naming the key. */
export function addMatch(query: Knex.QueryBuilder, level: QueryLevel, match: MatchKey, fuzzy: boolean): void {
  const name = match.path.map(nameOf).join('.')
  const key = keyFor(level, match.path)
  if (!key) throw new ArchiveError('invalid_request', `${name} can't be matched at the ${level} level`)
  if (match.value.length > VALUE_CHARS_MAX[key.kind])
    throw new ArchiveError('invalid_request', `the value of ${name} is too long`)
  // PostgreSQL has no NUL in text, and no attribute that is matched has one.
  if (match.value.includes('\0')) throw new ArchiveError('invalid_request', `the value of ${name} holds a NUL`)
  const problem = MATCHERS[key.kind](query, key, match.value, fuzzy)
  if (problem)
    throw new ArchiveError('invalid_request', `${name}: ${JSON.stringify(match.value.slice(0, 64))} is ${problem}`)
}

function nameOf(tag: Tag): string {
  const keyword = keywordOf(tag)
  return keyword === undefined ? tag : `${keyword} (${tag.slice(0, 4)},${tag.slice(4)})`
}

/**
 * A list of a thousand UIDs fits. SQLite takes patterns of up to 50,000 bytes, and normalising can make 33 bytes of one
 * character of text.
 */
const VALUE_CHARS_MAX: Record<Key['kind'], number> = {
  uid: 66_000,
  code: 10_000,
  number: 10_000,
  modalities: 10_000,
  text: 1024,
  name: 1024,
  several: 1024,
  date: 1024,
  time: 1024,
}

/** Says what is wrong with the value, if something is. */
type Matcher = (query: Knex.QueryBuilder, key: Key, value: string, fuzzy: boolean) => string | undefined

const column = (key: Key): string => key.columns[0] as string

const MATCHERS: Record<Key['kind'], Matcher> = {
  uid(query, key, value) {
    const uids = value.split('\\').map((uid) => uid.trim())
    if (uids.length > 1000) return 'a list of more than 1000 UIDs'
    query.whereIn(column(key), uids)
    return undefined
  },

  code(query, key, value) {
    const values = value.split('\\').map((code) => code.trim())
    if (values.length > 1) query.whereIn(column(key), values)
    else like(query, column(key), values[0] as string)
    return undefined
  },

  text(query, key, value) {
    like(query, column(key), searchForm(value))
    return undefined
  },

  name(query, key, value, fuzzy) {
    if (fuzzy) return fuzzyName(query, key, value)
    const groups = value.split('=').map(nameForm)
    query.where((any) => {
      if (groups.length > 1) for (const [index, group] of groups.entries()) groupMatches(any, key, group, index)
      else for (const one of key.columns) any.orWhere((q) => like(q, one, groups[0] as string))
    })
    return undefined
  },

  date: (query, key, value) => between(query, column(key), dateRange(value), 'no date or range of dates (YYYYMMDD)'),

  time: (query, key, value) => between(query, column(key), timeRange(value), 'no time or range of times (HHMMSS)'),

  number(query, key, value) {
    const numbers = value.split('\\').map((text) => (text.trim() === '' ? Number.NaN : Number(text)))
    if (!numbers.every(Number.isSafeInteger)) return 'no integer'
    query.whereIn(column(key), numbers)
    return undefined
  },

  several(query, key, value) {
    query.whereRaw("?? LIKE ? ESCAPE '!'", [column(key), `%\\${likePattern(value.trim())}\\%`])
    return undefined
  },

  modalities(query, key, value) {
    const values = value.split('\\').map((code) => code.trim())
    query.whereExists((exists) => {
      exists
        .from('series as any_series')
        .select('any_series.id')
        .whereRaw('?? = ??', ['any_series.study', column(key)])
        .where('any_series.instance_count', '>', 0)
      if (values.length > 1) exists.whereIn('any_series.modality', values)
      else like(exists, 'any_series.modality', values[0] as string)
    })
    return undefined
  },
}

/** Trailing empty components don't count (PS3.5 6.2.1.1). */
function nameForm(value: string): string {
  return searchForm(value).replace(/\^+$/, '')
}

function groupMatches(query: Knex.QueryBuilder, key: Key, group: string, index: number): void {
  const one = key.columns[index]
  if (group === '' || group === '*' || one === undefined) return
  query.where((q) => like(q, one, group))
}

/** Every word must begin some word of the name, whatever their order (PS3.18 8.3.4.2 leaves the method to us). */
function fuzzyName(query: Knex.QueryBuilder, key: Key, value: string): string | undefined {
  const words = searchForm(value)
    .split(/[\^=,\s*?-]+/)
    .filter((word) => word !== '')
  if (words.length === 0 || words.length > 10) return 'no name of one to ten words'
  query.where((any) => {
    for (const one of key.columns) {
      any.orWhere((all) => {
        for (const word of words) all.where((starts) => wordStarts(starts, one, likePattern(word)))
      })
    }
  })
}

function wordStarts(query: Knex.QueryBuilder, one: string, word: string): void {
  for (const pattern of [`${word}%`, `%^${word}%`, `% ${word}%`, `%-${word}%`]) {
    query.orWhereRaw("?? LIKE ? ESCAPE '!'", [one, pattern])
  }
}

/** Single value or wildcard matching (PS3.4 C.2.2.2.1, C.2.2.2.4); a fixed beginning becomes a range of the index. */
function like(query: Knex.QueryBuilder, one: string, value: string): void {
  const wild = value.search(/[*?]/)
  if (wild < 0) {
    query.where(one, value)
    return
  }
  if (/^\*+$/.test(value)) return
  const fixed = value.slice(0, wild)
  if (fixed !== '') query.where(one, '>=', fixed).where(one, '<', `${fixed}\u{10FFFF}`)
  if (!/^[^*?]*\*+$/.test(value)) query.whereRaw("?? LIKE ? ESCAPE '!'", [one, likePattern(value)])
}

function likePattern(value: string): string {
  return value.replace(/[!%_]/g, '!$&').replace(/\*+/g, '%').replaceAll('?', '_')
}

function between(query: Knex.QueryBuilder, one: string, range: Range | undefined, problem: string): string | undefined {
  if (!range) return problem
  const [low, high] = range
  // '' stands for unknown, which no range contains.
  query.where(one, '>=', low ?? '0')
  if (high !== undefined) query.where(one, '<=', high)
  return undefined
}

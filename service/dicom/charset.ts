import { type Decode, decodeUnder } from './character-sets.ts'
import type { JsonPersonName } from './types.ts'

/** Decodes the text of one data set (PS3.3 C.12.1.1.2). No method throws, whatever the bytes. */
export interface CharacterDecoder {
  /** One text, neither trimmed nor split. */
  text(bytes: Buffer): string
  /**
   * The values of a text VR, split at backslashes where the VR may have several, without the padding that PS3.5 6.2
   * calls insignificant. An empty element has one empty value.
   */
  values(bytes: Buffer, vr: string): string[]
  /** The values of a PN element; an empty value is an empty object. */
  personName(bytes: Buffer): JsonPersonName[]
}

/** VRs that Specific Character Set applies to (PS3.5 6.1.2.2); the others are ASCII. */
const LOCALIZED: ReadonlySet<string> = new Set(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT'])

/** VRs with one value, in which a backslash is a character like others. */
const SINGLE_VALUED: ReadonlySet<string> = new Set(['LT', 'ST', 'UT', 'UR'])

/** VRs in which leading blanks say nothing (PS3.5 table 6.2-1). */
const LEADING_BLANKS_INSIGNIFICANT: ReadonlySet<string> = new Set(['AE', 'CS', 'DS', 'IS', 'LO', 'SH'])

const decoders = new Map<string, CharacterDecoder>()

/** Character sets come in few combinations; a hostile sender's inventions must not fill the memory. */
const DECODERS_MAX = 256

/** `specificCharacterSet`: the value of (0008,0005), several terms separated by `\`; undefined is the default repertoire. */
export function decoderFor(specificCharacterSet: string | undefined): CharacterDecoder {
  const key = specificCharacterSet ?? ''
  const known = decoders.get(key)
  if (known) return known
  const decoder = createDecoder(decodeUnder(key))
  if (decoders.size >= DECODERS_MAX) decoders.clear()
  decoders.set(key, decoder)
  return decoder
}

function createDecoder(decodeExtended: Decode): CharacterDecoder {
  const decode: Decode = (bytes, delimiters) =>
    isPlainAscii(bytes) ? bytes.toString('latin1') : decodeExtended(bytes, delimiters)
  return {
    text: (bytes) => decode(bytes, ''),
    values(bytes, vr) {
      if (SINGLE_VALUED.has(vr)) return [trimPadding(decode(bytes, ''), vr)]
      const text = LOCALIZED.has(vr) ? decode(bytes, vr === 'PN' ? '\\^=' : '\\') : bytes.toString('latin1')
      return text.includes('\\') ? text.split('\\').map((value) => trimPadding(value, vr)) : [trimPadding(text, vr)]
    },
    personName: (bytes) => decode(bytes, '\\^=').split('\\').map(componentGroups),
  }
}

function isPlainAscii(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number
    if (byte >= 0x80 || byte === 0x1b) return false
  }
  return true
}

function isPadding(code: number): boolean {
  return code === 0x20 || code === 0
}

function trimPadding(text: string, vr: string): string {
  let end = text.length
  while (end > 0 && isPadding(text.charCodeAt(end - 1))) end--
  let start = 0
  if (LEADING_BLANKS_INSIGNIFICANT.has(vr)) {
    while (start < end && isPadding(text.charCodeAt(start))) start++
  }
  return text.slice(start, end)
}

/** PS3.5 6.2.1.2: up to three groups separated by `=`; what comes after a third `=` is not a name's. */
function componentGroups(text: string): JsonPersonName {
  const [alphabetic = '', ideographic = '', phonetic = ''] = text.split('=', 3).map((group) => trimPadding(group, 'PN'))
  const name: JsonPersonName = {}
  if (alphabetic !== '') name.Alphabetic = alphabetic
  if (ideographic !== '') name.Ideographic = ideographic
  if (phonetic !== '') name.Phonetic = phonetic
  return name
}

/**
 * Accents: the blocks of combining diacritical marks, Hebrew points and Arabic vowel signs. Not every mark of Unicode is one:
 * vowel signs of Thai or the voiced mark of kana make another letter.
 */
const ACCENTS = new RegExp(
  [
    '[\\u0300-\\u036f]',
    '[\\u0591-\\u05bd]|\\u05bf|\\u05c1|\\u05c2|\\u05c4|\\u05c5|\\u05c7',
    '[\\u064b-\\u065f]|\\u0670',
    '[\\u1ab0-\\u1aff]|[\\u1dc0-\\u1dff]|[\\u20d0-\\u20ff]|[\\ufe20-\\ufe2f]',
  ].join('|'),
  'g',
)

/** Latin letters that Unicode doesn't decompose although people type them without the stroke. */
const STROKED: Readonly<Record<string, string>> = {
  Æ: 'AE',
  Ð: 'D',
  Ø: 'O',
  Þ: 'TH',
  Đ: 'D',
  Ħ: 'H',
  Ł: 'L',
  Œ: 'OE',
  Ŧ: 'T',
}

/**
 * The form in which text is searched, case- and accent-insensitively: compatibility decomposition (NFKD), accents removed,
 * upper case (ß becomes SS), letters with strokes replaced, recomposed (NFC, so that a Hangul syllable is one
 * character for `?`), runs of white space made one blank, none at the ends. `^`, `=`, `\`, `*` and `?` stay.
 * The same text always gives the same form, whatever the locale; the form of a form is itself.
 */
export function searchForm(text: string): string {
  if (/^[\x21-\x7e]*$/.test(text)) return text.toUpperCase()
  return text
    .normalize('NFKD')
    .replace(ACCENTS, '')
    .toUpperCase()
    .normalize('NFKD')
    .replace(ACCENTS, '')
    .replace(/[ÆÐØÞĐĦŁŒŦ]/g, (letter) => STROKED[letter] as string)
    .normalize('NFC')
    .replace(/[\s\0]+/g, ' ')
    .trim()
}

/** The search form of each component group, '' where the name has none. */
export function searchForms(name: JsonPersonName): Required<JsonPersonName> {
  return {
    Alphabetic: searchForm(name.Alphabetic ?? ''),
    Ideographic: searchForm(name.Ideographic ?? ''),
    Phonetic: searchForm(name.Phonetic ?? ''),
  }
}

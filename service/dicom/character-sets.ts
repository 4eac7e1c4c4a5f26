import { isUtf8 } from 'node:buffer'
import iconv from 'iconv-lite'

/** A coded character set that takes part in code extension: how a run of its bytes becomes text. */
export interface CodedSet {
  /** Bytes per character. */
  width: 1 | 2
  decode(bytes: Buffer): string
}

function singleByte(encoding: string): CodedSet {
  return { width: 1, decode: (bytes) => iconv.decode(bytes, encoding) }
}

/** Two-byte sets are the parts of an EUC encoding, which has them in the upper half. */
function doubleByte(encoding: string): CodedSet {
  return { width: 2, decode: (bytes) => iconv.decode(setHighBits(bytes), encoding) }
}

function setHighBits(bytes: Buffer): Buffer {
  const upper = Buffer.allocUnsafe(bytes.length)
  for (let i = 0; i < bytes.length; i++) upper[i] = (bytes[i] as number) | 0x80
  return upper
}

const ascii: CodedSet = { width: 1, decode: (bytes) => bytes.toString('latin1') }

/** Right half of JIS X 0201: half-width katakana are U+FF61 to U+FF9F, in the same order. */
const katakana: CodedSet = {
  width: 1,
  decode(bytes) {
    let text = ''
    for (const byte of setHighBits(bytes)) {
      text += byte >= 0xa1 && byte <= 0xdf ? String.fromCharCode(0xff61 + byte - 0xa1) : '\ufffd'
    }
    return text
  },
}

/** JIS X 0212 is the third set of EUC-JP, each character behind 0x8F. */
const supplementaryKanji: CodedSet = {
  width: 2,
  decode(bytes) {
    const euc = Buffer.alloc(Math.ceil(bytes.length / 2) * 3, 0x8f)
    for (let i = 0; i < bytes.length; i++) euc[(i >> 1) * 3 + 1 + (i & 1)] = (bytes[i] as number) | 0x80
    return iconv.decode(euc, 'eucjp')
  },
}

const kanji = doubleByte('eucjp')
const hangul = doubleByte('euckr')
const hanzi = doubleByte('gbk')

/** ISO registration number -> the set it puts into G1; those that extend only G0 have none. */
const G1_BY_NUMBER: ReadonlyMap<number, CodedSet> = new Map([
  [13, katakana],
  [58, hanzi],
  [100, singleByte('iso-8859-1')],
  [101, singleByte('iso-8859-2')],
  [109, singleByte('iso-8859-3')],
  [110, singleByte('iso-8859-4')],
  [126, singleByte('iso-8859-7')],
  [127, singleByte('iso-8859-6')],
  [138, singleByte('iso-8859-8')],
  [144, singleByte('iso-8859-5')],
  [148, singleByte('iso-8859-9')],
  [149, hangul],
  [166, singleByte('iso-8859-11')],
  [203, singleByte('iso-8859-15')],
])

const G0_ONLY: ReadonlySet<number> = new Set([6, 14, 87, 159])

interface Designation {
  half: 'g0' | 'g1'
  set: CodedSet
}

const g0 = (set: CodedSet): Designation => ({ half: 'g0', set })
const g1 = (number: number): Designation => ({ half: 'g1', set: G1_BY_NUMBER.get(number) as CodedSet })

/**
 * What follows ESC -> what it designates (PS3.3 tables C.12-3 and C.12-4). `(J` is left as ASCII: its 0x5C is the value
 * delimiter and often meant as a backslash. The last group is not DICOM's, but found: the same sets in the other half.
 */
const DESIGNATIONS: ReadonlyMap<string, Designation> = new Map([
  ['(B', g0(ascii)],
  ['(J', g0(ascii)],
  [')I', g1(13)],
  ['-A', g1(100)],
  ['-B', g1(101)],
  ['-C', g1(109)],
  ['-D', g1(110)],
  ['-F', g1(126)],
  ['-G', g1(127)],
  ['-H', g1(138)],
  ['-L', g1(144)],
  ['-M', g1(148)],
  ['-T', g1(166)],
  ['-b', g1(203)],
  ['$B', g0(kanji)],
  ['$(D', g0(supplementaryKanji)],
  ['$)C', g1(149)],
  ['$)A', g1(58)],
  ['$@', g0(kanji)],
  ['$(B', g0(kanji)],
  ['$(C', g0(hangul)],
  ['$(A', g0(hanzi)],
  ['$A', g0(hanzi)],
  ['(I', g0(katakana)],
])

const ESC = 0x1b

/** The designation at `at`, which is behind ESC, and how many bytes name it. */
function designationAt(bytes: Buffer, at: number): { designation: Designation; length: number } | undefined {
  for (const length of [2, 3]) {
    const designation = DESIGNATIONS.get(bytes.toString('latin1', at, at + length))
    if (designation) return { designation, length }
  }
  return undefined
}

/** HT, LF, FF and CR end the effect of escape sequences in every VR (PS3.5 6.1.2.5.3). */
const RESETTING_CONTROLS: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0c, 0x0d])

/** Turns bytes into text. `delimiters`: the characters beyond controls that reset code extension in this VR. */
export type Decode = (bytes: Buffer, delimiters: string) => string

/** Decodes with ISO 2022 code extension (PS3.5 6.1.2.5), beginning with `initialG1` in the upper half. */
function codeExtension(initialG1: CodedSet | undefined): Decode {
  return (bytes, delimiters) => {
    let lower = ascii
    let upper = initialG1
    let text = ''
    let at = 0
    while (at < bytes.length) {
      const byte = bytes[at] as number
      if (byte === ESC) {
        const found = designationAt(bytes, at + 1)
        if (found?.designation.half === 'g0') lower = found.designation.set
        if (found?.designation.half === 'g1') upper = found.designation.set
        // An unknown escape sequence loses its ESC; what follows stays readable.
        at += 1 + (found?.length ?? 0)
        continue
      }
      const end = runEnd(bytes, at, lower, delimiters)
      text += decodeRun(bytes.subarray(at, end), lower, upper)
      const single = end - at === 1 && (byte <= 0x20 || lower.width === 1)
      if (single && (RESETTING_CONTROLS.has(byte) || delimiters.includes(String.fromCharCode(byte)))) {
        lower = ascii
        // With nothing to go back to, writers that forget to designate again are understood all the same.
        upper = initialG1 ?? upper
      }
      at = end
    }
    return text
  }
}

/** The end of the run of bytes that belong to the same half; controls, blanks and delimiters are runs of their own. */
function runEnd(bytes: Buffer, start: number, lower: CodedSet, delimiters: string): number {
  const first = bytes[start] as number
  const isAlone = (byte: number): boolean =>
    byte <= 0x20 || (lower.width === 1 && delimiters.includes(String.fromCharCode(byte)))
  if (isAlone(first)) return start + 1
  let end = start + 1
  while (end < bytes.length) {
    const byte = bytes[end] as number
    if (byte === ESC || isAlone(byte) || byte >= 0x80 !== first >= 0x80) break
    end++
  }
  return end
}

function decodeRun(run: Buffer, lower: CodedSet, upper: CodedSet | undefined): string {
  const first = run[0] as number
  if (first <= 0x20) return String.fromCharCode(first)
  if (first < 0x80) return lower.decode(run)
  return upper ? upper.decode(run) : undeclared(run)
}

/** Bytes beyond ASCII that no character set was declared for: UTF-8 when they are valid as such, else Latin-1. */
function undeclared(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('latin1')
}

/** Text that says it is UTF-8. Cut inside its last character it still is; otherwise invalid means it was Latin-1. */
const utf8: Decode = (bytes) => {
  for (let cut = 1; cut <= 3 && !isUtf8(bytes); cut++) {
    if (isUtf8(bytes.subarray(0, -cut))) return `${bytes.toString('utf8', 0, bytes.length - cut)}\ufffd`
  }
  return undeclared(bytes)
}

/** Repertoires without code extension, whose multi-byte characters may contain the byte of a delimiter. */
const multiByte =
  (encoding: string): Decode =>
  (bytes) =>
    iconv.decode(bytes, encoding)

/** Nothing declared, or nothing that anybody knows. UTF-8 first, over the whole value. */
const unknown: Decode = (bytes, delimiters) =>
  isUtf8(bytes) && !bytes.includes(ESC) ? bytes.toString('utf8') : codeExtension(undefined)(bytes, delimiters)

/** JIS X 0201 in the strict sense, but writers put Shift-JIS there, of which it is a part. */
function shiftJis(): Decode {
  const extended = codeExtension(katakana)
  const plain = multiByte('shiftjis')
  return (bytes, delimiters) => (bytes.includes(ESC) ? extended(bytes, delimiters) : plain(bytes, delimiters))
}

/** `ISO_IR 100`, `ISO 2022 IR 100` and their common misspellings -> 100. */
function registrationNumber(term: string): number | undefined {
  const match = /^ISO[ _-]*(?:2022)?[ _-]*IR[ _-]*(\d+)$/.exec(term)
  if (match) return Number(match[1])
  const part = /^ISO[ _-]*8859[ _-]*(\d+)$/.exec(term)
  return part ? NUMBER_BY_PART[Number(part[1])] : undefined
}

/** Parts of ISO 8859 by their registration, for files that name them so. */
const NUMBER_BY_PART: Readonly<Record<number, number>> = {
  1: 100,
  2: 101,
  3: 109,
  4: 110,
  5: 144,
  6: 127,
  7: 126,
  8: 138,
  9: 148,
  11: 166,
  15: 203,
}

/** How text is decoded under a value of Specific Character Set (PS3.3 C.12.1.1.2). Unknown terms are no error. */
export function decodeUnder(specificCharacterSet: string): Decode {
  const terms = specificCharacterSet.split('\\').map((term) => term.trim().toUpperCase())
  const [first = ''] = terms
  const number = registrationNumber(first)
  if (number === 192 || first === 'UTF-8' || first === 'UTF8') return utf8
  if (first === 'GB18030') return multiByte('gb18030')
  if (first === 'GBK' || first === 'GB2312') return multiByte('gbk')
  if (number === 13) return shiftJis()
  const initialG1 = number === undefined ? undefined : G1_BY_NUMBER.get(number)
  if (initialG1) return codeExtension(initialG1)
  const others = terms.slice(1).some((term) => registrationNumber(term) !== undefined)
  if (others && (first === '' || (number !== undefined && G0_ONLY.has(number)))) return codeExtension(undefined)
  return unknown
}

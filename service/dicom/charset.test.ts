import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import iconv from 'iconv-lite'
import { decoderFor, searchForm, searchForms } from './charset.ts'

const latin1 = (text: string) => Buffer.from(text, 'latin1')

/** Single-byte repertoires of PS3.3 table C.12-2, each with a text of its own letters. */
const SINGLE_BYTE = [
  ['ISO_IR 100', 'iso-8859-1', 'Äneas^Rüdiger'],
  ['ISO_IR 101', 'iso-8859-2', 'Wałęsa^Świętosław'],
  ['ISO_IR 109', 'iso-8859-3', 'Ĉapelo^Ĝorĝo'],
  ['ISO_IR 110', 'iso-8859-4', 'Bērziņš^Jānis'],
  ['ISO_IR 144', 'iso-8859-5', 'Люкceмбypг'],
  ['ISO_IR 127', 'iso-8859-6', 'قباني^لنزار'],
  ['ISO_IR 126', 'iso-8859-7', 'Διονυσιος'],
  ['ISO_IR 138', 'iso-8859-8', 'שרון^דבורה'],
  ['ISO_IR 148', 'iso-8859-9', 'Yılmaz^Şükrü'],
  ['ISO_IR 166', 'iso-8859-11', 'สมชาย'],
  ['ISO_IR 203', 'iso-8859-15', 'Œuvre^€'],
] as const

describe('decoderFor', () => {
  for (const [term, encoding, text] of SINGLE_BYTE) {
    test(`${term} alone, and as a code extension`, () => {
      const bytes = iconv.encode(text, encoding)
      assert.equal(decoderFor(term).text(bytes), text)
      assert.equal(decoderFor(term.replace('ISO_IR', 'ISO 2022 IR')).text(bytes), text)
    })
  }

  test('UTF-8, GB18030 and GBK', () => {
    const text = 'Wang^XiaoDong=王^小东'
    assert.deepEqual(decoderFor('ISO_IR 192').personName(Buffer.from(text)), [
      { Alphabetic: 'Wang^XiaoDong', Ideographic: '王^小东' },
    ])
    assert.equal(decoderFor('GB18030').text(iconv.encode('㐀𠀀王', 'gb18030')), '㐀𠀀王')
    assert.equal(decoderFor('GBK').text(iconv.encode('王小东', 'gbk')), '王小东')
  })

  test('a backslash byte inside a character splits nothing', () => {
    const gbk = Buffer.from([0x81, 0x5c, 0x5c, 0x41])
    assert.equal(decoderFor('GBK').values(gbk, 'LO').length, 2)
    assert.equal(decoderFor('GB18030').values(gbk, 'LO')[1], 'A')
    // Shift-JIS 83 5C is a katakana letter.
    assert.deepEqual(decoderFor('ISO_IR 13').values(Buffer.from([0x83, 0x5c, 0x5c, 0xb1]), 'LO'), ['ソ', 'ｱ'])
    // JIS X 0208 has letters with the bytes of `\`, `^` and `=`.
    const kanji = latin1('\x1b$B\x30\x5c\x30\x5e\x30\x3d\x1b(B\\B')
    assert.equal(decoderFor('\\ISO 2022 IR 87').values(kanji, 'LO').length, 2)
    assert.equal(decoderFor('\\ISO 2022 IR 87').personName(kanji).length, 2)
  })

  test('Japanese with code extensions (PS3.5 H.3.1, H.3.2)', () => {
    const first = latin1('Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B')
    assert.deepEqual(decoderFor('\\ISO 2022 IR 87').personName(first), [
      { Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎', Phonetic: 'やまだ^たろう' },
    ])
    const second = latin1('\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J')
    assert.deepEqual(decoderFor('ISO 2022 IR 13\\ISO 2022 IR 87').personName(second), [
      { Alphabetic: 'ﾔﾏﾀﾞ^ﾀﾛｳ', Ideographic: '山田^太郎' },
    ])
    assert.equal(decoderFor('\\ISO 2022 IR 159').text(latin1('\x1b$(D\x30\x21\x1b(B!')), '丂!')
  })

  test('Korean, which is designated again in each component (PS3.5 I.2)', () => {
    const bytes = latin1('Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf')
    const expected = [{ Alphabetic: 'Hong^Gildong', Ideographic: '洪^吉洞', Phonetic: '홍^길동' }]
    assert.deepEqual(decoderFor('\\ISO 2022 IR 149').personName(bytes), expected)
    const forgotten = latin1('\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7')
    assert.deepEqual(decoderFor('\\ISO 2022 IR 149').personName(forgotten), [{ Alphabetic: '洪^吉洞' }])
  })

  test('Chinese with code extensions (PS3.5 K.2)', () => {
    const bytes = latin1('Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=')
    assert.deepEqual(decoderFor('\\ISO 2022 IR 58').personName(bytes), [
      { Alphabetic: 'Zhang^XiaoDong', Ideographic: '张^小东' },
    ])
  })

  test('delimiters go back to the initial sets', () => {
    const decoder = decoderFor('ISO 2022 IR 100\\ISO 2022 IR 144')
    const mixed = latin1('\x1b-L\xbb\\\xc4')
    assert.deepEqual(decoder.values(mixed, 'LO'), ['Л', 'Ä'])
    assert.equal(decoder.text(latin1('\x1b-L\xbb\r\n\xc4')), 'Л\r\nÄ')
    // In a text of one value a backslash is a character like others.
    assert.deepEqual(decoder.values(mixed, 'LT'), ['Л\\Ф'])
  })

  test('nothing declared, or nonsense: UTF-8 if it is valid, else Latin-1', () => {
    for (const term of [undefined, '', 'ISO_IR 6', 'KLINGON', 'ISO_IR 999']) {
      assert.equal(decoderFor(term).text(Buffer.from('Jérôme')), 'Jérôme')
      assert.equal(decoderFor(term).text(latin1('Jérôme')), 'Jérôme')
    }
    assert.equal(decoderFor('ISO_IR 192').text(latin1('Jérôme')), 'Jérôme')
    assert.equal(decoderFor('ISO_IR 192').text(Buffer.from('王小东').subarray(0, 8)), '王小\ufffd')
    assert.equal(decoderFor('iso-ir-100').text(latin1('é')), 'é')
    assert.equal(decoderFor('ISO8859-5').text(Buffer.of(0xbb)), 'Л')
  })

  test('padding is trimmed as the VR says', () => {
    const decoder = decoderFor(undefined)
    assert.deepEqual(decoder.values(latin1(' A \\ B\0'), 'LO'), ['A', 'B'])
    assert.deepEqual(decoder.values(latin1('  two \\ lines '), 'LT'), ['  two \\ lines'])
    assert.deepEqual(decoder.values(latin1('1.2\0'), 'UI'), ['1.2'])
    assert.deepEqual(decoder.values(latin1(''), 'SH'), [''])
    assert.deepEqual(decoder.personName(latin1('A^B = =C \\')), [{ Alphabetic: 'A^B', Phonetic: 'C' }, {}])
  })

  test('whatever the bytes and the terms, nothing is thrown', () => {
    const terms = fc.oneof(
      fc.constantFrom(...SINGLE_BYTE.map(([term]) => term)),
      fc.constantFrom('ISO_IR 13', 'ISO_IR 192', 'GB18030', 'GBK', 'ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159'),
      fc.constantFrom('\\ISO 2022 IR 149', '\\ISO 2022 IR 58', 'ISO 2022 IR 87', ''),
      fc.string({ maxLength: 30 }),
    )
    const escapes = fc.constantFrom(
      '\x1b$B',
      '\x1b(J',
      '\x1b$)C',
      '\x1b$)A',
      '\x1b$(D',
      '\x1b-L',
      '\x1b',
      '\\',
      '^',
      '=',
    )
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
      escapes.map((text) => latin1(text)),
    )
    fc.assert(
      fc.property(terms, fc.array(chunk, { maxLength: 8 }), (term, chunks) => {
        const bytes = Buffer.concat(chunks)
        const decoder = decoderFor(term)
        decoder.text(bytes)
        assert.ok(decoder.values(bytes, 'LO').length >= 1)
        assert.ok(decoder.personName(bytes).length >= 1)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('searchForm', () => {
  const same = [
    ['Jérôme', 'JEROME'],
    ['Straße', 'STRASSE'],
    ['Łódź Ørsted Æsir Œuvre', 'LODZ ORSTED AESIR OEUVRE'],
    ['ﾔﾏﾀﾞ', 'ヤマダ'],
    ['Ёлкин', 'ЕЛКИН'],
    ['  A \t B\0', 'A B'],
    ['홍^길동', '홍^길동'],
    ['ﬁsh*?', 'FISH*?'],
    ['Διονύσιος', 'ΔΙΟΝΥΣΙΟΣ'],
  ] as const

  test('case, accents, width and runs of blanks make no difference', () => {
    for (const [text, form] of same) assert.equal(searchForm(text), form)
  })

  test('the form of a form is itself', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.equal(searchForm(searchForm(text)), searchForm(text))
      }),
    )
  })

  test('each component group has its own', () => {
    assert.deepEqual(searchForms({ Alphabetic: 'Müller^Jörg', Phonetic: 'ﾀﾛｳ' }), {
      Alphabetic: 'MULLER^JORG',
      Ideographic: '',
      Phonetic: 'タロウ',
    })
  })
})

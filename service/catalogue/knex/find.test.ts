import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { type DicomOptions, identifiers } from '../../../test/fixtures/dicom.ts'
import { all, described } from '../../../test/property/core.ts'
import { databases, type Opened } from '../../../test/property/databases.ts'
import { isArchiveError } from '../../errors.ts'
import type { MatchKey, Query, QueryLevel } from '../ports.ts'

/** One instance as the oracle sees it; names by component group. */
interface Row {
  study: string
  series: string
  instance: string
  patientId: string
  name: string
  date: string
  time: string
  accession: string
  description: string
  modality: string
  seriesNumber: number
  instanceNumber: number
}

const NAMES = [
  'Müller^Jürgen',
  'MULLER^JURGEN^^Dr',
  'Smith^John',
  'Smith-Jones^Mary Ann',
  "O'Brien^Søren",
  'Wang^XiaoDong=王^小東',
  'Yamada^Tarou=山田^太郎=やまだ^たろう',
  'Hong^Gildong=洪^吉洞=홍^길동',
  'Люксембург^Роза',
  'Διονυσιος',
  '100%_sure!^x',
  '',
]
const DESCRIPTIONS = ['Thorax', 'thorax p.a.', 'Schädel  CT', 'Knie_li', '50% off', 'straße', '']
const DATES = ['19991231', '20000101', '20240229', '20240301', '20261122', '']
const TIMES = ['000000', '101112', '101159.999999', '1012', '23', '235959.5', '']
const ACCESSIONS = ['A1', 'A10', 'a1', 'B_2', 'B%2', '']
const MODALITIES = ['CT', 'MR', 'PT', 'SR']

const pick = <T>(list: readonly T[], n: number): T => list[n % list.length] as T

const rows: Row[] = Array.from({ length: 24 }, (_, s) =>
  Array.from({ length: 4 }, (_, i) => {
    const series = `${s}/${i % 2}`
    return {
      study: identifiers({ seed: `find/${s}` }).studyUid,
      series: identifiers({ seed: `find/${series}` }).seriesUid,
      instance: identifiers({ seed: `find/${s}/${i}/i` }).sopInstanceUid,
      // Two patients have two studies each; each patient has one name.
      patientId: pick(['P1', 'P10', 'p1', 'P_1', 'P%1', ''], s % 12) + (s % 12 < 6 ? '' : `-${s % 12}`),
      name: pick(NAMES, s % 12),
      date: pick(DATES, s * 7),
      time: pick(TIMES, s * 5),
      accession: pick(ACCESSIONS, s * 11),
      description: pick(DESCRIPTIONS, s * 3),
      modality: pick(MODALITIES, s + (i % 2) * (s % 3)),
      seriesNumber: (i % 2) + 1,
      instanceNumber: i + 1,
    }
  }),
).flat()

function optionsOf(row: Row): DicomOptions {
  return {
    seed: row.instance,
    studyUid: row.study,
    seriesUid: row.series,
    sopInstanceUid: row.instance,
    patientId: row.patientId,
    patientName: Buffer.from(row.name),
    characterSet: 'ISO_IR 192',
    studyDate: row.date,
    studyTime: row.time,
    accessionNumber: row.accession,
    studyDescription: Buffer.from(row.description),
    modality: row.modality,
    seriesNumber: row.seriesNumber,
    instanceNumber: row.instanceNumber,
    rows: 0,
  }
}

// --- the oracle: plain JavaScript over plain rows

/** Case and accents don't count; enough for the texts above. */
function fold(text: string): string {
  const plain = text
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .toUpperCase()
    .normalize('NFC')
  return plain.replaceAll('Ø', 'O').replace(/ +/g, ' ').trim()
}

function wildcard(pattern: string, text: string): boolean {
  const source = [...pattern].map((char) =>
    char === '*' ? '.*' : char === '?' ? '.' : char.replace(/[\\^$.|+()[\]{}/]/g, '\\$&'),
  )
  return new RegExp(`^${source.join('')}$`, 'su').test(text)
}

const groupsOf = (name: string) => [0, 1, 2].map((i) => fold(name.split('=')[i] ?? '').replace(/\^+$/, ''))

function nameMatches(value: string, name: string): boolean {
  const wanted = value.split('=').map((group) => fold(group).replace(/\^+$/, ''))
  const groups = groupsOf(name)
  if (wanted.length > 1) return wanted.every((group, i) => group === '' || wildcard(group, groups[i] ?? ''))
  return groups.some((group) => wildcard(wanted[0] as string, group))
}

function fuzzyMatches(value: string, name: string): boolean {
  const words = fold(value)
    .split(/[\^=,\s*?-]+/)
    .filter((word) => word !== '')
  return groupsOf(name).some((group) => {
    const parts = group.split(/[\^ -]/)
    // A word may hold what the name is split at elsewhere: any beginning in the rest of the name counts.
    return words.every((word) => parts.some((_, i) => parts.slice(i).join(' ').startsWith(word)))
  })
}

/** Seconds of a TM, or of the last moment that it stands for. */
function seconds(time: string, last: boolean): number {
  const [, h = '', m, s, f] = /^(\d\d)(\d\d)?(\d\d)?(\.\d+)?$/.exec(time) ?? []
  const fraction = f === undefined ? (last ? 0.999999 : 0) : Number(f)
  return Number(h) * 3600 + Number(m ?? (last ? 59 : 0)) * 60 + Number(s ?? (last ? 59 : 0)) + fraction
}

function inRange(value: string, found: string, low: (text: string) => number, high: (text: string) => number): boolean {
  if (found === '') return false
  const [from = '', to = from] = value.split('-')
  return (from === '' || low(found) >= low(from)) && (to === '' || low(found) <= high(to))
}

type Matches = (value: string, row: Row) => boolean
const modalitiesOf = (row: Row) => rows.filter(({ study }) => study === row.study).map(({ modality }) => modality)
const listed = (value: string, found: string) =>
  value.includes('\\') ? value.split('\\').includes(found) : wildcard(value, found)

const ORACLE: Record<string, Matches> = {
  '00100010': (value, row) => nameMatches(value, row.name),
  '00100020': (value, row) => listed(value, row.patientId),
  '00080020': (value, row) => inRange(value, row.date, Number, Number),
  '00080030': (value, row) =>
    inRange(
      value,
      row.time,
      (text) => seconds(text, false),
      (text) => seconds(text, true),
    ),
  '00080050': (value, row) => listed(value, row.accession),
  '00081030': (value, row) => wildcard(fold(value), fold(row.description)),
  '00080061': (value, row) => modalitiesOf(row).some((one) => listed(value, one)),
  '0020000D': (value, row) => value.split('\\').includes(row.study),
  '00080060': (value, row) => listed(value, row.modality),
  '0020000E': (value, row) => value.split('\\').includes(row.series),
  '00200011': (value, row) => Number(value) === row.seriesNumber,
  '00080018': (value, row) => value.split('\\').includes(row.instance),
  '00200013': (value, row) => value.split('\\').map(Number).includes(row.instanceNumber),
}

const UID: Record<Exclude<QueryLevel, 'patient'>, [tag: string, field: 'study' | 'series' | 'instance']> = {
  study: ['0020000D', 'study'],
  series: ['0020000E', 'series'],
  instance: ['00080018', 'instance'],
}

// --- queries: values as they are, with characters made wildcards, beginnings, other case, ranges and lists

function wild(values: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom(...values),
      fc.array(fc.tuple(fc.nat(), fc.constantFrom('?', '*', '*'))),
      fc.boolean(),
      fc.nat(),
    )
    .map(([value, holes, cut, at]) => {
      const chars = [...value]
      for (const [place, char] of holes.slice(0, 2)) if (chars.length > 0) chars[place % chars.length] = char
      return cut ? `${chars.slice(0, at % (chars.length + 1)).join('')}*` : chars.join('')
    })
    .filter((value) => value !== '')
}
const anyCase = (text: string) => fc.constantFrom(text, text.toUpperCase(), text.toLowerCase())
const ranges = (values: readonly string[]) => {
  const one = fc.constantFrom(...values.filter((value) => value !== ''))
  return fc.oneof(
    one,
    fc.tuple(one, one).map(([a, b]) => `${a}-${b}`),
    one.map((a) => `${a}-`),
    one.map((a) => `-${a}`),
  )
}
const lists = (values: readonly string[]) =>
  fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 3 }).map((list) => list.join('\\'))

const VALUES: Record<string, fc.Arbitrary<string>> = {
  '00100010': wild([...NAMES, '=王^小東', '山田^太郎'])
    .chain(anyCase)
    .filter((value) => !/^[\^=]*$/.test(value)),
  '00100020': wild(['P1', 'P10', 'p1', 'P_1', 'P%1-4', 'P1-6']),
  '00080020': ranges(DATES),
  '00080030': ranges([...TIMES, '10', '1011']),
  '00080050': wild(ACCESSIONS.filter((value) => value !== '')),
  '00081030': wild(DESCRIPTIONS).chain(anyCase),
  '00080061': fc.oneof(wild(MODALITIES), lists(MODALITIES)),
  '0020000D': lists([...new Set(rows.map(({ study }) => study)), '1.2.3']),
  '00080060': fc.oneof(wild(MODALITIES), lists(MODALITIES)),
  '0020000E': lists(rows.map(({ series }) => series)),
  '00200011': fc.constantFrom('1', '2', '3'),
  '00080018': lists(rows.map(({ instance }) => instance)),
  '00200013': fc.constantFrom('1', '2\\3', '9'),
}

const matchKey = (tags: readonly string[]) =>
  fc
    .constantFrom(...tags)
    .chain((tag) => (VALUES[tag] as fc.Arbitrary<string>).map((value): MatchKey => ({ path: [tag], value })))
const STUDY_TAGS = ['00100010', '00100020', '00080020', '00080030', '00080050', '00081030', '00080061', '0020000D']
const TAGS: Record<keyof typeof UID, readonly string[]> = {
  study: STUDY_TAGS,
  series: [...STUDY_TAGS, '00080060', '0020000E', '00200011'],
  instance: [...STUDY_TAGS, '00080060', '0020000E', '00200011', '00080018', '00200013'],
}
const query = fc.constantFrom('study' as const, 'series' as const, 'instance' as const).chain((level) =>
  fc.record({
    level: fc.constant(level),
    match: fc.uniqueArray(matchKey(TAGS[level]), { minLength: 1, maxLength: 3, selector: ({ path }) => path[0] }),
  }),
)

for (const database of databases) {
  describe(`find on ${database.name}`, { skip: database.skip }, () => {
    let opened: Opened
    const find = (over: Partial<Query> & Pick<Query, 'level'>) =>
      all(opened.catalogue.find({ match: [], include: [], fuzzy: false, ...over }))
    const uids = async (over: Partial<Query> & { level: keyof typeof UID }) =>
      (await find(over)).map((json) => json[UID[over.level][0]]?.Value?.[0] as string)

    before(async () => {
      opened = await database.open()
      await Promise.all(rows.map((row) => opened.catalogue.record(described(optionsOf(row)))))
    })
    after(async () => {
      await opened?.close()
      await database.stop()
    })

    test('answers as plain JavaScript over plain rows does', async () => {
      await fc.assert(
        fc.asyncProperty(query, async ({ level, match }) => {
          const matching = rows.filter((row) =>
            match.every(({ path, value }) => ORACLE[path[0] as string]?.(value, row)),
          )
          const expected = [...new Set(matching.map((row) => row[UID[level][1]]))].sort()
          assert.deepEqual((await uids({ level, match })).sort(), expected)
        }),
        { numRuns: 400 },
      )
    })

    test('finds patients by name, and all their studies', async () => {
      const patients = await find({ level: 'patient', match: [{ path: ['00100010'], value: 'yamada*' }] })
      assert.deepEqual(
        patients.map((json) => json['00100010']?.Value?.[0]),
        [{ Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎', Phonetic: 'やまだ^たろう' }],
      )
      assert.equal(patients[0]?.['00201200']?.Value?.[0], 2)
      assert.equal(
        (await find({ level: 'patient' })).length,
        12 + 1,
        'without an ID each study is a patient of its own',
      )
    })

    test('fuzzily, every word must begin a word of the name', async () => {
      const values = [
        'john smith',
        'JONES',
        'smi',
        'mith',
        'ann^smith',
        'muller',
        '小東',
        'роза люкс',
        'dr jurgen',
        'brien',
        '100%_s',
      ]
      for (const value of values) {
        const match = [{ path: ['00100010'], value }]
        const expected = [...new Set(rows.filter(({ name }) => fuzzyMatches(value, name)).map(({ study }) => study))]
        assert.deepEqual((await uids({ level: 'study', match, fuzzy: true })).sort(), expected.sort(), value)
      }
    })

    test('limit and offset cut the one stable order', async () => {
      for (const level of ['study', 'series', 'instance'] as const) {
        const whole = await uids({ level })
        assert.equal(new Set(whole).size, whole.length)
        assert.deepEqual(await uids({ level }), whole)
        for (const [offset, limit] of [
          [0, 1],
          [3, 5],
          [10, 100],
          [20, 0],
          [1000, 5],
        ] as const) {
          assert.deepEqual(
            await uids({ level, offset, limit }),
            whole.slice(offset, offset + limit),
            `${level} ${offset} ${limit}`,
          )
        }
      }
      const dates = (await find({ level: 'study' })).map((json) => json['00080020']?.Value?.[0] ?? '')
      assert.deepEqual(dates, [...dates].sort().reverse(), 'the newest study first')
    })

    test('a value that is none, and a key that is none, are refused by name', async () => {
      const refused = (tag: string, value: string, words: RegExp) =>
        assert.rejects(
          find({ level: 'study', match: [{ path: [tag], value }] }),
          (error) => isArchiveError(error, 'invalid_request') && words.test(error.message),
        )
      await refused('00080020', 'yesterday', /StudyDate/)
      await refused('00080020', '20240229-20240301-20240302', /StudyDate/)
      await refused('00080030', '2561', /StudyTime/)
      await refused('00080060', 'CT', /Modality/)
      await refused('00104000', 'x', /00104000|PatientComments/)
    })

    test('a listing over thousands of rows is complete, in order, and continued anywhere', async () => {
      const opened = await database.open()
      const base = described({ seed: 'pages', rows: 0 })
      const count = 2300
      const work = Array.from({ length: count }, (_, n) => {
        const sopInstanceUid = `2.25.7${n}`
        const instance = { ...base.attributes.instance, '00080018': { vr: 'UI', Value: [sopInstanceUid] } }
        // Every number comes three times or more, so that pages break inside equal positions too.
        return {
          ...base,
          sopInstanceUid,
          instanceNumber: n % 700,
          sha256: String(n).padStart(64, '0'),
          attributes: { ...base.attributes, instance },
        }
      })
      await Promise.all(work.map((one) => opened.catalogue.record(one)))
      const list = async (offset?: number, limit?: number) =>
        (
          await all(
            opened.catalogue.find({
              level: 'instance',
              match: [],
              include: [],
              fuzzy: false,
              ...(offset === undefined ? {} : { offset }),
              ...(limit === undefined ? {} : { limit }),
            }),
          )
        ).map((json) => json['00080018']?.Value?.[0])
      const whole = await list()
      assert.equal(whole.length, count)
      assert.equal(new Set(whole).size, count)
      for (const [offset, limit] of [
        [999, 2],
        [500, 1500],
        [2299, 5],
        [1000, 1000],
      ] as const) {
        assert.deepEqual(await list(offset, limit), whole.slice(offset, offset + limit), `${offset}, ${limit}`)
      }
      await opened.close()
    })
  })
}

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { DicomOptions } from '../fixtures/dicom.ts'
import { Firn } from '../support/firn.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { type DataSetJson, first, get, instancePath, json, search, stow } from '../support/web.ts'

const random = new Random(newSeed())

/** PS3.5 H.3.1: Yamada^Tarou with ideographic and phonetic groups, by ISO 2022 escapes. */
const YAMADA = Buffer.from(
  'Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B',
  'latin1',
)

const people = {
  mueller: {
    patientName: Buffer.from('Müller^Jürgen'),
    characterSet: 'ISO_IR 192',
    studyDate: '20240110',
    studyTime: '081500',
  },
  yamada: { patientName: YAMADA, characterSet: '\\ISO 2022 IR 87', studyDate: '20240215', studyTime: '120000' },
  noel: {
    patientName: Buffer.from('Noël^Émilie', 'latin1'),
    characterSet: 'ISO_IR 100',
    studyDate: '20240301',
    studyTime: '235959',
  },
  muller: { patientName: 'Muller^Hans', studyDate: '20231231', studyTime: '0930' },
  percent: { patientName: "O'Brien^Pat_%", studyDate: '20200229', studyTime: '060000' },
  nameless: { patientName: '', studyDate: '', studyTime: '', accessionNumber: '' },
} satisfies Record<string, DicomOptions>
type Who = keyof typeof people

describe(`QIDO-RS (seed ${random.seed})`, () => {
  let firn: Firn
  const studyUids = Object.fromEntries(Object.keys(people).map((who) => [who, random.uid()])) as Record<Who, string>
  const ctSeries = random.uid()
  const srSeries = random.uid()
  const sent: Instance[] = []

  function add(who: Who, options: DicomOptions = {}): void {
    const base: DicomOptions = {
      studyUid: studyUids[who],
      patientId: `ID-${who}`,
      accessionNumber: `ACC-${who}`.slice(0, 16),
      modality: 'MR',
    }
    const procedure = {
      '00200012': ['IS', '5'],
      '00400275': ['SQ', [{ '00401001': ['SH', `RP-${who}`.slice(0, 16)] }]],
    } as const
    sent.push(makeInstance(random, { ...base, attributes: procedure, ...people[who], ...options }))
  }
  for (const who of ['yamada', 'noel', 'muller', 'percent', 'nameless'] as const) add(who)
  for (let n = 1; n <= 3; n++)
    add('mueller', { seriesUid: ctSeries, modality: 'CT', seriesNumber: 2, instanceNumber: n, frames: n })
  add('mueller', { seriesUid: srSeries, modality: 'SR', seriesNumber: 7 })

  before(async () => {
    firn = await Firn.start()
    const answer = await stow(
      firn.dicomWeb,
      sent.map((one) => one.file),
    )
    assert.equal(answer.status, 200)
  })
  after(async () => {
    await firn.kill()
  })

  async function studies(query: string): Promise<Who[]> {
    const found = (await search(firn.dicomWeb, `/studies?${query}`)).map((item) => first(item, '0020000D'))
    return (Object.keys(people) as Who[]).filter((who) => found.includes(studyUids[who])).sort()
  }

  const everyone = Object.keys(people).sort() as Who[]
  const cases: [what: string, query: string, wanted: Who[]][] = [
    ['no key', '', everyone],
    ['an empty key is universal matching', 'PatientID=', everyone],
    ['patient ID, by keyword', 'PatientID=ID-noel', ['noel']],
    ['patient ID, by tag', '00100020=ID-noel', ['noel']],
    ['a single value is case-sensitive where it is no name', 'PatientID=id-NOEL', []],
    ['study UID', 'StudyInstanceUID=%noel%', ['noel']],
    ['list of UIDs by comma', 'StudyInstanceUID=%noel%,%muller%', ['muller', 'noel']],
    ['list of UIDs by backslash', 'StudyInstanceUID=%noel%%5C%muller%', ['muller', 'noel']],
    ['accession number', 'AccessionNumber=ACC-mueller', ['mueller']],
    ['study ID and two keys at once', 'PatientID=ID-muller&AccessionNumber=ACC-muller', ['muller']],
    ['two keys that contradict each other', 'PatientID=ID-muller&AccessionNumber=ACC-noel', []],
    ['wildcard *', 'PatientID=ID-m*', ['mueller', 'muller']],
    ['wildcard ?', 'PatientID=ID-m?ller', ['muller']],
    ['wildcard in the middle', 'PatientID=*u*er', ['mueller', 'muller']],
    ['a lone * matches those without a value too', 'AccessionNumber=*', everyone],
    ['name, exact', 'PatientName=M%C3%BCller%5EJ%C3%BCrgen', ['mueller']],
    ['name without case and accents', 'PatientName=MULLER%5Ejurgen', ['mueller']],
    ['name, wildcard', 'PatientName=m%C3%BCl*', ['mueller', 'muller']],
    ['name of Latin-1, accents left away', 'PatientName=noel%5Eemilie', ['noel']],
    ['name, ideographic group', `PatientName=${encodeURIComponent('*山田*')}`, ['yamada']],
    ['name, phonetic group', `PatientName=${encodeURIComponent('*たろう*')}`, ['yamada']],
    ['name, alphabetic group alone', 'PatientName=Yamada%5ETarou', ['yamada']],
    [
      'name with characters that mean something to SQL',
      `PatientName=${encodeURIComponent("O'Brien^Pat_%")}`,
      ['percent'],
    ],
    ['% is no wildcard', 'PatientName=%25', []],
    ['_ is no wildcard', 'PatientID=ID_noel', []],
    ['fuzzy by the first letters of a component', 'PatientName=jur&fuzzymatching=true', ['mueller']],
    ['not fuzzy', 'PatientName=jur', []],
    ['one date', 'StudyDate=20240215', ['yamada']],
    ['range of dates', 'StudyDate=20240110-20240215', ['mueller', 'yamada']],
    ['dates up to', 'StudyDate=-20231231', ['muller', 'percent']],
    ['dates from', 'StudyDate=20240215-', ['noel', 'yamada']],
    ['range of times', 'StudyTime=0800-1000', ['mueller', 'muller']],
    ['date and time ranges', 'StudyDate=20240101-20240229&StudyTime=1100-1300', ['yamada']],
    ['modalities in study', 'ModalitiesInStudy=SR', ['mueller']],
    ['modalities in study, the other one', 'ModalitiesInStudy=MR', ['muller', 'nameless', 'noel', 'percent', 'yamada']],
    ['referring physician', 'ReferringPhysicianName=referrer*', everyone],
  ]
  for (const [what, query, wanted] of cases) {
    it(`finds studies by: ${what}`, async () => {
      const filled = query.replaceAll(/%([a-z]{4,})%/g, (_, who: Who) => studyUids[who])
      assert.deepEqual(await studies(filled), wanted, filled)
    })
  }

  it('returns the required attributes of a study', async () => {
    const item = (await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyUids.mueller}`))[0] ?? {}
    const wanted: Record<string, string> = {
      '00080020': '20240110',
      '00080030': '081500',
      '00080050': 'ACC-mueller',
      '00080090': 'Referrer^Rita',
      '00100010': 'Müller^Jürgen',
      '00100020': 'ID-mueller',
      '00100030': '19700101',
      '00100040': 'O',
      '0020000D': studyUids.mueller,
      '00201206': '2',
      '00201208': '4',
    }
    for (const [tag, value] of Object.entries(wanted)) assert.equal(first(item, tag), value, tag)
    assert.deepEqual([...(item['00080061']?.Value ?? [])].sort(), ['CT', 'SR'])
    assert.match(first(item, '00081190'), new RegExp(`/studies/${studyUids.mueller.replaceAll('.', '\\.')}$`))
    assert.ok(item['00080056'] !== undefined, 'instance availability')
  })

  it('returns a name in its three groups', async () => {
    const item = (await search(firn.dicomWeb, `/studies?PatientID=ID-yamada`))[0]
    assert.deepEqual(item?.['00100010']?.Value?.[0], {
      Alphabetic: 'Yamada^Tarou',
      Ideographic: '山田^太郎',
      Phonetic: 'やまだ^たろう',
    })
  })

  it('searches series and instances on every path', async () => {
    const s = studyUids.mueller
    const wanted: [string, number][] = [
      [`/studies/${s}/series`, 2],
      [`/studies/${s}/series?Modality=CT`, 1],
      [`/studies/${s}/series?SeriesNumber=7`, 1],
      [`/series?SeriesInstanceUID=${ctSeries}`, 1],
      [`/series?StudyInstanceUID=${s}`, 2],
      [`/series?PatientID=ID-mueller&Modality=SR`, 1],
      [`/studies/${s}/instances`, 4],
      [`/studies/${s}/instances?InstanceNumber=1`, 2],
      [`/studies/${s}/series/${ctSeries}/instances`, 3],
      [`/studies/${s}/series/${ctSeries}/instances?InstanceNumber=2`, 1],
      [`/instances?SeriesInstanceUID=${ctSeries}`, 3],
      ['/instances', sent.length],
      [`/studies/${random.uid()}/series`, 0],
      [`/studies/${studyUids.noel}/series/${ctSeries}/instances`, 0],
    ]
    for (const [path, count] of wanted) assert.equal((await search(firn.dicomWeb, path)).length, count, path)
  })

  it('returns the required attributes of series and instances', async () => {
    const series = (await search(firn.dicomWeb, `/series?SeriesInstanceUID=${ctSeries}`))[0] ?? {}
    const ofSeries = {
      '00080060': 'CT',
      '0020000D': studyUids.mueller,
      '0020000E': ctSeries,
      '00200011': '2',
      '00201209': '3',
    }
    for (const [tag, value] of Object.entries(ofSeries)) assert.equal(first(series, tag), value, tag)
    const path = `/studies/${studyUids.mueller}/series/${ctSeries}/instances?InstanceNumber=3`
    const instance = (await search(firn.dicomWeb, path))[0] ?? {}
    const one = sent.find((each) => each.sopInstanceUid === first(instance, '00080018'))
    assert.ok(one)
    const ofInstance = {
      '00080016': one.sopClassUid,
      '00200013': '3',
      '00280008': '3',
      '00280010': '8',
      '00280011': '8',
      '00280100': '16',
    }
    for (const [tag, value] of Object.entries(ofInstance)) assert.equal(first(instance, tag), value, tag)
    assert.ok(first(instance, '00081190').endsWith(instancePath(one)))
  })

  it('adds what includefield asks for', async () => {
    const base = `/studies/${studyUids.mueller}/instances?InstanceNumber=2&limit=1`
    const plain = (await search(firn.dicomWeb, base))[0] ?? {}
    assert.equal(plain['00200012'], undefined)
    for (const list of ['AcquisitionNumber,00400275', '00200012&includefield=RequestAttributesSequence', 'all']) {
      const item = (await search(firn.dicomWeb, `${base}&includefield=${list}`))[0] ?? {}
      assert.equal(first(item, '00200012'), '5', list)
      const procedure = item['00400275']?.Value?.[0] as DataSetJson | undefined
      assert.equal(first(procedure, '00401001'), 'RP-mueller', list)
    }
  })

  it('matches attributes of a sequence', async () => {
    for (const key of ['RequestAttributesSequence.RequestedProcedureID', '00400275.00401001']) {
      const found = await search(firn.dicomWeb, `/series?${key}=RP-noel`)
      assert.deepEqual(
        found.map((item) => first(item, '0020000D')),
        [studyUids.noel],
        key,
      )
    }
  })

  it('pages in a stable order and warns of more', async () => {
    const all = (await search(firn.dicomWeb, '/instances')).map((item) => first(item, '00080018'))
    const paged: string[] = []
    for (let offset = 0; offset < sent.length; offset += 4) {
      const answer = await get(`${firn.dicomWeb}/instances?limit=4&offset=${offset}`, 'application/dicom+json')
      paged.push(...json<DataSetJson[]>(answer).map((item) => first(item, '00080018')))
      const more = offset + 4 < sent.length
      assert.equal(/^299 /.test(answer.headers.get('warning') ?? ''), more, `warning at ${offset}`)
    }
    assert.deepEqual(paged, all)
    assert.equal((await get(`${firn.dicomWeb}/instances?offset=${sent.length}`, 'application/dicom+json')).status, 204)
  })

  it('answers 204 without a body when nothing is found', async () => {
    const answer = await get(`${firn.dicomWeb}/studies?PatientID=nobody`, 'application/dicom+json')
    assert.equal(answer.status, 204)
    assert.equal(answer.bytes.length, 0)
  })

  for (const [query, key] of [
    ['NoSuchKeyword=1', 'NoSuchKeyword'],
    ['StudyDate=yesterday', 'StudyDate'],
    ['StudyDate=20241399', 'StudyDate'],
    ['limit=-1', 'limit'],
    ['limit=x', 'limit'],
    ['offset=1.5', 'offset'],
    ['includefield=NoSuchField', 'NoSuchField'],
    ['fuzzymatching=perhaps', 'fuzzymatching'],
    ['0010002=x', '0010002'],
  ] as const) {
    it(`answers 400 to ${query} and names the key`, async () => {
      const answer = await get(`${firn.dicomWeb}/studies?${query}`, 'application/dicom+json')
      assert.equal(answer.status, 400)
      assert.ok(answer.bytes.toString().includes(key), answer.bytes.toString())
    })
  }

  it('answers 406 to a type that it does not have, XML as multipart when asked', async () => {
    assert.equal((await get(`${firn.dicomWeb}/studies`, 'text/html')).status, 406)
    const xml = await get(`${firn.dicomWeb}/studies?limit=1`, 'multipart/related; type="application/dicom+xml"')
    assert.ok([200, 406].includes(xml.status), `XML: ${xml.status}`)
    if (xml.status === 200) assert.match(xml.bytes.toString(), /<NativeDicomModel/)
  })
})

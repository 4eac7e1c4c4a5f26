import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { type DicomOptions, identifiers } from '../../../../test/fixtures/dicom.ts'
import { all, described } from '../../../../test/property/core.ts'
import { databases } from '../../../../test/property/databases.ts'
import type { Event } from '../../../events/event.ts'
import type { KnownEvent } from '../../../events/kinds.ts'
import type { KnexCatalogue } from '../catalogue.ts'

const STUDIES = ['s0', 's1', 's2']
/** Two studies of patient P0, one of P1. */
const PATIENTS = ['P0', 'P0', 'P1']

const instances: DicomOptions[] = STUDIES.flatMap((study, s) =>
  [0, 1, 2].map((n) => ({
    seed: `overlay/${study}/${n}`,
    studyUid: identifiers({ seed: `overlay/${study}` }).studyUid,
    seriesUid: identifiers({ seed: `overlay/${study}/${n % 2}` }).seriesUid,
    patientId: PATIENTS[s] as string,
    patientName: `Name^${PATIENTS[s]}`,
    accessionNumber: study,
    attributes: { '00200010': ['SH', study] as const },
    seriesNumber: n % 2,
    modality: n % 2 === 0 ? 'CT' : 'MR',
    instanceNumber: n,
  })),
)
const uidsOf = (n: number) => identifiers(instances[n % instances.length] as DicomOptions)

type Content = { attributes: object; reason: string }
type Draft = Omit<KnownEvent, 'actor'> & { content?: Content }

/** What may happen, by number; each refers to what exists. */
const step = fc.oneof(
  fc.record({
    what: fc.constant('reject' as const),
    n: fc.nat(8),
    code: fc.constantFrom('113001', '113037', '113039'),
  }),
  fc.record({ what: fc.constant('restore' as const), of: fc.nat(5), one: fc.boolean(), n: fc.nat(8) }),
  fc.record({ what: fc.constant('study' as const), n: fc.nat(8), value: fc.constantFrom('x', 'y', 'z') }),
  fc.record({ what: fc.constant('series' as const), n: fc.nat(8), value: fc.constantFrom('x', 'y') }),
  fc.record({ what: fc.constant('patient' as const), of: fc.nat(2), value: fc.constantFrom('Anna', 'Berta') }),
  fc.record({ what: fc.constant('merge' as const), from: fc.nat(2), to: fc.nat(2) }),
  fc.record({ what: fc.constant('move' as const), n: fc.nat(8), to: fc.nat(3) }),
  fc.record({ what: fc.constant('withdraw' as const), of: fc.nat(5) }),
)
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never

const DIGEST = 'd'.repeat(64)
const patient = (n: number) => ({ id: `P${n}`, issuer: '' })
const name = (text: string) => ({ '00100010': { vr: 'PN', Value: [{ Alphabetic: text }] } })
const corrected = (type: string, attributes: object, rest: object = {}): Draft =>
  ({
    kind: 'correction.made',
    subject: {},
    data: { type, place: 1, keys: [], record: DIGEST, ...rest },
    content: { attributes, reason: 'r' },
  }) as unknown as Draft

function draftOf(one: Step, site: string, index: number): Draft {
  const id = `${site}-${index}`
  const of = (n: number) => `${n % 2 === 0 ? 'a' : 'b'}-${n}`
  const draft = ((): Draft => {
    if (one.what === 'reject') {
      const { studyUid, sopInstanceUid } = uidsOf(one.n)
      const data = { code: one.code, reason: '', instances: [sopInstanceUid, uidsOf(one.n + 1).sopInstanceUid] }
      return { kind: 'instances.rejected', subject: { study: studyUid, rejection: id }, data }
    }
    if (one.what === 'restore') {
      const some = one.one ? { instances: [uidsOf(one.n).sopInstanceUid] } : {}
      return { kind: 'instances.restored', subject: { rejection: of(one.of) }, data: { reason: '', ...some } }
    }
    if (one.what === 'withdraw') {
      return { kind: 'correction.withdrawn', subject: { correction: of(one.of) }, data: { reason: '' } }
    }
    if (one.what === 'patient') return corrected('patient', name(one.value), { patient: patient(one.of) })
    if (one.what === 'merge') {
      return corrected('merge', name(`P${one.to}`), { patient: patient(one.from), to: patient(one.to) })
    }
    const { studyUid, seriesUid } = uidsOf(one.n)
    if (one.what === 'move') {
      const made = corrected('move', name(`P${one.to}`), { to: patient(one.to) })
      return { ...made, subject: { study: studyUid } } as Draft
    }
    const tag = one.what === 'study' ? '00081030' : '0008103E'
    const made = corrected(one.what, { [tag]: { vr: 'LO', Value: [one.value] } })
    return { ...made, subject: { study: studyUid, series: one.what === 'series' ? seriesUid : '' } } as Draft
  })()
  return draft.kind === 'correction.made' ? { ...draft, subject: { ...draft.subject, correction: id } } : draft
}

/** One site's log; numbers of corrections repeat between sites, and have gaps. */
function logOf(site: string, steps: readonly Step[]): Event[] {
  return steps.map((one, index) => {
    const event = {
      ...draftOf(one, site, index),
      actor: { name: site, role: 'records', from: '' },
      site,
      seq: index + 1,
      hash: '',
      prev: '',
      generation: 'g',
      at: new Date(index * 1000).toISOString(),
    } as unknown as Event
    if (event.kind === 'correction.made') Object.assign(event.data, { place: 1 + (index % 3) })
    return event
  })
}

type Move = { site: 'a' | 'b' } | { instance: number }

/** Applies instances and events in the given order; whatever is left comes at the end. */
async function play(catalogue: KnexCatalogue, logs: { a: Event[]; b: Event[] }, moves: readonly Move[]): Promise<void> {
  const done = { a: 0, b: 0 }
  const stored = new Set<number>()
  const take = async (site: 'a' | 'b') => {
    const event = logs[site][done[site]]
    if (!event) return
    done[site] += 1
    await catalogue.project(site, [event], event.seq)
  }
  const put = async (n: number) => {
    if (stored.has(n)) return
    stored.add(n)
    const options = instances[n] as DicomOptions
    await catalogue.record(described(options, { location: { segment: 1, offset: 512 * (n + 1) } }))
  }
  for (const move of moves) await ('site' in move ? take(move.site) : put(move.instance))
  for (let n = 0; n < instances.length; n++) await put(n)
  for (const site of ['a', 'b'] as const) while (done[site] < logs[site].length) await take(site)
}

async function view(catalogue: KnexCatalogue): Promise<unknown> {
  const levels = (['patient', 'study', 'series', 'instance'] as const).map(async (level) => {
    const found = await all(catalogue.find({ level, match: [], include: 'all', fuzzy: false }))
    return found.map((one) => JSON.stringify(one)).sort()
  })
  const { patients, studies, series, instances: shown } = await catalogue.totals()
  return [...(await Promise.all(levels)), { patients, studies, series, shown }]
}

for (const database of databases) {
  describe(`rejections and corrections on ${database.name}`, { skip: database.skip }, () => {
    after(() => database.stop())

    test('whatever the order in which instances and two sites events arrive, the same is shown', async () => {
      const steps = fc.array(step, { maxLength: 6 })
      const moves = fc.array(
        fc.oneof(fc.record({ site: fc.constantFrom('a' as const, 'b' as const) }), fc.record({ instance: fc.nat(8) })),
        { maxLength: 20 },
      )
      const property = fc.asyncProperty(steps, steps, moves, async (a, b, order) => {
        const logs = { a: logOf('a', a), b: logOf('b', b) }
        const views: unknown[] = []
        for (const one of [[], order]) {
          const opened = await database.open()
          try {
            await play(opened.catalogue, logs, one)
            views.push(await view(opened.catalogue))
            await opened.catalogue.project('a', logs.a, logs.a.length)
            views.push(await view(opened.catalogue))
          } finally {
            await opened.close()
          }
        }
        for (const one of views.slice(1)) assert.deepEqual(one, views[0])
      })
      await fc.assert(property, { numRuns: database.manyNodes ? 4 : 30, interruptAfterTimeLimit: 45_000 })
    })

    test('the policy decides what is shown of the rejected, also afterwards', async () => {
      const opened = await database.open()
      try {
        const { catalogue } = opened
        const [log] = [logOf('a', [{ what: 'reject', n: 0, code: '113001' }])]
        await play(catalogue, { a: log, b: [] }, [])
        const shown = async () => (await catalogue.totals()).instances
        assert.equal(await shown(), 7)
        await catalogue.corrections.setRejectionPolicy({ shownCodes: ['113001'], notesShown: false })
        assert.equal(await shown(), 9)
        await catalogue.corrections.setRejectionPolicy({ shownCodes: [], notesShown: false })
        assert.equal(await shown(), 7)
        assert.equal((await catalogue.unsealedCopies(uidsOf(0).studyUid)).length, 3, 'what is hidden is sealed too')
      } finally {
        await opened.close()
      }
    })

    test('a correction whose record is missing changes nothing until it comes', async () => {
      const opened = await database.open()
      try {
        const { catalogue } = opened
        const [event] = logOf('a', [{ what: 'study', n: 0, value: 'x' }]) as [Event & { content?: Content }]
        const { content, ...bare } = event
        assert.ok(content)
        await play(catalogue, { a: [bare], b: [] }, [])
        const descriptions = async () =>
          (await all(catalogue.find({ level: 'study', match: [], include: ['00081030'], fuzzy: false }))).map(
            (one) => one['00081030']?.Value?.[0],
          )
        assert.ok(!(await descriptions()).includes('x'))
        assert.deepEqual(await catalogue.corrections.missingRecords(10), [DIGEST])
        await catalogue.corrections.fillRecord(DIGEST, content as never)
        assert.ok((await descriptions()).includes('x'))
        assert.deepEqual(await catalogue.corrections.missingRecords(10), [])
      } finally {
        await opened.close()
      }
    })
  })
}

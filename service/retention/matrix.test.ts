import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { all } from '../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import { readBack } from '../lifecycle/read-back.ts'
import type { Officer } from './officer.ts'

const officer = (name: string, ...roles: Officer['roles'][number][]): Officer => ({ name, role: '', from: '', roles })
const anna = officer('anna', 'records')
const bert = officer('bert', 'records')
const adam = officer('adam', 'admin')

const STORES = ['one', 'two', 'three'].map((id) => ({ id, type: 'file', folder: id }))
const config = (movesHeld: boolean) => ({
  retention: {
    movesHeld,
    volumes: {
      default: {
        rules: [{ id: 'ten', class: 'any', years: 10, anchor: 'study-date', suspendOn: 'claim' }],
        houseMinimum: { years: 0, from: 'study-date' },
      },
    },
  },
  stores: STORES,
  sealing: { copies: 2 },
})

const STUDY = '1.2.3.4'
const fileOf = (studyDate: string, n: number, over: object = {}) =>
  dicomFile({ seed: `matrix/${n}`, studyUid: STUDY, patientId: 'P', studyDate, ...over })

interface Site extends OpenedSite {
  disposition: string | undefined
}

interface State {
  studyDate?: string
  movesHeld?: boolean
  prepare(site: Site): Promise<void>
}

async function nominated(site: Site): Promise<string> {
  const { disposition } = await site.retention.dispositions.nominate(STUDY, anna)
  site.disposition = disposition.id
  return disposition.id
}

async function reviewed(site: Site): Promise<string> {
  const id = await nominated(site)
  await site.retention.dispositions.review(id, true, 'R', anna)
  return id
}

async function approved(site: Site): Promise<void> {
  await site.retention.dispositions.approve(await reviewed(site), 'R', bert)
}

const hold = (site: Site) =>
  site.retention.holds.place({ studyUid: STUDY, caseReference: 'C', reason: 'R', holder: 'H' }, anna)

/** All of them after everything that persons could do was done, but for the one thing that is missing. */
const STATES: Readonly<Record<string, State>> = {
  'in retention': { studyDate: '20250101', prepare: async () => undefined },
  'expired, not listed': { prepare: async () => undefined },
  'expired, listed': { prepare: async (site) => void (await nominated(site)) },
  'expired, reviewed': { prepare: async (site) => void (await reviewed(site)) },
  'approved, then held': {
    prepare: async (site) => {
      await approved(site)
      await hold(site)
    },
  },
  'approved, then held, nothing held may move': {
    movesHeld: false,
    prepare: async (site) => {
      await approved(site)
      await hold(site)
    },
  },
  'approved, then a claim': {
    prepare: async (site) => {
      await approved(site)
      await site.retention.facts.note({ studyUid: STUDY, kind: 'claim', reason: 'R' }, anna)
    },
  },
  'approved, then rejected': {
    prepare: async (site) => {
      await approved(site)
      await site.retention.dispositions.reject(site.disposition ?? '', 'R', bert)
    },
  },
  'approved, then another instance': {
    prepare: async (site) => {
      await approved(site)
      await site.send(fileOf('20000115', 7))
      await site.sealer.seal(STUDY)
    },
  },
  'approved, a site away': {
    prepare: async (site) => {
      await approved(site)
      const { observe } = site.archive.clock
      site.archive.clock.observe = async () => ({ ...(await observe.call(site.archive.clock)), site: 'another' })
    },
  },
  'approved, the system clock set back': {
    prepare: async (site) => {
      await approved(site)
      const { observe } = site.archive.clock
      site.archive.clock.observe = async () => ({ ...(await observe.call(site.archive.clock)), systemBehind: true })
    },
  },
}

const lookAlike = (key: string, sha256: string) =>
  ({ id: 'x', key, sha256, ground: 'disposition', mintedAt: new Date().toISOString() }) as const

const packsOf = ({ archive }: Site) => archive.catalogue.packs({ limit: 100, studyUid: STUDY })

/** Every way that could free bytes here. What is refused throws; what is not is judged by what is left. */
const PATHS: Readonly<Record<string, (site: Site) => Promise<unknown>>> = {
  'destruction by the officer': ({ retention, disposition }) =>
    retention.dispositions.carryOut(disposition ?? 'none', anna),
  'destruction by the administrator': ({ retention, disposition }) =>
    retention.dispositions.carryOut(disposition ?? 'none', adam),
  'approval by the administrator, then destruction': async ({ retention, disposition }) => {
    await retention.dispositions.approve(disposition ?? 'none', 'R', adam).catch(() => undefined)
    await retention.dispositions.carryOut(disposition ?? 'none', adam)
  },
  'what is under way is gone on with': ({ retention }) => retention.resume(),
  'nightly evaluation': ({ retention }) => retention.evaluate(),
  'expiry by a rule that was made shorter': async ({ retention }) => {
    await retention.evaluate()
    await retention.resume()
  },
  'sealing and letting go of the landing': ({ sealing }) => sealing.run(),
  'clearing the landing': ({ retention, disposition }) =>
    retention.dispositions.carryOut(disposition ?? 'none', bert).catch(() => undefined),
  scrub: ({ scrubber }) => Promise.resolve(scrubber.now()),
  'drain of a store': async ({ drainer, archive }) => {
    const [pack] = await archive.catalogue.packs({ limit: 1, studyUid: STUDY })
    const store = pack?.copies[0]?.store ?? 'one'
    await drainer.start(store)
    await drainer.settled(store)
    await drainer.cancel(store)
  },
  'drain of two stores at once': async ({ drainer }) => {
    await Promise.allSettled(['one', 'two'].map((store) => drainer.start(store)))
    await Promise.all(['one', 'two'].map((store) => drainer.settled(store)))
    for (const store of ['one', 'two']) await drainer.cancel(store)
  },
  'the same instance again': ({ send }) => send(fileOf('20000115', 0)),
  'other bytes under the same UID': ({ send }) => send(fileOf('20000115', 0, { rows: 4 })),
  'a rejection note, then a purge': async ({ send, sealing, retention, drainer }) => {
    // A Key Object Selection "Rejected for Quality Reasons" (PS3.16 CID 7011) hides at the most; then all that may free.
    await send(fileOf('20000115', 90, { sopClassUid: '1.2.840.10008.5.1.4.1.1.88.59', modality: 'KO', rows: 0 }))
    await sealing.run()
    await retention.evaluate()
    await retention.resume()
    await drainer.resume()
  },
  'direct call of a store': async (site) => {
    for (const { key, sha256 } of await packsOf(site)) {
      for (const { adapter } of site.archive.stores.all) await adapter.remove(key, lookAlike(key, sha256))
    }
  },
  'direct call of the landing': async ({ archive }) => {
    const segment = 1
    await archive.landing.removeSegment(segment, lookAlike('landing/0000000001.tar', '0'.repeat(64)))
  },
  'forgetting what no disposition has committed': ({ archive, disposition }) =>
    archive.catalogue.retention.forgetDoomed(disposition ?? 'none'),
}

/** Each instance of the study is read back whole, and as many stores as wanted hold its pack, or the landing has it. */
async function assertKept({ archive }: Site, digests: readonly string[], what: string): Promise<void> {
  const kept = new Set<string>()
  for (const copy of await archive.catalogue.retention.copies(STUDY)) {
    if (!(await archive.instances.isIntact(copy))) continue
    if ('pack' in copy.location) {
      const pack = await archive.catalogue.pack(copy.location.pack)
      let whole = 0
      for (const { store } of pack?.copies ?? []) {
        if (pack && (await readBack(archive.stores.get(store), pack)).state === 'intact') whole += 1
      }
      if (whole < 2) continue
    }
    kept.add(copy.sha256)
  }
  for (const digest of digests) assert.ok(kept.has(digest), `${what}: ${digest} is not kept`)
}

describe('every path that could free bytes, in every state', () => {
  let tried = 0
  for (const [name, state] of Object.entries(STATES)) {
    test(`${name}: nothing is lost`, async (t) => {
      await withSite(tempDir('matrix'), config(state.movesHeld ?? true), async (opened) => {
        const site: Site = { ...opened, disposition: undefined }
        const date = state.studyDate ?? '20000115'
        const digests: string[] = []
        for (const n of [0, 1]) digests.push((await site.send(fileOf(date, n))).sha256)
        await site.sealer.seal(STUDY)
        await site.retention.evaluate()
        await state.prepare(site)
        const places = async () =>
          (await packsOf(site)).map(({ copies }) => copies.map(({ store }) => store).sort()).sort()
        const before = await places()
        let refused = 0
        for (const [path, act] of Object.entries(PATHS)) {
          tried += 1
          await act(site).catch(() => {
            refused += 1
          })
          await assertKept(site, digests, `${name}, ${path}`)
          const states = await all(listed(site))
          assert.ok(!states.includes('destroying') && !states.includes('certified'), `${name}, ${path}: ${states}`)
        }
        if (state.movesHeld === false) {
          for (const stores of before)
            assert.ok((await places()).some((now) => stores.every((one) => now.includes(one))))
        }
        t.diagnostic(`${Object.keys(PATHS).length} paths, ${refused} refused, 0 bypasses`)
      })
    })
  }

  test('only what was approved and still holds good is destroyed, and then the check above fails', async () => {
    await withSite(tempDir('matrix'), config(true), async (opened) => {
      const site: Site = { ...opened, disposition: undefined }
      const { sha256 } = await site.send(fileOf('20000115', 0))
      await approved(site)
      await assertKept(site, [sha256], 'before')
      await site.retention.dispositions.carryOut(site.disposition ?? '', anna)
      assert.deepEqual(await all(listed(site)), ['certified'])
      await assert.rejects(assertKept(site, [sha256], 'after'), /is not kept/)
    })
  })

  test('and all of them together', (t) => {
    const expected = Object.keys(STATES).length * Object.keys(PATHS).length
    assert.equal(tried, expected)
    t.diagnostic(
      `${Object.keys(PATHS).length} paths x ${Object.keys(STATES).length} states: ${tried} attempts, 0 bypasses`,
    )
  })
})

async function* listed({ retention }: Site): AsyncGenerator<string> {
  for (const { disposition } of await retention.dispositions.list({ studyUid: STUDY }, { limit: 100 }))
    yield disposition.state
}

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { afterEach, describe, test } from 'node:test'
import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import { MemoryStore } from '../../storage-adapters/memory/memory.ts'
import { fault } from '../../storage-adapters/wrap/fault.ts'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { all, bytesOf, inChunks, landingIn, openSite, openSqlite, SOURCE, sha256 } from '../../test/property/core.ts'
import { storesOf } from '../../test/property/stores.ts'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { EventLog } from '../events/log.ts'
import { PackReader } from '../retrieve/pack-reader.ts'
import { Copies } from './copies.ts'
import { Drainer } from './drain.ts'
import { Placement } from './placement.ts'
import { Scrubber } from './scrub.ts'
import { Sealer } from './seal.ts'

const STUDIES = 5
const file = (n: number) => dicomFile({ seed: `copies/${n}`, studyUid: `1.2.840.98.${n}` })

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function memory(id: string) {
  const store = fault(new MemoryStore({ id }))
  await store.open()
  return store
}

/** Some studies, each in a pack in `copies` of the stores; `others` are added afterwards. */
async function site(
  first: readonly StorageAdapter[],
  others: readonly StorageAdapter[] = [],
  copiesWanted = 1,
  { sealedInto = copiesWanted, bytesPerSecond = 1e12 } = {},
) {
  const dir = tempDir('copies')
  const catalogue = await openSqlite(dir)
  const events = await EventLog.open({ folder: join(dir, 'events'), site: 'test', generation: 'one' })
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const open = (stores: ReturnType<typeof storesOf>) => {
    const packs = new PackReader({ catalogue, stores, warn })
    const placement = new Placement(stores, () => catalogue.drainingStores())
    const copies = new Copies({ catalogue, stores, packs, placement, events, warn })
    const drainer = new Drainer({
      catalogue,
      stores,
      copies,
      events,
      copiesWanted,
      reports: join(dir, 'reports'),
      warn,
    })
    const scrubber = new Scrubber({ catalogue, copies, copiesWanted, periodMs: 3_600_000, bytesPerSecond, warn })
    return { packs, placement, copies, drainer, scrubber }
  }
  const before = open(storesOf(first))
  const { landing, receiver, ledger, instances } = await openSite(landingIn(dir), catalogue, { packs: before.packs })
  const sealer = new Sealer({
    catalogue,
    instances,
    describe: async () => undefined,
    placement: before.placement,
    stores: storesOf(first),
    events,
    copies: sealedInto,
    changed: () => undefined,
    warn,
  })
  for (let n = 0; n < STUDIES; n++) {
    const { studyUid } = await receiver.receive({ body: inChunks(file(n)), source: SOURCE })
    await sealer.seal(studyUid)
  }
  closing.push(async () => {
    ledger.close()
    await landing.close()
    await ledger.idle()
    await events.close()
    await catalogue.close()
  })
  const after = open(storesOf([...first, ...others]))
  const assertReadable = async () => {
    for (let n = 0; n < STUDIES; n++) {
      const record = await catalogue.byDigest(sha256(file(n)))
      assert.ok(record && 'pack' in record.location)
      const { pack, offset } = record.location
      assert.ok((await bytesOf(after.packs.read({ pack, offset }, 0, record.sizeBytes))).equals(file(n)), `study ${n}`)
    }
  }
  const kinds = async () => (await all(events.read())).map(({ kind }) => kind)
  return { catalogue, warnings, kinds, assertReadable, ...after }
}

const keysIn = async (store: StorageAdapter) => (await all(store.list({ prefix: 'packs/' }))).map(({ key }) => key)

describe('draining a store', () => {
  test('every pack has its copies elsewhere, read back, before the one here is freed', async () => {
    const [old, fresh] = [await memory('old'), await memory('fresh')]
    const { drainer, catalogue, kinds, assertReadable } = await site([old], [fresh])
    assert.deepEqual((await drainer.plan('old')).packs, STUDIES)
    await drainer.start('old')
    await drainer.settled('old')
    const report = drainer.report('old')
    assert.deepEqual(
      [report?.state, report?.moved, report?.stayed, report?.unknown],
      ['done', STUDIES, 0, 0],
      report?.reasons.join(),
    )
    assert.deepEqual(await keysIn(old), [])
    assert.equal((await keysIn(fresh)).length, STUDIES)
    assert.deepEqual(
      (await catalogue.holdings()).map(({ store }) => store),
      ['fresh'],
    )
    assert.equal((await kinds()).filter((kind) => kind === 'pack.freed').length, STUDIES)
    assert.ok((await kinds()).includes('store.drained'))
    const { rows } = await drainer.list('old').page(0, 100)
    assert.deepEqual(
      rows.map(({ key, sha256, result, to }) => `${key} ${sha256} ${result} ${to}`).sort(),
      (await catalogue.packs({ limit: 100 })).map(({ key, sha256 }) => `${key} ${sha256} moved fresh`).sort(),
    )
    assert.match(report?.listSha256 ?? '', /^[0-9a-f]{64}$/)
    await assertReadable()
  })

  test('with nowhere to go it does not begin', async () => {
    const { drainer } = await site([await memory('only')])
    await assert.rejects(drainer.start('only'), (error) => isArchiveError(error, 'invalid_request'))
    await assert.rejects(drainer.plan('other'), (error) => isArchiveError(error, 'not_found'))
  })

  test('broken off again and again, by stores that fail after they have done it too, it ends with nothing lost or left', async () => {
    const [old, fresh] = [await memory('old'), await memory('fresh')]
    const { drainer, assertReadable } = await site([old], [fresh])
    for (const store of [old, fresh]) store.faults.rates.error_before = store.faults.rates.error_after = 0.15
    for (let round = 0; round < 30; round++) {
      await drainer.start('old').catch(() => undefined)
      await drainer.settled('old')
    }
    for (const store of [old, fresh]) store.faults.heal()
    await assertReadable()
    await drainer.start('old')
    await drainer.settled('old')
    assert.deepEqual([drainer.report('old')?.stayed, drainer.report('old')?.unknown], [0, 0])
    assert.equal(drainer.report('old')?.moved, STUDIES, 'each is counted once')
    assert.deepEqual(await keysIn(old), [])
    assert.equal((await keysIn(fresh)).length, STUDIES)
    await assertReadable()
  })

  test('a new store that gives back other bytes keeps the old one from being emptied', async () => {
    const [old, liar] = [await memory('old'), await memory('liar')]
    const { drainer, assertReadable } = await site([old], [liar])
    liar.faults.rates.wrong_byte = 1
    await drainer.start('old')
    await drainer.settled('old')
    assert.equal(drainer.report('old')?.stayed, STUDIES)
    assert.equal((await keysIn(old)).length, STUDIES)
    await assertReadable()
  })
})

describe('scrubbing', () => {
  const finished = async (scrubber: Scrubber) => {
    const report = scrubber.now()
    while (report.state === 'running') await new Promise((resolve) => setTimeout(resolve, 5))
    return report
  }

  test('what is intact is noted, and not read again before its time', async () => {
    const store = await memory('one')
    const { scrubber, catalogue } = await site([store])
    await scrubber.due()
    assert.deepEqual([scrubber.report?.state, scrubber.report?.intact], ['done', 0])
    const before = new Date().toISOString()
    await finished(scrubber)
    assert.deepEqual([scrubber.report?.state, scrubber.report?.intact], ['done', STUDIES])
    assert.deepEqual(await catalogue.packsToCheck(before, 10), [])
  })

  test('a damaged copy is made good from another one, to another store', async () => {
    const [a, b, c] = [await memory('a'), await memory('b'), await memory('c')]
    const { scrubber, catalogue, kinds, assertReadable } = await site([a, b], [c], 2)
    a.faults.rates.wrong_byte = 1
    const { repaired, lost, unreadable, findings } = await finished(scrubber)
    assert.deepEqual([repaired, lost, unreadable], [STUDIES, 0, 0], findings.join())
    for (const pack of await catalogue.packs({ limit: 10 })) {
      assert.deepEqual(
        pack.copies.map(({ store }) => store),
        ['b', 'c'],
      )
    }
    assert.ok((await kinds()).includes('pack.verified'))
    await assertReadable()
  })

  test('what no store has whole is named, and stays', async () => {
    const store = await memory('one')
    const { scrubber, catalogue } = await site([store])
    store.faults.rates.wrong_byte = 1
    const report = await finished(scrubber)
    assert.deepEqual([report.state, report.lost, report.repaired], ['done', STUDIES, 0])
    assert.match(scrubber.trouble ?? '', /no store has them whole/)
    assert.equal((await catalogue.holdings())[0]?.packs, STUDIES)
  })

  test('a store that is away is no damage', async () => {
    const [a, b] = [await memory('a'), await memory('b')]
    const { scrubber, catalogue, assertReadable } = await site([a, b], [], 2)
    a.faults.rates.error_before = 1
    const report = await finished(scrubber)
    assert.deepEqual([report.unreadable, report.intact, report.lost], [STUDIES, STUDIES, 0])
    assert.equal((await catalogue.holdings()).length, 2)
    await assertReadable()
  })

  test('packs that fewer stores hold than wanted get further copies', async () => {
    const [a, b] = [await memory('a'), await memory('b')]
    const { scrubber, catalogue, assertReadable } = await site([a], [b], 2, { sealedInto: 1 })
    await scrubber.due()
    assert.equal(scrubber.report?.added, STUDIES)
    assert.deepEqual(
      (await catalogue.holdings()).map(({ store, packs }) => [store, packs]),
      [
        ['a', STUDIES],
        ['b', STUDIES],
      ],
    )
    assert.deepEqual(await catalogue.packsWithFewer(2, { after: 0, limit: 10 }), [])
    await assertReadable()
  })

  test('a repair that has nowhere to go keeps no other pack from being looked at, and is made up for later', async () => {
    const [a, b, c] = [await memory('a'), await memory('b'), await memory('c')]
    const { scrubber, catalogue, assertReadable } = await site([a, b], [c], 2)
    a.faults.rates.wrong_byte = 1
    for (const store of [a, c]) store.faults.rates.error_before = 0
    c.faults.rates.full = 1
    a.faults.rates.full = 1
    const report = await finished(scrubber)
    assert.deepEqual([report.state, report.lost], ['done', 0], report.findings.join())
    await assertReadable()
    for (const store of [a, c]) store.faults.heal()
    await scrubber.due()
    assert.deepEqual(await catalogue.packsWithFewer(2, { after: 0, limit: 10 }), [])
    await assertReadable()
  })

  test('a stop does not wait for the pause between two packs', async () => {
    const { scrubber, catalogue } = await site([await memory('one')], [], 1, { bytesPerSecond: 1 })
    const before = await catalogue.packs({ limit: 10 })
    const old = new Date(Date.now() - 7_200_000).toISOString()
    for (const pack of before)
      await catalogue.addPack({ ...pack, instances: [], copies: [{ store: 'one', verifiedAt: old }] })
    const run = scrubber.due()
    while (scrubber.report?.intact === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await scrubber.stop()
    await run
    assert.deepEqual([scrubber.report?.state, scrubber.report?.intact], ['stopped', 1])
  })
})

describe('reading from packs', () => {
  test('a pack that is moved while it is read is read on where it is now', async () => {
    const [old, fresh] = [await memory('old'), await memory('fresh')]
    const { packs, copies, catalogue } = await site([old], [fresh])
    const pack = await catalogue.pack(1)
    assert.ok(pack)
    // The reader knows where it is; then it goes, and only the catalogue learns of it.
    const all = await bytesOf(packs.read({ pack: 1, offset: 0 }, 0, pack.sizeBytes))
    const forget = packs.forget.bind(packs)
    packs.forget = () => undefined
    await copies.add(pack, new Set())
    await copies.free(pack, 'old', 1, 'a test')
    packs.forget = forget
    assert.ok((await bytesOf(packs.read({ pack: 1, offset: 0 }, 0, pack.sizeBytes))).equals(all))
  })
})

/** What a node does when a store has a bad day: a defined answer, an alarm that says what to do, and a return by itself. */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, mock, test } from 'node:test'
import { dicomFile } from '../../../test/fixtures/dicom.ts'
import { BadStores } from '../../../test/property/bad-stores.ts'
import { all, bytesOf, sha256 } from '../../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../../test/property/site.ts'
import { tempDir } from '../../../test/support/host.ts'
import { isArchiveError } from '../../errors.ts'

const ONE = { id: 'one', type: 'file', folder: 'one' }
const TWO = { id: 'two', type: 'file', folder: 'two' }
const file = (n: number) => dicomFile({ seed: `bad-days/${n}`, studyUid: `1.2.840.96.${n}` })

/** As if so much time had passed: pauses end, and what was measured is old. */
function later(ms = 120_000): void {
  const at = performance.now() + ms
  mock.method(performance, 'now', () => at)
}

async function seal({ send, sealer }: OpenedSite, n: number) {
  const { studyUid } = await send(file(n))
  return (await sealer.seal(studyUid)).packs[0]?.stores
}

const alarms = ({ tiering }: OpenedSite) => tiering.watch.alarms.map(({ subject, alarm }) => `${subject}: ${alarm}`)
const detail = ({ tiering }: OpenedSite, alarm: string) =>
  tiering.watch.alarms.find((one) => one.alarm === alarm)?.detail ?? ''
const told = async ({ archive }: OpenedSite) =>
  (await all(archive.events.read()))
    .filter(({ kind }) => kind === 'store.alarm')
    .map(({ data, subject }) => `${subject.store ?? subject.tier} ${data.alarm} ${data.raised}`)

async function readable({ archive }: OpenedSite, n: number): Promise<boolean> {
  const record = await archive.catalogue.byDigest(sha256(file(n)))
  assert.ok(record)
  return bytesOf(archive.instances.open(record).bytes()).then(
    (bytes) => bytes.equals(file(n)),
    () => false,
  )
}

/** Sealed, and the landing has let go of them: only packs have them from here on. */
async function sealedOnly(dataDir: string, settings: Record<string, unknown>, ns: readonly number[]): Promise<void> {
  await withSite(dataDir, settings, async (site) => {
    for (const n of ns) await seal(site, n)
  })
  await withSite(dataDir, settings, async (site) => {
    await site.sealing.run()
    for (const n of ns) {
      const record = await site.archive.catalogue.byDigest(sha256(file(n)))
      assert.ok(record && 'pack' in record.location && !record.location.landed)
    }
  })
}

describe('a store on a bad day', () => {
  afterEach(() => mock.restoreAll())

  test('that is full gets nothing, others do; where none is left new instances are refused, old ones answered', async () => {
    const room = 4_800_000
    const stores = new BadStores({ one: room, two: room })
    const settings = { stores: [ONE, TWO], tiers: { online: { reservePercent: 88 } }, build: stores.build }
    await withSite(tempDir('bad'), settings, async (site) => {
      const { watch } = site.tiering
      await watch.look()
      assert.deepEqual(alarms(site), [])
      const big = (n: number) => dicomFile({ seed: `big/${n}`, studyUid: `1.2.840.95.${n}`, rows: 512, columns: 512 })
      const first = await site.send(big(0))
      for (let n = 0; n < 2; n++) {
        await site.sealer.seal((await site.send(big(n))).studyUid)
        later(60_000)
      }
      later(600_000)
      await watch.look()
      assert.deepEqual(
        alarms(site).filter((one) => one.endsWith('reserve')),
        ['store one: reserve', 'store two: reserve'],
      )
      assert.match(detail(site, 'reserve'), /^store one has come to its reserve .* give it room, or add a store/)
      await assert.rejects(site.send(file(9)), (error) => isArchiveError(error, 'out_of_space'))
      assert.match(site.tiering.troubles.join(), /nothing new is taken in: tier online .*\(one, two\)/)
      // What is there already is answered; its damage would be healed.
      assert.equal((await site.send(big(0))).outcome, 'duplicate')
      assert.equal((await site.send(big(0))).sha256, first.sha256)
      // Another store, added while the node runs, brings it back.
      await site.tiering.admin.add({ id: 'three', type: 'file', folder: 'three' }, { name: '', role: '', from: '' })
      later(700_000)
      await watch.look()
      assert.equal(watch.refusal, undefined)
      assert.equal((await site.send(file(9))).outcome, 'stored')
      assert.deepEqual(site.tiering.troubles, [])
    })
  })

  test('that is read-only is read from, gets nothing, and gets packs again when it takes them', async () => {
    const stores = new BadStores()
    const dataDir = tempDir('bad')
    const settings = { stores: [ONE], build: stores.build }
    await sealedOnly(dataDir, settings, [0])
    await withSite(dataDir, settings, async (site) => {
      stores.faults('one').inject('error_before', { operation: 'put', code: 'permission_denied', times: 1000 })
      await assert.rejects(seal(site, 1), /no store can take the pack/)
      assert.ok(await readable(site, 0))
      assert.ok(await readable(site, 1), 'the landing keeps it')
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), ['store one: takes_nothing'])
      assert.match(detail(site, 'takes_nothing'), /^store one takes nothing: .* not mounted read-only/)
      assert.match(site.tiering.troubles.join(), /store one/)
      stores.faults('one').heal()
      later()
      assert.deepEqual(await seal(site, 1), ['one'])
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), [])
      assert.deepEqual(await told(site), ['one takes_nothing true', 'one takes_nothing false'])
    })
  })

  test('that says it is full although it has room is passed over for a while', async () => {
    const stores = new BadStores()
    await withSite(tempDir('bad'), { stores: [ONE, TWO], build: stores.build }, async (site) => {
      stores.faults('one').rates.full = 1
      for (let n = 0; n < 4; n++) assert.deepEqual(await seal(site, n), ['two'])
      await site.tiering.watch.look()
      assert.match(detail(site, 'takes_nothing'), /^store one takes nothing: it is full: add room/)
      stores.faults('one').heal()
      later()
      assert.deepEqual(await seal(site, 5), ['one'])
    })
  })

  test('that flaps is isolated and not hammered at; nothing is lost, and it comes back by itself', async () => {
    const stores = new BadStores()
    const dataDir = tempDir('bad')
    const settings = { stores: [ONE], build: stores.build }
    await sealedOnly(dataDir, settings, [0])
    await withSite(dataDir, settings, async (site) => {
      stores.faults('one').flap(1, 3)
      for (let n = 1; n < 4; n++) await seal(site, n).catch(() => undefined)
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), ['store one: unusable'])
      assert.match(detail(site, 'unusable'), /^store one can't be used: .*see to the machine .*by itself/)
      let calls = 0
      stores.faults('one').isDown = () => {
        calls += 1
        return true
      }
      for (let n = 0; n < 20; n++) await site.tiering.watch.look()
      assert.ok(calls <= 2, `${calls} calls while it is isolated`)
      // New instances are taken all the same.
      assert.equal((await site.send(file(4))).outcome, 'stored')
      Reflect.deleteProperty(stores.faults('one'), 'isDown')
      stores.faults('one').heal()
      later(600_000)
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), [])
      for (let n = 1; n <= 4; n++) await seal(site, n)
      for (let n = 0; n <= 4; n++) assert.ok(await readable(site, n))
    })
  })

  test('that fails after it has stored has stored once, and is believed when it was read back', async () => {
    const stores = new BadStores()
    await withSite(tempDir('bad'), { stores: [ONE, TWO], build: stores.build }, async (site) => {
      for (const id of ['one', 'two']) stores.faults(id).inject('error_after', { operation: 'put', times: 1 })
      for (let n = 0; n < 3; n++) await seal(site, n)
      const held = (await site.archive.catalogue.holdings()).reduce((sum, { packs }) => sum + packs, 0)
      assert.equal(held, 3)
      assert.equal((await stores.keys('one')).length + (await stores.keys('two')).length, 3)
    })
  })

  test('that breaks off in the middle of a body, or gives other bytes, is passed over and another one is read', async () => {
    const stores = new BadStores()
    const settings = { stores: [ONE, TWO], sealing: { copies: 2 }, build: stores.build }
    const dataDir = tempDir('bad')
    await sealedOnly(dataDir, settings, [0])
    await withSite(dataDir, settings, async (site) => {
      stores.faults('one').inject('broken_body', { times: 100 })
      assert.ok(await readable(site, 0))
      stores.faults('one').heal()
      later(600_000)
      // What it would give back wrong isn't counted as a copy.
      stores.faults('two').rates.wrong_byte = 1
      await assert.rejects(seal(site, 1), /no store can take the pack/)
      assert.ok(await readable(site, 1))
      stores.faults('two').heal()
      assert.deepEqual((await seal(site, 1))?.sort(), ['one', 'two'])
    })
  })

  test('whose lists are late or whose sizes are wrong: what is moved off it arrives, or stays where it is', async () => {
    const stores = new BadStores()
    const slow = { ...TWO, tier: 'nearline' }
    const settings = { stores: [ONE, slow], moves: { rules: [{ to: 'nearline' }] }, build: stores.build }
    await withSite(tempDir('bad'), settings, async (site) => {
      for (let n = 0; n < 3; n++) await seal(site, n)
      for (const id of ['one', 'two']) stores.faults(id).rates.list_late = 1
      stores.faults('two').rates.stale_size = 1
      await site.tiering.mover.run()
      assert.equal((await stores.keys('one')).length, 3, 'a size that is wrong is no copy')
      stores.faults('two').rates.stale_size = 0
      await site.archive.catalogue.tiers.lookAgain({ from: 1, to: 3 })
      site.tiering.mover.begin()
      await site.tiering.mover.run()
      assert.deepEqual([(await stores.keys('one')).length, (await stores.keys('two')).length], [0, 3])
    })
  })

  test('that is gone when the node starts keeps nobody from starting, and is used as soon as it is there', async () => {
    const dataDir = tempDir('bad')
    await sealedOnly(dataDir, { stores: [ONE] }, [0])
    renameSync(join(dataDir, 'one'), join(dataDir, 'away'))
    await withSite(dataDir, { stores: [ONE] }, async (site) => {
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), ['store one: unusable'])
      assert.match(detail(site, 'unusable'), /^store one can't be used: /)
      assert.equal(await readable(site, 0), false)
      assert.equal((await site.send(file(1))).outcome, 'stored')
      await assert.rejects(seal(site, 1))
      renameSync(join(dataDir, 'away'), join(dataDir, 'one'))
      later()
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), [])
      assert.ok(await readable(site, 0))
      assert.deepEqual(await seal(site, 1), ['one'])
    })
  })

  test('in whose place another or an emptied disk is mounted is refused, and named, until the right one is back', async () => {
    const dataDir = tempDir('bad')
    const path = join(dataDir, 'one')
    await sealedOnly(dataDir, { stores: [ONE] }, [0])
    renameSync(path, join(dataDir, 'right'))
    mkdirSync(path)
    await withSite(dataDir, { stores: [ONE] }, async (site) => {
      await site.tiering.watch.look()
      assert.match(detail(site, 'unusable'), /^store one .*the right disk .* do not let Firn make a new one/)
      await site.send(file(1))
      await assert.rejects(seal(site, 1))
      later()
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), ['store one: unusable'], 'one alarm for as long as it lasts')
      rmSync(path, { recursive: true })
      renameSync(join(dataDir, 'right'), path)
      later(240_000)
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), [])
      assert.ok(await readable(site, 0))
      assert.deepEqual(await told(site), ['one unusable true', 'one unusable false'])
    })
  })

  test('that was taken out of the configuration with packs in it is missed, by name', async () => {
    const dataDir = tempDir('bad')
    await withSite(dataDir, { stores: [ONE] }, async (site) => seal(site, 0))
    await withSite(dataDir, { stores: [TWO] }, async (site) => {
      await site.tiering.watch.look()
      assert.match(detail(site, 'missing'), /^store one holds 1 packs and is not configured: put it back/)
    })
    await withSite(dataDir, { stores: [ONE, TWO] }, async (site) => {
      // Known from before the restart, and not raised twice.
      await site.tiering.watch.look()
      assert.deepEqual(alarms(site), [])
      assert.deepEqual(await told(site), ['one missing true', 'one missing false'])
    })
  })
})

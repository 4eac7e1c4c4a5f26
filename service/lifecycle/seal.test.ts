import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, test } from 'node:test'
import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import { mintPermit } from '../../storage-adapters/contract/permit-mint.ts'
import { MemoryStore } from '../../storage-adapters/memory/memory.ts'
import { fault } from '../../storage-adapters/wrap/fault.ts'
import { type DicomOptions, dicomFile } from '../../test/fixtures/dicom.ts'
import { all, bytesOf, inChunks, landingIn, openSite, openSqlite, SOURCE } from '../../test/property/core.ts'
import { unheld } from '../../test/property/facts.ts'
import { storesOf } from '../../test/property/stores.ts'
import { tempDir } from '../../test/support/host.ts'
import type { PackLocation } from '../catalogue/ports.ts'
import { EventLog } from '../events/log.ts'
import { replayPacks } from '../ingest/replay-packs.ts'
import { segmentPath } from '../landing/files.ts'
import { RecordDescriber } from '../retrieve/describe-record.ts'
import { StoredInstances } from '../retrieve/open-instance.ts'
import { PackReader } from '../retrieve/pack-reader.ts'
import { Placement } from './placement.ts'
import { Retirer } from './retire.ts'
import { Sealer } from './seal.ts'

const STUDY = '1.2.840.99.1'
const LATER = '9999-01-01T00:00:00.000Z'
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const slice = (n: number, over: DicomOptions = {}) =>
  dicomFile({ seed: `seal/${n}`, studyUid: STUDY, seriesUid: `${STUDY}.1`, sopInstanceUid: `${STUDY}.1.${n}`, ...over })

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function site(adapters: readonly StorageAdapter[], { copies = 1, away = new Map<string, string>() } = {}) {
  const dir = tempDir('seal')
  const catalogue = await openSqlite(dir)
  const stores = storesOf(adapters, away)
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const packs = new PackReader({ catalogue, stores, warn })
  const { landing, receiver, ledger, instances } = await openSite(landingIn(dir), catalogue, {
    lanes: 1,
    segmentBytes: 1,
    packs,
  })
  const events = await EventLog.open({ folder: join(dir, 'events'), site: 'test', generation: 'one' })
  const describer = new RecordDescriber(instances, 1024 * 1024)
  const sealer = new Sealer({
    catalogue,
    instances,
    describe: (record) => describer.describe(record, 'bulkdata').catch(() => undefined),
    placement: new Placement(stores),
    stores,
    events,
    copies,
    changed: (pack) => packs.forget(pack),
    warn,
  })
  const retirer = new Retirer({
    catalogue,
    landing,
    stores,
    events,
    facts: unheld,
    tiers: { copiesOf: () => copies },
    keepMs: 0,
    warn,
  })
  closing.push(async () => {
    ledger.close()
    await describer.close()
    await landing.close()
    await ledger.idle()
    await events.close()
    await catalogue.close()
  })
  const send = (file: Buffer) => receiver.receive({ body: inChunks(file), source: SOURCE })
  const bytes = async (digest: string): Promise<Buffer> => {
    const record = await catalogue.byDigest(digest)
    assert.ok(record)
    return bytesOf(instances.read(record.location, 0, record.sizeBytes))
  }
  return { catalogue, landing, stores, events, sealer, retirer, warnings, send, bytes }
}

async function memory(id: string): Promise<MemoryStore> {
  const store = new MemoryStore({ id })
  await store.open()
  return store
}

const keysOf = async (store: StorageAdapter) => (await all(store.list({ prefix: 'packs/' }))).map(({ key }) => key)

describe('sealing a study', () => {
  test('every copy goes into a pack, is read from it, and the landing lets go of its segments', async () => {
    const store = await memory('one')
    const { catalogue, landing, events, sealer, retirer, send, bytes } = await site([store])
    const files = [slice(1), slice(2), slice(2, { studyDescription: 'edited' }), slice(3)]
    for (const file of files) await send(file)
    assert.deepEqual(await all(catalogue.unsealedStudies(LATER)), [STUDY])
    const { packs, leftOut } = await sealer.seal(STUDY)
    assert.deepEqual(leftOut, [])
    assert.deepEqual(
      packs.map(({ instances, stores }) => ({ instances, stores })),
      [{ instances: 4, stores: ['one'] }],
    )
    assert.deepEqual(await all(catalogue.unsealedStudies(LATER)), [])
    assert.equal(await retirer.run(Date.now() + 1000), 4)
    for (const segment of [1, 2, 3, 4]) assert.ok(!existsSync(segmentPath(landing.folder, segment)))
    for (const file of files) assert.ok((await bytes(sha256(file))).equals(file))
    assert.deepEqual(await sealer.seal(STUDY), { packs: [], leftOut: [] })
    const kinds = (await all(events.read())).map(({ kind }) => kind)
    assert.deepEqual(kinds, ['pack.sealed', 'pack.placed', ...Array(4).fill('landing.freed')])
  })

  test('what comes late makes a further pack; what is sealed already is a duplicate and nothing is stored', async () => {
    const store = await memory('one')
    const { catalogue, sealer, retirer, send, bytes } = await site([store])
    await send(slice(1))
    await sealer.seal(STUDY)
    await retirer.run(Date.now() + 1000)
    assert.equal((await send(slice(1))).outcome, 'duplicate')
    assert.equal((await send(slice(2))).outcome, 'stored')
    assert.deepEqual(await all(catalogue.unsealedStudies(LATER)), [STUDY])
    assert.equal((await sealer.seal(STUDY)).packs[0]?.instances, 1)
    assert.equal((await keysOf(store)).length, 2)
    for (const n of [1, 2]) assert.ok((await bytes(sha256(slice(n)))).equals(slice(n)))
  })

  test('a segment stays while anything in it is in no pack', async () => {
    const store = await memory('one')
    const { landing, sealer, retirer, send, warnings } = await site([store])
    await send(slice(1))
    await send(slice(2))
    // A byte of the first instance changes on the disk.
    writeSync(openSync(segmentPath(landing.folder, 1), 'r+'), Buffer.from([0xff]), 0, 1, 2048 + 700)
    const { packs, leftOut } = await sealer.seal(STUDY)
    assert.deepEqual(leftOut, [sha256(slice(1))])
    assert.equal(packs[0]?.instances, 1)
    assert.equal(await retirer.run(Date.now() + 1000), 1)
    assert.ok(existsSync(segmentPath(landing.folder, 1)))
    assert.ok(warnings.includes('a damaged instance is left out of its pack'))
    // The same instance comes again and heals; then it is sealed, and only the damaged segment remains to be let go.
    await send(slice(1))
    assert.equal((await sealer.seal(STUDY)).packs[0]?.instances, 1)
    assert.equal(await retirer.run(Date.now() + 1000), 2)
  })

  test('a store that gives back other bytes, or fails, is passed over; with no other the study stays as it was', async () => {
    const [good, liar] = [await memory('good'), fault(await memory('liar'))]
    const one = await site([liar, good])
    await one.send(slice(1))
    liar.faults.inject('wrong_byte', { operation: 'get' })
    liar.faults.rates.wrong_byte = 1
    assert.deepEqual((await one.sealer.seal(STUDY)).packs[0]?.stores, ['good'])
    const two = await site([liar])
    await two.send(slice(1))
    await assert.rejects(two.sealer.seal(STUDY), /no store can take the pack/)
    assert.deepEqual(await all(two.catalogue.unsealedStudies(LATER)), [STUDY])
    assert.equal(await two.retirer.run(Date.now() + 1000), 0)
    assert.ok((await two.bytes(sha256(slice(1)))).equals(slice(1)))
  })

  test('as many stores as wanted hold a pack before its segments go, and one of them may die', async () => {
    const [a, b] = [await memory('a'), await memory('b')]
    const away = new Map([['b', 'unplugged']])
    const { catalogue, sealer, retirer, send, bytes } = await site([a, b], { copies: 2, away })
    await send(slice(1))
    await assert.rejects(sealer.seal(STUDY), /b: unplugged/)
    away.clear()
    const [pack] = (await sealer.seal(STUDY)).packs
    assert.deepEqual(pack?.stores.sort(), ['a', 'b'])
    assert.equal(await retirer.run(Date.now() + 1000), 1)
    const key = pack?.key as string
    await a.remove(
      key,
      mintPermit({ key, sha256: (await catalogue.pack(1))?.sha256 as string, ground: 'disposition' }, new Date()),
    )
    assert.ok((await bytes(sha256(slice(1)))).equals(slice(1)))
  })

  test('two at once are one, and the same study sealed twice after a crash makes the same pack', async () => {
    const store = await memory('one')
    const { catalogue, sealer, send } = await site([store])
    await send(slice(1))
    const addPack = catalogue.addPack.bind(catalogue)
    catalogue.addPack = () => Promise.reject(new Error('killed before it was recorded'))
    await assert.rejects(sealer.seal(STUDY), /killed/)
    assert.equal((await keysOf(store)).length, 1)
    catalogue.addPack = addPack
    const [first, second] = await Promise.all([sealer.seal(STUDY), sealer.seal(STUDY)])
    assert.deepEqual(first, second)
    assert.equal(first.packs.length, 1)
    assert.equal((await keysOf(store)).length, 1)
  })

  test('a catalogue that was lost is made anew from the stores', async () => {
    const store = await memory('one')
    const { catalogue, stores, sealer, retirer, send } = await site([store])
    const files = [slice(1), slice(2), slice(2, { studyDescription: 'edited' })]
    for (const file of files) await send(file)
    const before = await all(catalogue.find({ level: 'instance', match: [], include: 'all', fuzzy: false }))
    await sealer.seal(STUDY)
    await retirer.run(Date.now() + 1000)
    const fresh = await openSqlite(tempDir('seal-rebuilt'))
    closing.push(() => fresh.close())
    const report = await replayPacks({ stores, catalogue: fresh, warn: () => undefined })
    assert.deepEqual(report, { packs: 1, instances: 3, damaged: 0, unreadable: [] })
    assert.deepEqual(await all(fresh.find({ level: 'instance', match: [], include: 'all', fuzzy: false })), before)
    const instances = new StoredInstances({
      landing: { read: () => assert.fail('the landing is empty') },
      packs: new PackReader({ catalogue: fresh, stores, warn: () => undefined }),
    })
    for (const file of files) {
      const record = await fresh.byDigest(sha256(file))
      assert.ok(record)
      assert.equal((record.location as PackLocation).pack, 1)
      assert.ok((await bytesOf(instances.read(record.location, 0, record.sizeBytes))).equals(file))
    }
    assert.equal((await fresh.conflicts(10)).length, 1)
  })
})

import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { Association } from '../support/dimse.ts'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize, uidsOf } from '../support/instances.ts'
import { PairOfSites, siteCommand, siteStatus, tokenFor } from '../support/pair-of-sites.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { first, get, instancePath, json, retrieve, search, stow } from '../support/web.ts'

const random = new Random(newSeed())

const make = (count: number, sizeBytes = 60_000): Instance[] => {
  const studyUid = random.uid()
  return Array.from({ length: count }, () => instanceOfSize(random, sizeBytes, { studyUid }))
}

async function sendTo(firn: Firn, instances: readonly Instance[]): Promise<string | null> {
  const answer = await stow(
    firn.dicomWeb,
    instances.map(({ file }) => file),
  )
  assert.equal(answer.status, 200, answer.bytes.toString())
  return answer.headers.get('firn-durability')
}

async function assertServed(firn: Firn, instances: readonly Instance[]): Promise<void> {
  for (const instance of instances) {
    const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
    assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
  }
  for (const studyUid of new Set(instances.map((one) => one.studyUid))) {
    const [study] = await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyUid}`)
    const expected = instances.filter((one) => one.studyUid === studyUid).length
    assert.equal(Number(first(study, '00201208')), expected)
  }
}

describe(`two sites (seed ${random.seed})`, () => {
  let pair: PairOfSites
  const sent: Instance[] = []

  before(async () => {
    pair = await PairOfSites.start()
  })
  after(() => pair.kill())

  it('hold both what either acknowledges, small and large, by STOW and by C-STORE', async () => {
    const toA = [...make(6), ...make(1, 9_000_000)]
    assert.equal(await sendTo(pair.a, toA), 'both')
    await assertServed(pair.b, toA)
    const toB = make(3)
    assert.equal(await sendTo(pair.b, toB), 'both')
    await assertServed(pair.a, toB)
    const [byDimse] = make(1) as [Instance]
    const association = await Association.open(pair.b.dimsePort, [
      { sopClassUid: byDimse.sopClassUid, transferSyntaxUids: [byDimse.transferSyntaxUid] },
    ])
    const { sopClassUid, sopInstanceUid, transferSyntaxUid, dataSet } = byDimse
    assert.equal(await association.store(sopClassUid, sopInstanceUid, transferSyntaxUid, dataSet), 0)
    await association.release()
    const [bytesA] = await retrieve(pair.a.dicomWeb, instancePath(byDimse))
    const [bytesB] = await retrieve(pair.b.dicomWeb, instancePath(byDimse))
    assert.ok(bytesA && bytesB?.equals(bytesA))
    sent.push(...toA, ...toB)
  })

  it('take the same instance at both sites at once, and agree on one of two under a UID', async () => {
    const same = make(8)
    const [byA, byB] = await Promise.all([sendTo(pair.a, same), sendTo(pair.b, same)])
    assert.deepEqual([byA, byB], ['both', 'both'])
    await assertServed(pair.a, same)
    await assertServed(pair.b, same)
    sent.push(...same)
    const ones = make(6)
    const others = ones.map((one) => instanceOfSize(random, 50_000, uidsOf(one)))
    await Promise.all([
      stow(
        pair.a.dicomWeb,
        ones.map(({ file }) => file),
      ),
      stow(
        pair.b.dicomWeb,
        others.map(({ file }) => file),
      ),
    ])
    await pair.inSync()
    for (const [index, one] of ones.entries()) {
      const [atA] = await retrieve(pair.a.dicomWeb, instancePath(one))
      const [atB] = await retrieve(pair.b.dicomWeb, instancePath(one))
      assert.ok(atA?.equals(one.file) || atA?.equals((others[index] as Instance).file))
      assert.ok(atB?.equals(atA as Buffer), 'both sites serve the same of the two')
    }
    for (const firn of [pair.a, pair.b]) {
      const { conflicts } = json<{ conflicts: unknown[] }>(
        await get(`${firn.url}/api/v1/conflicts`, 'application/json'),
      )
      assert.equal(conflicts.length, ones.length)
    }
  })

  it('one goes on alone when the other is killed, and sends it just what it missed', async () => {
    await pair.b.kill()
    const alone = make(9)
    assert.equal(await sendTo(pair.a, alone), 'local')
    await until('A to notice', async () => (await siteStatus(pair.a)).state === 'away')
    assert.equal((await siteCommand(pair.a, undefined, 'status')).code, 1)
    await assertServed(pair.a, alone)
    await pair.b.start()
    await pair.inSync()
    await assertServed(pair.b, alone)
    assert.ok((await siteStatus(pair.a)).resync.sent <= alone.length)
    assert.equal((await siteCommand(pair.a, undefined, 'status')).code, 0)
    sent.push(...alone)
  })

  it('is never called in sync with another disk in place of the lost one; two persons remove it, an empty one is filled', async () => {
    await pair.b.kill()
    rmSync(pair.b.dataDir, { recursive: true })
    await pair.b.start()
    await until('A to see that it is another one', async () => (await siteStatus(pair.a)).state === 'refused')
    const more = make(2)
    assert.equal(await sendTo(pair.a, more), 'local')
    sent.push(...more)
    await pair.b.kill()
    const [ann, bob] = [await tokenFor(pair.a, 'ann', 'admin'), await tokenFor(pair.a, 'bob', 'admin')]
    const nobody = await siteCommand(pair.a, undefined, 'remove', '--reason', 'burnt down')
    assert.equal(nobody.code, 3)
    assert.match(nobody.stderr, /two persons/)
    assert.equal((await siteCommand(pair.a, ann, 'remove', '--reason', 'burnt down')).code, 0)
    assert.match((await siteCommand(pair.a, ann, 'approve')).stderr, /another person/)
    assert.equal((await siteCommand(pair.a, bob, 'approve')).code, 0)
    rmSync(pair.b.dataDir, { recursive: true })
    await pair.b.start()
    await pair.inSync()
    await assertServed(pair.b, sent)
  })

  it('that went back to an earlier state serves nothing before it has rejoined, and loses nothing', async () => {
    const old = tempDir('old')
    assert.equal((await pair.b.stop()).code, 0)
    cpSync(pair.b.dataDir, old, { recursive: true })
    await pair.b.start()
    await pair.inSync()
    const later = make(4)
    assert.equal(await sendTo(pair.b, later), 'both')
    await pair.a.kill()
    const lost = make(2)
    assert.equal(await sendTo(pair.b, lost), 'local')
    await pair.a.start()
    await pair.inSync()
    await pair.b.kill()
    rmSync(pair.b.dataDir, { recursive: true })
    cpSync(old, pair.b.dataDir, { recursive: true })
    await pair.b.start()
    await pair.inSync()
    await assertServed(pair.b, [...sent, ...later, ...lost])
    const { stdout } = await firnCommand(['events', 'list', '--data', pair.b.dataDir])
    assert.match(stdout, /site\.rejoined/)
    for (const firn of [pair.a, pair.b]) {
      assert.equal((await firnCommand(['events', 'verify', '--data', firn.dataDir])).code, 0)
    }
    sent.push(...later, ...lost)
  })
})

describe(`two sites with different pasts (seed ${random.seed})`, () => {
  it('hold the union when they are paired for the first time', async () => {
    const dataDirs = { a: tempDir('past-a'), b: tempDir('past-b') }
    const [ofA, ofB] = [make(5), make(7)]
    for (const [dataDir, instances] of [
      [dataDirs.a, ofA],
      [dataDirs.b, ofB],
    ] as const) {
      const alone = await Firn.start({ dataDir })
      assert.equal(await sendTo(alone, instances), 'local')
      assert.equal((await alone.stop()).code, 0)
    }
    const pair = await PairOfSites.start({ dataDirs })
    try {
      for (const firn of [pair.a, pair.b]) await assertServed(firn, [...ofA, ...ofB])
    } finally {
      await pair.kill()
    }
  })
})

describe('a source that wants both sites', () => {
  it('is refused while the other site is away, and served again when it is back', async () => {
    const pair = await PairOfSites.start({ peer: { policy: 'strict' } })
    try {
      const instances = make(3)
      await pair.b.kill()
      await until('A to notice', async () => (await siteStatus(pair.a)).state === 'away')
      const files = instances.map(({ file }) => file)
      const refused = await stow(pair.a.dicomWeb, files)
      assert.equal(refused.status, 503)
      await pair.b.start()
      await pair.inSync()
      assert.equal(await sendTo(pair.a, instances), 'both')
      await assertServed(pair.b, instances)
    } finally {
      await pair.kill()
    }
  })
})

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Firn } from '../support/firn.ts'
import { freePort } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { Line } from '../support/line.ts'
import { PairOfSites, siteStatus } from '../support/pair-of-sites.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const TIMEOUT_MS = 2000
/** What a loaded machine may add to any answer. */
const SLACK_MS = 4000

interface Sent {
  instances: Instance[]
  durability: string | null
  ms: number
}

async function sendTo(firn: Firn, sizesBytes: readonly number[]): Promise<Sent> {
  const studyUid = random.uid()
  const instances = sizesBytes.map((size) => instanceOfSize(random, size, { studyUid }))
  const began = performance.now()
  const { status, headers, bytes } = await stow(
    firn.dicomWeb,
    instances.map(({ file }) => file),
  )
  assert.equal(status, 200, bytes.toString())
  sent.push(...instances)
  return { instances, durability: headers.get('firn-durability'), ms: performance.now() - began }
}

const sent: Instance[] = []

async function assertHolds(firn: Firn, instances: readonly Instance[]): Promise<void> {
  for (const instance of instances) {
    const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
    assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
  }
}

const toBeAway = (firn: Firn) =>
  until('the other site to be noticed as away', async () => (await siteStatus(firn)).state === 'away', 20_000)

describe(`bad days of the line between two sites (seed ${random.seed})`, () => {
  let pair: PairOfSites
  let toA: Line
  let toB: Line

  before(async () => {
    const ports = { a: await freePort(), b: await freePort() }
    toA = await Line.to(ports.a)
    toB = await Line.to(ports.b)
    const peer = { timeoutSeconds: TIMEOUT_MS / 1000 }
    const ways = { wayToA: `http://127.0.0.1:${toA.port}`, wayToB: `http://127.0.0.1:${toB.port}` }
    pair = await PairOfSites.start({ ports, peer, ...ways })
  })
  after(async () => {
    await pair.kill()
    toA.stop()
    toB.stop()
  })

  /** Whatever the day was like, afterwards both sites become equal by themselves. */
  afterEach(async () => {
    toA.set('fine')
    toB.set('fine')
    await pair.inSync()
    for (const firn of [pair.a, pair.b]) {
      await assertHolds(firn, sent)
      const { conflicts } = json<{ conflicts: unknown[] }>(
        await get(`${firn.url}/api/v1/conflicts`, 'application/json'),
      )
      assert.deepEqual(conflicts, [])
    }
  })

  it('a site that hangs without closing keeps a sender waiting once, and no longer than the timeout', async () => {
    for (const line of [toA, toB]) line.set({ held: 'both' })
    const first = await sendTo(pair.a, [60_000, 60_000, 3_000_000])
    assert.equal(first.durability, 'local')
    assert.ok(first.ms < TIMEOUT_MS + SLACK_MS, `${first.ms} ms`)
    await Promise.all([toBeAway(pair.a), toBeAway(pair.b)])
    for (const firn of [pair.a, pair.b]) {
      const { durability, ms, instances } = await sendTo(firn, [60_000, 60_000])
      assert.equal(durability, 'local')
      assert.ok(ms < TIMEOUT_MS, `nobody waits for a site that is known to be away: ${ms} ms`)
      await assertHolds(firn, instances)
    }
  })

  it('packets that are lost in one direction alone part the sites in both, and both go on', async () => {
    // What A sends to B is lost: its requests to B, and its answers to B.
    toB.set({ held: 'requests' })
    toA.set({ held: 'answers' })
    const both = await Promise.all([sendTo(pair.a, [60_000, 900_000]), sendTo(pair.b, [60_000, 900_000])])
    for (const { durability, ms } of both) {
      assert.equal(durability, 'local')
      assert.ok(ms < TIMEOUT_MS + SLACK_MS, `${ms} ms`)
    }
    await Promise.all([toBeAway(pair.a), toBeAway(pair.b)])
  })

  it('an answer that is lost after the other site has stored counts as not stored, and nothing is stored twice', async () => {
    toB.set('answers-lost')
    const { durability, instances } = await sendTo(pair.a, [60_000, 60_000])
    assert.equal(durability, 'local')
    await until('B to hold them all the same', () => assertHolds(pair.b, instances).then(() => true))
    await toBeAway(pair.a)
    toB.set('fine')
    await pair.inSync()
    assert.equal((await siteStatus(pair.a)).resync.sent, 0, 'what B has is not sent again')
  })

  it('a slow line slows senders down, and large instances get through it although its buffers hide for how long', async () => {
    const [delayMs, bytesPerSecond] = [200, 1_000_000]
    for (const line of [toA, toB]) line.set({ delayMs, bytesPerSecond })
    const small = await sendTo(pair.a, [60_000, 60_000])
    assert.equal(small.durability, 'both')
    const large = await sendTo(pair.a, [8_000_000])
    assert.equal(large.durability, 'both', pair.a.log.slice(-1500))
    assert.ok(large.ms > 2 * TIMEOUT_MS, `longer than the timeout, in which it always moved: ${large.ms} ms`)
    assert.ok(large.ms < 2 * (8_000_000 / bytesPerSecond) * 1000 + SLACK_MS, `${large.ms} ms`)
  })
})

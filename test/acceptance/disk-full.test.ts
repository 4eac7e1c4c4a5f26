import assert from 'node:assert/strict'
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { checkStudies } from '../support/check.ts'
import { Firn } from '../support/firn.ts'
import { installed, run, skipUnless, tempDir } from '../support/host.ts'
import { makeInstance } from '../support/instances.ts'
import { Ledger, Load } from '../support/load.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { instancePath, retrieve, search, stow } from '../support/web.ts'

const MIB = 1024 * 1024
const SIZE_MIB = 96
const BALLAST_MIB = 40
const random = new Random(newSeed())
const canMount = process.platform === 'linux' && process.getuid?.() === 0 && installed('mount')

/** A data folder on a file system of its own that can be filled and emptied. */
describe(`a full disk (seed ${random.seed})`, {
  skip: skipUnless(canMount, 'mounting a small tmpfs needs root'),
}, () => {
  const mountPoint = tempDir('small-disk')
  const ballast = join(mountPoint, 'ballast')
  const ledger = new Ledger()
  let firn: Firn
  let load: Load

  before(async () => {
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m`, 'tmpfs', mountPoint])
    assert.equal(mounted.code, 0, mounted.stderr)
    writeFileSync(ballast, Buffer.alloc(BALLAST_MIB * MIB, 1))
    const dataDir = join(mountPoint, 'data')
    mkdirSync(dataDir)
    firn = await Firn.start({ dataDir, mayBeFull: true })
    load = new Load(firn, random, ledger, {
      stowWorkers: 2,
      storeWorkers: 2,
      sizesBytes: [1_000, 50_000, 50_000, 400_000],
      studies: 12,
    })
  })
  after(async () => {
    await load?.stop()
    await firn?.kill()
    await run('umount', ['-l', mountPoint])
  })

  const refusals = () => new Set(load.refusals)

  it('refuses new instances with 507 and A700, each protocol in its own terms', async () => {
    load.start()
    await until(
      'refusals over both protocols',
      () => {
        const seen = [...refusals()]
        return seen.some((one) => one.startsWith('STOW 507')) && seen.some((one) => one === 'C-STORE a700')
      },
      60_000,
    )
    for (const refusal of refusals()) assert.match(refusal, /^(STOW (507|202) 42752|C-STORE a700)$/)
    assert.ok(ledger.acknowledged > 0)
    assert.ok(firn.alive)
  })

  it('answers reads and its health while it is full', async () => {
    assert.equal((await firn.get('/health/live')).status, 200)
    assert.ok((await search(firn.dicomWeb, '/studies')).length > 0)
    const kept = [...ledger.bySop].find(([, sent]) => sent.versions.length === 1 && sent.versions[0]?.acknowledged)
    assert.ok(kept)
    const path = instancePath({ ...kept[1], sopInstanceUid: kept[0] })
    assert.equal((await retrieve(firn.dicomWeb, path)).length, 1)
  })

  it('leaves room for its catalogue', () => {
    const { bavail, bsize } = statfsSync(mountPoint)
    assert.ok(bavail * bsize > 0, 'the file system is not filled to its last byte by instances')
  })

  it('takes instances again by itself once there is space', async () => {
    const before = ledger.acknowledged
    rmSync(ballast)
    await until('new acknowledgements', () => ledger.acknowledged > before + 20, 30_000)
    assert.ok(firn.alive)
  })

  it('has lost nothing acknowledged over two fillings and a restart, and shows nothing half-stored', async () => {
    const refusedBefore = load.refusals.length
    await until('the disk to be full again', () => load.refusals.length > refusedBefore + 10, 60_000)
    await load.stop()
    assert.deepEqual(await checkStudies(firn, ledger, ledger.byStudy.keys()), [])
    await firn.kill()
    await firn.start()
    assert.deepEqual(await checkStudies(firn, ledger, ledger.byStudy.keys()), [])
  })

  it('refuses even when other files take the very last byte, and recovers from that too', async () => {
    const greedy = join(mountPoint, 'greedy')
    const { bavail, bsize } = statfsSync(mountPoint)
    try {
      writeFileSync(greedy, Buffer.alloc(bavail * bsize + MIB))
    } catch {
      // Full to the last byte, as wanted.
    }
    const refused = await stow(firn.dicomWeb, [makeInstance(random).file])
    assert.equal(refused.status, 507)
    assert.ok((await search(firn.dicomWeb, '/studies')).length > 0)
    rmSync(greedy)
    assert.deepEqual(await checkStudies(firn, ledger, ledger.byStudy.keys()), [])
    assert.equal((await firn.stop()).code, 0)
  })
})

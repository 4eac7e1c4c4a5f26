import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const LONG_AGO = new Date('2026-01-01T00:00:00Z')

interface Pack {
  key: string
  studyUid: string
  copies: { store: string }[]
}
interface Finding {
  kind: string
  store: string
  key: string
  why: string
  done: string
}

/** Two stores hold every pack; then somebody's hands get into them. */
describe(`reconcile (seed ${random.seed})`, () => {
  const roots: Record<string, string> = { one: tempDir('store-one'), two: tempDir('store-two') }
  const sent: Instance[] = []
  let firn: Firn
  let packs: Pack[]

  const listPacks = async (): Promise<Pack[]> => json<{ packs: Pack[] }>(await get(`${firn.url}/api/v1/packs`)).packs
  const path = (store: string, key: string) => join(roots[store] as string, key)
  const reconcile = async (...args: string[]) => {
    const { code, stdout, stderr } = await firnCommand(['reconcile', '--data', firn.dataDir, '--json', ...args])
    const lines = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
    assert.ok(lines.length > 0, stderr)
    return { code, findings: lines.slice(0, -1) as Finding[], report: lines.at(-1) }
  }
  const inShort = (findings: readonly Finding[]) =>
    findings.map(({ kind, store, key }) => `${kind} ${store} ${key}`).sort()

  before(async () => {
    firn = await Firn.start({
      config: {
        stores: Object.entries(roots).map(([id, folder]) => ({ id, type: 'file', folder })),
        sealing: { quietSeconds: 0.2, landingSeconds: 0, copies: 2 },
        landing: { segmentBytes: 1024 * 1024, lanes: 1 },
        scrub: { enabled: false },
      },
    })
    for (let study = 0; study < 5; study += 1) {
      const studyUid = random.uid()
      const files = [1, 2].map(() => instanceOfSize(random, 50_000, { studyUid }))
      sent.push(...files)
      await stow(
        firn.dicomWeb,
        files.map(({ file }) => file),
      )
    }
    await until(
      'all packs in both stores',
      async () => (await listPacks()).filter(({ copies }) => copies.length === 2).length === 5,
      60_000,
    )
    packs = await listPacks()
  })
  after(async () => {
    await firn?.kill()
  })

  it('finds nothing where nothing is wrong', async () => {
    const { code, findings, report } = await reconcile()
    assert.deepEqual([code, findings], [0, []])
    assert.deepEqual([report.packs, report.copies], [5, 10])
  })

  it('explains every object and entry that does not fit, makes good what it can, and frees nothing', async () => {
    const [gone, cut, , both] = packs.map(({ key }) => key) as [string, string, string, string]
    rmSync(path('one', gone))
    chmodSync(path('two', cut), 0o640)
    truncateSync(path('two', cut), 1000)
    rmSync(path('one', both))
    rmSync(path('two', both))
    // A pack that no catalogue knows, objects of somebody else, and an object that was stored just now.
    const stranger = `packs/00/1.2.3/${'0'.repeat(64)}.tar`
    const uid = '1.2.3'
    const folder = createHash('sha256').update(uid).digest('hex').slice(0, 2)
    const unknown = `packs/${folder}/${uid}/${'a'.repeat(64)}.tar`
    const young = `packs/${folder}/${uid}/${'b'.repeat(64)}.tar`
    for (const key of [stranger, unknown, young, 'notes/todo.txt']) {
      mkdirSync(dirname(path('two', key)), { recursive: true })
      writeFileSync(path('two', key), 'not ours')
      if (key !== young) utimesSync(path('two', key), LONG_AGO, LONG_AGO)
    }

    const expected = [
      `copy_missing one ${gone}`,
      `wrong_size two ${cut}`,
      `copy_missing one ${both}`,
      `copy_missing two ${both}`,
      `foreign two ${stranger}`,
      'foreign two notes/todo.txt',
      `pack_unknown two ${unknown}`,
      `young two ${young}`,
    ].sort()
    const dry = await reconcile()
    assert.deepEqual(inShort(dry.findings), expected)
    assert.equal(dry.code, 1)
    assert.equal(dry.report.applied, 0)
    assert.ok(dry.findings.every(({ why, done }) => why.length > 20 && done === ''))
    assert.deepEqual(await listPacks(), packs, 'without --apply nothing changes')

    const applied = await reconcile('--apply')
    const bad = applied.findings.filter(({ done }) => done === '').map(({ kind, key }) => `${kind} ${key}`)
    assert.ok(!bad.includes(`copy_missing ${gone}`) && !bad.includes(`wrong_size ${cut}`), bad.join())
    assert.equal(bad.filter((line) => line === `copy_missing ${both}`).length, 2, 'nothing to make it of')
    // Made anew where the bytes were gone; damaged bytes stand in the way of good ones in their store, and are not removed.
    await until(
      'the copy',
      async () => (await listPacks()).find(({ key }) => key === gone)?.copies.length === 2,
      20_000,
    )
    for (const instance of sent.filter(({ studyUid }) => studyUid !== packs[3]?.studyUid)) {
      const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file))
    }
  })
})

/** One store holds each pack, and copies are put into the other one by hand. */
describe('reconcile, copies that were put there by hand', () => {
  it('are counted when they are whole, and not when they are not', async (t) => {
    const roots = [tempDir('store-one'), tempDir('store-two')] as const
    const firn = await Firn.start({
      config: {
        stores: roots.map((folder, n) => ({ id: `s${n}`, type: 'file', folder })),
        sealing: { quietSeconds: 0.2, copies: 1 },
        scrub: { enabled: false },
      },
    })
    t.after(() => firn.kill())
    for (let study = 0; study < 2; study += 1) await stow(firn.dicomWeb, [instanceOfSize(random, 50_000).file])
    const list = async () => json<{ packs: Pack[] }>(await get(`${firn.url}/api/v1/packs`)).packs
    await until('both packs', async () => (await list()).length === 2, 60_000)
    const [whole, damaged] = await list()
    const putInOther = (pack: Pack | undefined): string => {
      const from = Number(pack?.copies[0]?.store.slice(1))
      const key = pack?.key as string
      const to = join(roots[1 - from] as string, key)
      mkdirSync(dirname(to), { recursive: true })
      copyFileSync(join(roots[from] as string, key), to)
      chmodSync(to, 0o640)
      return to
    }
    const files = [putInOther(whole), putInOther(damaged)]
    const file = openSync(files[1] as string, 'r+')
    writeSync(file, Buffer.from('damage'), 0, 6, 30_000)
    closeSync(file)
    for (const path of files) utimesSync(path, LONG_AGO, LONG_AGO)

    const { code, stdout } = await firnCommand(['reconcile', '--data', firn.dataDir])
    assert.equal(code, 1)
    assert.equal(stdout.match(/^copy_unknown/gm)?.length, 2, stdout)
    const applied = await firnCommand(['reconcile', '--apply', '--data', firn.dataDir])
    assert.equal(applied.code, 1, 'the damaged one is still there')
    assert.match(applied.stdout, /read back whole, and counted/)
    assert.match(applied.stdout, /because it is damaged/)
    const copies = new Map((await list()).map((pack) => [pack.key, pack.copies.length]))
    assert.deepEqual([copies.get(whole?.key ?? ''), copies.get(damaged?.key ?? '')], [2, 1])
    assert.ok(
      files.every((path) => existsSync(path)),
      'nothing is freed',
    )
  })
})

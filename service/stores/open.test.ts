import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, mock, test } from 'node:test'
import { bytesSource } from '../../storage-adapters/contract/read-source.ts'
import { tempDir } from '../../test/support/host.ts'
import type { StoreConfig } from '../config/stores.ts'
import { Placement } from '../lifecycle/placement.ts'
import { openStores } from './open.ts'

const ARCHIVE = 'an-archive'

const folder = (id: string, path: string): StoreConfig => ({ id, type: 'file', folder: path })

const open = (dataDir: string, configs: StoreConfig[]) =>
  openStores({ configs, dataDir, archiveId: ARCHIVE, observe: () => undefined, warn: () => undefined })

/** As if a minute had passed, in which nothing was tried. */
function aMinuteLater(): void {
  const at = performance.now() + 60_000
  mock.method(performance, 'now', () => at)
}

describe('stores', () => {
  afterEach(() => mock.restoreAll())

  test('one that is away at start gets packs as soon as it is back, though nobody reads from it', async () => {
    const dataDir = tempDir('stores')
    const path = join(dataDir, 'store')
    await (await open(dataDir, [folder('one', path)])).close()
    renameSync(path, `${path}.away`)
    const stores = await open(dataDir, [folder('one', path)])
    const placement = new Placement(stores)
    await assert.rejects(placement.choose(1000, new Set()), /can't be reached/)
    renameSync(`${path}.away`, path)
    aMinuteLater()
    assert.equal((await placement.choose(1000, new Set())).id, 'one')
    await stores.close()
  })

  test('one that was isolated gets packs again when it behaves', async () => {
    const dataDir = tempDir('stores')
    const path = join(dataDir, 'store')
    const stores = await open(dataDir, [folder('one', path)])
    const placement = new Placement(stores)
    const [store] = stores.all
    renameSync(path, `${path}.away`)
    for (let n = 0; n < 2; n++)
      await store?.adapter.put(`packs/${n}`, bytesSource(Buffer.from('1'))).catch(() => undefined)
    assert.match(store?.trouble ?? '', /failed/)
    renameSync(`${path}.away`, path)
    aMinuteLater()
    assert.equal((await placement.choose(1000, new Set())).id, 'one')
    await stores.close()
  })

  test('another disk in its place gets nothing', async () => {
    const dataDir = tempDir('stores')
    const path = join(dataDir, 'store')
    await (await open(dataDir, [folder('one', path)])).close()
    rmSync(path, { recursive: true })
    mkdirSync(path)
    const stores = await open(dataDir, [folder('one', path)])
    aMinuteLater()
    await assert.rejects(new Placement(stores).choose(1000, new Set()), /lost its identity/)
    await stores.close()
  })
  test('two names for one store are no two stores', async () => {
    const dataDir = tempDir('stores')
    const path = join(dataDir, 'store')
    const configs = [folder('one', path), folder('two', path)]
    for (let starts = 0; starts < 3; starts++) {
      const stores = await open(dataDir, configs)
      aMinuteLater()
      for (const store of stores.all) await store.tryAgain()
      const working = stores.all.filter(({ trouble }) => trouble === undefined)
      assert.equal(working.length, 1)
      await stores.close()
      mock.restoreAll()
    }
  })

  test('a store may get another name, if the first one is given up', async () => {
    const dataDir = tempDir('stores')
    const path = join(dataDir, 'store')
    await (await open(dataDir, [folder('one', path)])).close()
    const stores = await open(dataDir, [folder('two', path)])
    assert.equal(stores.get('two')?.trouble, undefined)
    await stores.close()
  })
  test('a new one that can not be made keeps nobody from starting, and is made when it can be', async () => {
    const dataDir = tempDir('stores')
    const path = join(dataDir, 'disk')
    writeFileSync(path, 'not a folder')
    const stores = await open(dataDir, [folder('one', join(path, 'store')), folder('two', join(dataDir, 'two'))])
    assert.match(stores.get('one')?.trouble ?? '', /ENOTDIR|EEXIST/)
    assert.equal((await new Placement(stores).choose(1000, new Set())).id, 'two')
    rmSync(path)
    aMinuteLater()
    await stores.get('one')?.tryAgain()
    assert.equal(stores.get('one')?.trouble, undefined)
    await stores.close()
  })
})

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { link, mkdtemp, readdir, rename, rm, truncate, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { conformance } from '../conformance/conformance.ts'
import { permitFor, readAll, someBytes } from '../conformance/fixture.ts'
import { bytesSource } from '../contract/read-source.ts'
import { FileStore } from './file.ts'

const newFolder = () => mkdtemp(join(tmpdir(), 'firn-immutable-'))
const unmark = (folder: string) => spawnSync('chattr', ['-R', '-f', '-i', folder])
const removed = async (folder: string) => {
  unmark(folder)
  await rm(folder, { recursive: true, force: true })
}
const BYTES = someBytes(100_000)
const SOURCE = bytesSource(BYTES)

/**
 * Whether this machine's file system and this process may: root on ext4, XFS or Btrfs, with CAP_LINUX_IMMUTABLE. Many
 * containers don't have it; there the second half of this file is all there is to test.
 */
async function canMark(): Promise<boolean> {
  const folder = await newFolder()
  const store = new FileStore({ id: 'try', folder, immutable: true })
  await store.open()
  await removed(folder)
  return store.capabilities.immutableFiles === true
}

if (await canMark()) {
  describe('immutable files', () => {
    conformance('file, immutable', async () => {
      const folder = await newFolder()
      const again = () => new FileStore({ id: 'file', folder, immutable: true })
      return { adapter: again(), again, destroy: () => removed(folder) }
    })

    const opened = async (t: TestContext, options = {}) => {
      const folder = await newFolder()
      t.after(() => removed(folder))
      const store = new FileStore({ id: 'file', folder, immutable: true, ...options })
      await store.open()
      return { folder, store }
    }

    test('nobody changes, renames or removes an object, but for its permit', async (t) => {
      const { folder, store } = await opened(t)
      await store.put('packs/a', SOURCE)
      const path = join(folder, 'packs/a')
      for (const attack of [() => unlink(path), () => truncate(path, 1), () => rename(path, `${path}-away`)]) {
        await assert.rejects(attack(), { code: 'EPERM' })
      }
      await assert.rejects(link(path, `${path}-too`), { code: 'EPERM' })
      assert.ok((await readAll((await store.get('packs/a')).body)).equals(BYTES))
      await store.remove('packs/a', permitFor('packs/a', BYTES))
      assert.deepEqual(await readdir(folder), ['.firn-incoming'])
      assert.deepEqual(await readdir(join(folder, '.firn-incoming')), [])
    })

    test('no lock is claimed: root can take the mark back', async (t) => {
      const { store } = await opened(t)
      assert.deepEqual([store.capabilities.objectLock, store.capabilities.immutableFiles], ['none', true])
    })

    test('what was published before a crash is marked when it is put again, and its other name goes', async (t) => {
      const { folder, store } = await opened(t)
      const crash = new FileStore({
        id: 'file',
        folder,
        beforeStep: (step) => {
          if (step === 'unlink') throw new Error('killed')
        },
      })
      await crash.open()
      await assert.rejects(crash.put('a', SOURCE))
      assert.equal((await readdir(join(folder, '.firn-incoming'))).length, 1)
      assert.equal((await store.put('a', SOURCE)).created, false)
      assert.deepEqual(await readdir(join(folder, '.firn-incoming')), [])
      await assert.rejects(unlink(join(folder, 'a')), { code: 'EPERM' })
    })

    test('an object that was marked can be removed by a store that marks no longer', async (t) => {
      const { folder, store } = await opened(t)
      await store.put('a', SOURCE)
      const plain = new FileStore({ id: 'file', folder })
      await plain.open()
      await plain.remove('a', permitFor('a', BYTES))
      await assert.rejects(plain.stat('a'))
    })
  })
}

describe('files that can not be marked', () => {
  const path = process.env.PATH
  before(() => {
    process.env.PATH = '/nonexistent'
  })
  after(() => {
    process.env.PATH = path
  })

  test('are kept as others are, and the store says why', async (t) => {
    const folder = await newFolder()
    t.after(() => rm(folder, { recursive: true }))
    const store = new FileStore({ id: 'file', folder, immutable: true })
    await store.open()
    assert.equal(store.capabilities.immutableFiles, false)
    assert.match(store.capabilities.lowered[0]?.reason ?? '', /there is no chattr/)
    await store.put('a', SOURCE)
    await unlink(join(folder, 'a'))
  })
})

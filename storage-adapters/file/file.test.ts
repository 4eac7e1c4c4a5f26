import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { conformance } from '../conformance/conformance.ts'
import { keysOf, permitFor, readAll, rejectsWith, someBytes } from '../conformance/fixture.ts'
import { isStorageError } from '../contract/errors.ts'
import { bytesSource } from '../contract/read-source.ts'
import { fileError } from './errors.ts'
import { FileStore } from './file.ts'
import { walk } from './walk.ts'

const newFolder = () => mkdtemp(join(tmpdir(), 'firn-file-store-'))

conformance('file', async () => {
  const folder = await newFolder()
  const again = () => new FileStore({ id: 'file', folder })
  return { adapter: again(), again, destroy: () => rm(folder, { recursive: true }) }
})

async function openFolder(t: TestContext): Promise<{ folder: string; store: FileStore }> {
  const folder = await newFolder()
  t.after(() => rm(folder, { recursive: true, force: true }))
  const store = new FileStore({ id: 'file', folder })
  await store.open()
  return { folder, store }
}

const BYTES = someBytes(5_000_000)
const SOURCE = bytesSource(BYTES)

describe('file', () => {
  test('a root that is missing is not made: its disk may not be mounted', async (t) => {
    const folder = await newFolder()
    t.after(() => rm(folder, { recursive: true }))
    await rejectsWith('unavailable', new FileStore({ id: 'file', folder: join(folder, 'missing') }).open())
    assert.deepEqual(await keysOf(walk(folder, '', '')), [])
  })

  test('nothing is written to, or missed in, another folder that took the place of the one that was opened', async (t) => {
    const { folder, store } = await openFolder(t)
    await store.put('a', SOURCE)
    await rename(folder, `${folder}-away`)
    t.after(() => rm(`${folder}-away`, { recursive: true, force: true }))
    await rejectsWith('unavailable', store.stat('a'))
    await mkdir(folder)
    await rejectsWith('unavailable', store.stat('a'))
    await rejectsWith('unavailable', store.get('a'))
    await rejectsWith('unavailable', keysOf(store.list()))
    await rejectsWith('unavailable', store.put('b', SOURCE))
    await rejectsWith('unavailable', store.remove('a', permitFor('a', BYTES)))
    await rejectsWith('unavailable', store.capacity())
    assert.deepEqual(await keysOf(walk(folder, '', '')), [])
    await rm(folder, { recursive: true })
    await rename(`${folder}-away`, folder)
    await store.stat('a')
  })

  test('an object that became shorter or other since it was put is not taken for the same', async (t) => {
    const { folder, store } = await openFolder(t)
    await store.put('a', SOURCE)
    const { body } = await store.get('a')
    // Files are read-only; root, and whoever owns them, can still do this.
    await rm(join(folder, 'a'))
    await writeFile(join(folder, 'a'), BYTES.subarray(0, 1_000))
    assert.ok((await readAll(body)).equals(BYTES), 'the body is of the object that was opened')
    await rejectsWith('exists_different', store.put('a', SOURCE))
    await writeFile(join(folder, 'a'), someBytes(BYTES.length, 'other'))
    await rejectsWith('exists_different', store.put('a', SOURCE))
  })

  test('a body whose file is cut while it is read fails', async (t) => {
    const { folder, store } = await openFolder(t)
    await writeFile(join(folder, 'a'), someBytes(20_000_000))
    const { body } = await store.get('a')
    await truncate(join(folder, 'a'), 3_000_000)
    await rejectsWith('integrity_mismatch', readAll(body))
  })

  test('folders, links and foreign files are no objects', async (t) => {
    const { folder, store } = await openFolder(t)
    await mkdir(join(folder, 'd/e'), { recursive: true })
    await mkdir(join(folder, 'lost+found'))
    await writeFile(join(folder, '.hidden'), 'x')
    await writeFile(join(folder, 'a b'), 'x')
    await symlink('/etc/hostname', join(folder, 'link'))
    assert.deepEqual(await keysOf(store.list()), [])
    await rejectsWith('not_found', store.stat('d'))
    await rejectsWith('not_found', store.get('d/e'))
    await rejectsWith('not_found', store.stat('link'))
    await rejectsWith('unsupported', store.get('link'))
    await rejectsWith('unsupported', store.put('d', SOURCE))
    await rejectsWith('not_found', store.remove('d', permitFor('d', BYTES)))
    await store.put('file', SOURCE)
    await rejectsWith('unsupported', store.put('file/below', SOURCE))
    await rejectsWith('not_found', store.stat('file/below'))
  })

  test('a folder with more names than are held at a time is listed in order', async (t) => {
    const { folder, store } = await openFolder(t)
    const keys = Array.from({ length: 50 }, (_, i) => (i % 7 === 0 ? `f/${(i * 37) % 50}/x` : `f/${(i * 37) % 50}.tar`))
    for (const key of keys) await store.put(key, bytesSource(Buffer.from(key)))
    keys.sort()
    for (const namesMax of [1, 3, 49, 50, 51]) {
      assert.deepEqual(await keysOf(walk(folder, '', '', namesMax)), keys)
      assert.deepEqual(await keysOf(walk(folder, 'f/', keys[20] ?? '', namesMax)), keys.slice(21))
    }
  })

  test('a store that is open for reading only reads, and writes nothing', async (t) => {
    const { folder, store } = await openFolder(t)
    await store.put('a', SOURCE)
    await rm(join(folder, '.firn-incoming'), { recursive: true })
    const reader = new FileStore({ id: 'reader', folder, readOnly: true })
    await reader.open()
    assert.ok((await readAll((await reader.get('a')).body)).equals(BYTES))
    await rejectsWith('permission_denied', reader.put('b', SOURCE))
    await rejectsWith('permission_denied', reader.remove('a', permitFor('a', BYTES)))
    assert.deepEqual(await keysOf(walk(folder, '', '')), ['a'])
  })

  test("the system's errors have their place in the contract", () => {
    const codes = {
      ENOSPC: 'out_of_space',
      EDQUOT: 'out_of_space',
      EROFS: 'permission_denied',
      EACCES: 'permission_denied',
    }
    const others = { EIO: 'unavailable', ESTALE: 'unavailable', ENOENT: 'not_found', EMFILE: 'rate_limited' }
    for (const [code, expected] of Object.entries({ ...codes, ...others })) {
      const error = fileError(Object.assign(new Error(`${code}: it failed`), { code }), 'store: key')
      assert.equal(error.code, expected)
      assert.match(error.message, /^store: key: .*it failed/)
    }
    assert.ok(isStorageError(fileError(new Error('?'), 'x'), 'unavailable'))
  })
})

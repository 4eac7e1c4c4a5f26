import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { keysOf, permitFor, readAll, rejectsWith, someBytes } from '../conformance/fixture.ts'
import { bytesSource } from '../contract/read-source.ts'
import { FileStore, PUT_STEPS, type PutStep } from './file.ts'

const KEY = 'packs/ab/1.2.3/x.tar'
const SIZE_BYTES = 3_000_000
const at = (file: string) => JSON.stringify(new URL(file, import.meta.url).href)

/** A process of its own, killed before a step of its `put`. */
const PUT_AND_DIE = `
import { someBytes } from ${at('../conformance/fixture.ts')}
import { bytesSource } from ${at('../contract/read-source.ts')}
import { FileStore } from ${at('./file.ts')}
const [folder, step] = process.argv.slice(1)
const beforeStep = (next) => next === step && process.kill(process.pid, 'SIGKILL')
const store = new FileStore({ id: 'dying', folder, beforeStep })
await store.open()
await store.put('${KEY}', bytesSource(someBytes(${SIZE_BYTES})))
`

async function putAndDie(t: TestContext, step: PutStep): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'firn-file-kill-'))
  t.after(() => rm(folder, { recursive: true }))
  const args = ['--import', 'tsx', '--input-type=module', '--eval', PUT_AND_DIE, folder, step]
  const signal = await new Promise<unknown>((resolve) => {
    execFile(process.execPath, args, { timeout: 20_000 }, (error) => resolve(error?.signal ?? String(error)))
  })
  assert.equal(signal, 'SIGKILL')
  return folder
}

async function makeOld(folder: string): Promise<void> {
  const longAgo = new Date(Date.now() - 48 * 60 * 60 * 1000)
  for (const name of await readdir(folder)) await utimes(join(folder, name), longAgo, longAgo)
}

describe('a process killed in the middle of a put', () => {
  for (const step of PUT_STEPS) {
    test(`before '${step}': the object is whole or not there, and can be put again`, async (t) => {
      const folder = await putAndDie(t, step)
      const store = new FileStore({ id: 'file', folder })
      await store.open()
      const published = PUT_STEPS.indexOf(step) > PUT_STEPS.indexOf('link')
      assert.deepEqual(await keysOf(store.list()), published ? [KEY] : [])
      if (!published) await rejectsWith('not_found', store.stat(KEY))
      const bytes = someBytes(SIZE_BYTES)
      assert.equal((await store.put(KEY, bytesSource(bytes))).created, !published)
      assert.ok((await readAll((await store.get(KEY)).body)).equals(bytes))
      await makeOld(join(folder, '.firn-incoming'))
      await store.open()
      assert.deepEqual(await readdir(join(folder, '.firn-incoming')), [])
      assert.ok((await readAll((await store.get(KEY)).body)).equals(bytes))
    })
  }

  test('what it left is no second name that keeps the bytes of an object that is removed', async (t) => {
    const folder = await putAndDie(t, 'unlink')
    const store = new FileStore({ id: 'file', folder })
    await store.open()
    assert.equal((await readdir(join(folder, '.firn-incoming'))).length, 1)
    await store.remove(KEY, permitFor(KEY, someBytes(SIZE_BYTES)))
    assert.deepEqual(await readdir(join(folder, '.firn-incoming')), [])
    assert.deepEqual(await readdir(folder), ['.firn-incoming'])
  })

  test('what another process may still be writing is left alone', async (t) => {
    const folder = await putAndDie(t, 'link')
    await new FileStore({ id: 'file', folder }).open()
    assert.equal((await readdir(join(folder, '.firn-incoming'))).length, 1)
  })
})

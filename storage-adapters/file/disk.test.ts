import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { installed, run, skipUnless, tempDir } from '../../test/support/host.ts'
import { permitFor, readAll, rejectsWith, someBytes } from '../conformance/fixture.ts'
import { honestSource } from '../conformance/liars.ts'
import { bytesSource } from '../contract/read-source.ts'
import { FileStore } from './file.ts'

const MIB = 1024 * 1024
const canMount = process.platform === 'linux' && process.getuid?.() === 0 && installed('mount')

/** A real file system of 4 MiB: full, read-only, unmounted. */
describe('a disk', { skip: skipUnless(canMount, 'mounting a small tmpfs needs root') }, () => {
  const folder = tempDir('small-store')
  const store = new FileStore({ id: 'disk', folder })
  const bytes = someBytes(MIB)

  async function mount(...args: string[]): Promise<void> {
    const mounted = await run('mount', [...args, folder])
    assert.equal(mounted.code, 0, mounted.stderr)
  }
  before(async () => {
    await mount('-t', 'tmpfs', '-o', 'size=4m', 'tmpfs')
    await store.open()
    await store.put('kept', bytesSource(bytes))
  })
  after(() => run('umount', ['-l', folder]))

  test('that is full refuses, leaves nothing behind, and reads and takes what fits', async () => {
    await rejectsWith('out_of_space', store.put('large', honestSource(someBytes(5 * MIB))))
    await rejectsWith('not_found', store.stat('large'))
    const { bytesTotal, bytesFree } = await store.capacity()
    assert.equal(bytesTotal, 4 * MIB)
    assert.ok(bytesFree > 2.5 * MIB, `${bytesFree} bytes are free`)
    assert.ok((await readAll((await store.get('kept')).body)).equals(bytes))
    await store.put('fits', honestSource(bytes))
    await store.remove('fits', permitFor('fits', bytes))
  })

  test('that became read-only is read, refuses writes, and can be opened to be evacuated', async () => {
    await mount('-o', 'remount,ro')
    try {
      await rejectsWith('permission_denied', store.put('more', bytesSource(bytes)))
      await rejectsWith('permission_denied', store.remove('kept', permitFor('kept', bytes)))
      await rejectsWith('permission_denied', new FileStore({ id: 'disk', folder }).open())
      const reader = new FileStore({ id: 'disk', folder, readOnly: true })
      await reader.open()
      assert.ok((await readAll((await reader.get('kept')).body)).equals(bytes))
    } finally {
      await mount('-o', 'remount,rw')
    }
  })

  test('that was unmounted is neither written to nor believed', async () => {
    await run('umount', [folder])
    await rejectsWith('unavailable', store.stat('kept'))
    await rejectsWith('unavailable', store.put('more', bytesSource(bytes)))
    await writeFile(join(folder, 'kept'), 'of the disk below')
    await rejectsWith('unavailable', store.put('kept', bytesSource(bytes)))
  })
})

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { tempDir } from '../test/support/host.ts'
import { within } from '../test/support/until.ts'
import { DataFolder, FolderInUse, runningNode } from './data-folder.ts'

const children = new Set<ChildProcess>()
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** Another process opens the folder, says how that went, and stays until it is killed. */
async function openElsewhere(path: string): Promise<{ answer: string; kill: () => Promise<unknown> }> {
  const source = new URL('./data-folder.ts', import.meta.url).href
  const script = `
    import { DataFolder } from ${JSON.stringify(source)}
    const answer = await DataFolder.open(${JSON.stringify(path)}).then(() => 'open', (error) => error.name)
    console.log(answer)
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  const exited = once(child, 'exit')
  const [line] = (await within('the other process', 30_000, once(child.stdout, 'data'))) as [Buffer]
  return {
    answer: line.toString().trim(),
    kill: () => {
      child.kill('SIGKILL')
      return exited
    },
  }
}

const inUse = (error: unknown) => error instanceof FolderInUse

describe('data folder', () => {
  test('one process at a time; the lock of one that was killed is taken over; its name is for life', async () => {
    const path = join(tempDir('folder'), 'data')
    const first = await DataFolder.open(path)
    assert.equal((await openElsewhere(path)).answer, 'FolderInUse')
    await assert.rejects(DataFolder.open(path), inUse)
    await first.close()
    const other = await openElsewhere(path)
    assert.equal(other.answer, 'open')
    await assert.rejects(DataFolder.open(path), inUse)
    await other.kill()
    const last = await DataFolder.open(path)
    assert.equal(last.archiveId, first.archiveId)
    await last.close()
    assert.equal((await openElsewhere(path)).answer, 'open')
  })

  test('of many who open it at once, one gets the folder, and only until it closes it', async () => {
    const path = tempDir('folder')
    for (let round = 0; round < 2; round++) {
      const opened = await Promise.allSettled(Array.from({ length: 8 }, () => DataFolder.open(path)))
      const winners = opened.filter((one) => one.status === 'fulfilled')
      assert.equal(winners.length, 1, `round ${round}`)
      for (const one of opened) if (one.status === 'rejected') assert.ok(inUse(one.reason), String(one.reason))
      await winners[0]?.value.close()
    }
  })

  test('a node is found by what it announced, until it stops', async () => {
    const path = tempDir('folder')
    assert.equal(await runningNode(path), undefined)
    const folder = await DataFolder.open(path)
    const token = await folder.announce('http://127.0.0.1:1')
    assert.equal(statSync(join(path, 'node.json')).mode & 0o777, 0o600)
    assert.deepEqual(await runningNode(path), { pid: process.pid, url: 'http://127.0.0.1:1', token })
    await folder.close()
    assert.equal(await runningNode(path), undefined)
  })
})

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { eventsOf, openLog, segmentsIn } from '../../test/property/events.ts'
import { tempDir } from '../../test/support/host.ts'
import { newSeed, Random } from '../../test/support/random.ts'
import { verifyLog } from './verify.ts'

const CHILD = fileURLToPath(new URL('../../test/property/event-appender.ts', import.meta.url))
const ROUNDS = 5

/** Runs an appender, kills it after its first acknowledgement and so many ms; returns what it has acknowledged. */
async function appendUntilKilled(folder: string, afterMs: number): Promise<string[]> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, folder, '24'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const out: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  const closed = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), closed])
  await setTimeout(afterMs)
  child.kill('SIGKILL')
  const [, signal] = await closed
  assert.equal(signal, 'SIGKILL')
  // The last line may be cut off; it acknowledges nothing then.
  return Buffer.concat(out).toString().split('\n').slice(0, -1)
}

describe('event log, its process killed', () => {
  test('kill -9 while many append: all that was acknowledged is in the chain, which goes on', async () => {
    const random = new Random(newSeed())
    const folder = tempDir('events')
    const acknowledged: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      acknowledged.push(...(await appendUntilKilled(folder, random.below(150))))
      const log = await openLog(folder)
      assert.equal(log.trouble, undefined, `seed ${random.seed}, round ${round}`)
      const held = new Set((await eventsOf(log)).map(({ seq, hash, data }) => `${seq} ${hash} ${data.sizeBytes}`))
      for (const line of acknowledged) assert.ok(held.has(line), `seed ${random.seed}, round ${round}: ${line}`)
      await log.close()
      assert.ok((await verifyLog(folder)).intact)
    }
    assert.ok(acknowledged.length > 200 && segmentsIn(folder).length >= ROUNDS, `${acknowledged.length} events`)
  })
})

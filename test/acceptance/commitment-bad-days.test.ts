import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { CommitmentListener, CommitmentScu } from '../support/commitment.ts'
import { Firn } from '../support/firn.ts'
import { freePort, run } from '../support/host.ts'
import { type Instance, instanceOfSize, makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, json, send, stow } from '../support/web.ts'

const random = new Random(newSeed())
const ROUNDS = 6
const PROCESSING_FAILURE = 0x0110

interface Listed {
  id: number
  state: string
  attempts: number
  trouble: string
  committed: number
}

const files = (instances: readonly Instance[]) => instances.map(({ file }) => file)

async function listed(firn: Firn, transactionUid: string): Promise<Listed | undefined> {
  const path = `/api/v1/commitments?transactionUid=${transactionUid}`
  return json<{ commitments: Listed[] }>(await get(firn.url + path)).commitments[0]
}

/** Asks and leaves; whether the request was accepted. */
async function ask(firn: Firn, transactionUid: string, references: readonly Instance[]): Promise<boolean> {
  try {
    const scu = await CommitmentScu.open(firn.dimsePort)
    const status = await scu.ask({ transactionUid, references })
    await scu.release().catch(() => undefined)
    return status === 0
  } catch {
    return false
  }
}

describe(`storage commitment on bad days (seed ${random.seed})`, () => {
  it(`what was accepted is answered, and truly, through ${ROUNDS} kill -9`, async () => {
    const port = await freePort()
    const destinations = [{ aeTitle: 'MODALITY', host: '127.0.0.1', port }]
    const firn = await Firn.start({ config: { dimse: { destinations }, commitment: { patienceSeconds: 1 } } })
    /** By Transaction UID: what was asked for, and which of it had been stored. */
    const accepted = new Map<string, { all: Instance[]; stored: Set<string> }>()
    let listener: CommitmentListener | undefined
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const before = accepted.size
        const asking = Array.from({ length: 6 }, async () => {
          const here = Array.from({ length: random.between(1, 4) }, () => makeInstance(random, { frameBytes: 2000 }))
          const away = Array.from({ length: random.below(2) }, () => makeInstance(random))
          if ((await stow(firn.dicomWeb, files(here)).catch(() => undefined))?.status !== 200) return
          const transactionUid = random.uid()
          const stored = new Set(here.map(({ sopInstanceUid }) => sopInstanceUid))
          if (await ask(firn, transactionUid, [...here, ...away])) {
            accepted.set(transactionUid, { all: [...here, ...away], stored })
          }
        })
        // Most kills hit a node that is deciding; some one that has accepted nothing yet.
        if (round % 3 > 0) await until('an accepted request', () => accepted.size > before, 60_000)
        await delay(random.between(0, 300))
        await firn.kill()
        await Promise.all(asking)
        // Now and then there is somebody to take results.
        if (round === 2) listener = await CommitmentListener.listen(port)
        if (round === 3) {
          await listener?.close()
        }
        await firn.start()
      }
      assert.ok(accepted.size >= ROUNDS / 2, `${accepted.size} requests were accepted`)
      const early = listener?.reports ?? []
      listener = await CommitmentListener.listen(port)
      const taken = () => [...early, ...(listener?.reports ?? [])]
      for (const [transactionUid, { all, stored }] of accepted) {
        const report = await until(
          `the result of ${transactionUid}`,
          () => taken().find((one) => one.transactionUid === transactionUid),
          60_000,
        )
        assert.deepEqual(new Set(report.committed), stored)
        assert.equal(report.committed.length + report.failed.size, all.length)
        assert.equal(report.eventType, report.failed.size > 0 ? 2 : 1)
      }
    } finally {
      await firn.kill()
      await listener?.close()
    }
    const events = await run(process.execPath, ['bin/firn.cjs', 'events', 'list', '--json', '--data', firn.dataDir])
    const answered = events.stdout.split('\n').filter((line) => line.includes('"commitment.answered"'))
    for (const transactionUid of accepted.keys()) {
      assert.ok(
        answered.some((line) => line.includes(`"${transactionUid}"`)),
        `the answer to ${transactionUid} is an event`,
      )
    }
  })

  it('an AE that never takes its results keeps neither others nor the node waiting', async () => {
    const [hanging, taking] = [await CommitmentListener.listen(0, 'hang'), await CommitmentListener.listen()]
    const destinations = [
      { aeTitle: 'HANGS', host: '127.0.0.1', port: hanging.port },
      { aeTitle: 'TAKES', host: '127.0.0.1', port: taking.port },
      { aeTitle: 'NOBODY', host: '127.0.0.1', port: await freePort() },
    ]
    const firn = await Firn.start({ config: { dimse: { destinations, artimSeconds: 2 } } })
    try {
      const instance = makeInstance(random)
      await stow(firn.dicomWeb, [instance.file])
      const askAs = async (calling: string) => {
        const transactionUid = random.uid()
        const scu = await CommitmentScu.open(firn.dimsePort, { calling })
        assert.equal(await scu.ask({ transactionUid, references: [instance] }), 0)
        await scu.release()
        return transactionUid
      }
      const waiting: string[] = []
      for (let n = 0; n < 12; n++) waiting.push(await askAs('HANGS'), await askAs('NOBODY'))
      const before = performance.now()
      const uid = await askAs('TAKES')
      await until('the result of the other', () => taking.reports.some((one) => one.transactionUid === uid), 5000)
      assert.ok(performance.now() - before < 5000)
      await until('an attempt', async () => (await listed(firn, waiting[0] as string))?.attempts === 1)
      for (const one of waiting) {
        const { state, committed } = (await listed(firn, one)) as Listed
        assert.deepEqual([state, committed], ['answered', 1])
      }
      assert.ok(hanging.attempts <= 2, `${hanging.attempts} attempts: one at a time, then a pause for all`)
      const stopping = performance.now()
      assert.equal((await firn.stop()).code, 0)
      assert.ok(performance.now() - stopping < 5000, 'a stop waits for no AE')
      hanging.behaviour = 'take'
      await firn.start()
      await until('all results', () =>
        waiting.every((one, n) => n % 2 === 1 || hanging.reports.some((report) => report.transactionUid === one)),
      )
    } finally {
      await firn.kill()
      await hanging.close()
      await taking.close()
    }
  })

  it('what is sealed is committed by its pack, never when every copy of it is damaged', async () => {
    const config = {
      sealing: { enabled: false, landingSeconds: 0 },
      commitment: { verifiedHours: 0, patienceSeconds: 1 },
    }
    const firn = await Firn.start({ config })
    try {
      const whole = instanceOfSize(random, 5000)
      const hurt = instanceOfSize(random, 5000)
      await stow(firn.dicomWeb, files([whole, hurt]))
      for (const { studyUid } of [whole, hurt]) {
        assert.equal((await send(`${firn.url}/api/v1/studies/${studyUid}/seal`, { method: 'POST' })).status, 200)
      }
      const folder = join(firn.dataDir, 'store')
      const packs = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.tar'))
      let damaged = 0
      for (const name of packs) {
        const content = readFileSync(join(folder, name))
        const at = content.indexOf(hurt.file.subarray(-2000, -1000))
        if (at < 0) continue
        content[at] = (content[at] as number) ^ 0x55
        writeFileSync(join(folder, name), content)
        damaged += 1
      }
      assert.equal(damaged, 1)
      const scu = await CommitmentScu.open(firn.dimsePort)
      assert.equal(await scu.ask({ transactionUid: random.uid(), references: [whole, hurt] }), 0)
      const report = await scu.report()
      assert.deepEqual(report.committed, [whole.sopInstanceUid])
      assert.deepEqual(report.failed, new Map([[hurt.sopInstanceUid, PROCESSING_FAILURE]]))
      await scu.release()
    } finally {
      await firn.kill()
    }
  })
})

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Association } from '../support/dimse.ts'
import type { Firn } from '../support/firn.ts'
import { freePort, installed, skipUnless, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { PairOfSites } from '../support/pair-of-sites.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { instancePath, retrieve, stow } from '../support/web.ts'

const EXAMPLE = fileURLToPath(new URL('../../docs/operating/haproxy.cfg', import.meta.url))
const FAILOVER_MS = 5000
const random = new Random(newSeed())
const skip = skipUnless(installed('haproxy'), 'no haproxy: test/peers/install.sh haproxy')

/** The documented configuration with this machine's ports, and without TLS in front. */
function configFor(pair: PairOfSites, web: number, dicom: number): string {
  const [{ a }, { b }] = [pair, pair]
  const replaced: [from: RegExp, to: string][] = [
    [/^ *stats socket .*$/m, ''],
    [/bind :443 .*$/m, `bind 127.0.0.1:${web}`],
    [/bind :11112/, `bind 127.0.0.1:${dicom}`],
    [/check port 8080 /, 'check '],
    [/10\.1\.0\.5:11112/, `127.0.0.1:${a.dimsePort} port ${a.httpPort}`],
    [/10\.2\.0\.5:11112/, `127.0.0.1:${b.dimsePort} port ${b.httpPort}`],
    [/10\.1\.0\.5:8080/, `127.0.0.1:${a.httpPort}`],
    [/10\.2\.0\.5:8080/, `127.0.0.1:${b.httpPort}`],
  ]
  let text = readFileSync(EXAMPLE, 'utf8')
  for (const [from, to] of replaced) {
    assert.match(text, from, 'the example has changed')
    text = text.replace(from, to)
  }
  return text
}

async function store(port: number, { sopClassUid, sopInstanceUid, transferSyntaxUid, dataSet }: Instance) {
  const association = await Association.open(port, [{ sopClassUid, transferSyntaxUids: [transferSyntaxUid] }])
  try {
    return await association.store(sopClassUid, sopInstanceUid, transferSyntaxUid, dataSet)
  } finally {
    await association.release().catch(() => undefined)
  }
}

/** Sends one instance after the other and repeats what failed, as senders do; keeps how long each one took. */
class Sender {
  readonly sent: Instance[] = []
  longestMs = 0
  #stopped = false
  #running: Promise<void> | undefined
  readonly #send: (instance: Instance) => Promise<boolean>

  constructor(send: (instance: Instance) => Promise<boolean>) {
    this.#send = send
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const instance = instanceOfSize(random, 60_000)
      const began = performance.now()
      while (!(await this.#send(instance).catch(() => false))) {
        assert.ok(performance.now() - began < 60_000, 'the sender gave up')
        await delay(100)
      }
      this.longestMs = Math.max(this.longestMs, performance.now() - began)
      this.sent.push(instance)
      await delay(100)
    }
  }
}

describe(`two sites behind the HAProxy of the worked example (seed ${random.seed})`, { skip }, () => {
  let pair: PairOfSites
  let proxy: ChildProcess
  let web = ''
  let dicom = 0

  before(async () => {
    pair = await PairOfSites.start()
    const webPort = await freePort()
    dicom = await freePort()
    web = `http://127.0.0.1:${webPort}/dicom-web`
    const file = join(tempDir('haproxy'), 'haproxy.cfg')
    writeFileSync(file, configFor(pair, webPort, dicom))
    proxy = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' })
    await until('HAProxy to answer', async () => (await fetch(`${web}/studies?limit=1`)).ok)
  })
  after(async () => {
    proxy?.kill('SIGKILL')
    await pair?.kill()
  })

  it('take what a client repeats within five seconds of kill -9 of either, and come back by themselves', async (t) => {
    for (const victim of [pair.a, pair.b]) await failover(t, victim)
  })

  async function failover(t: TestContext, victim: Firn): Promise<void> {
    const byStow = new Sender(async ({ file }) => (await stow(web, [file])).status === 200)
    const byStore = new Sender(async (instance) => (await store(dicom, instance)) === 0)
    const senders = [byStow, byStore]
    for (const sender of senders) sender.start()
    const enough = (count: number) =>
      until('instances to arrive', () => senders.every(({ sent }) => sent.length >= count), 30_000)
    await enough(10)
    const before = Math.max(...senders.map(({ sent }) => sent.length))
    await victim.kill()
    await enough(before + 10)
    await victim.start()
    for (const sender of senders) await sender.stop()
    await pair.inSync()
    t.diagnostic(`longest: STOW ${byStow.longestMs.toFixed(0)} ms, C-STORE ${byStore.longestMs.toFixed(0)} ms`)
    for (const { longestMs } of senders) assert.ok(longestMs < FAILOVER_MS, `${longestMs} ms`)
    for (const { dicomWeb } of [pair.a, pair.b]) {
      for (const instance of byStow.sent) {
        const [bytes] = await retrieve(dicomWeb, instancePath(instance))
        assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
      }
      for (const instance of byStore.sent) {
        const [bytes] = await retrieve(dicomWeb, instancePath(instance))
        assert.ok(bytes?.subarray(-instance.dataSet.length).equals(instance.dataSet), instance.sopInstanceUid)
      }
    }
  }
})

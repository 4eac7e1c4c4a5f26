import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { issue } from '../support/certificates.ts'
import { firnCommand } from '../support/firn.ts'
import { freePort, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { PairOfSites, siteCommand, siteStatus } from '../support/pair-of-sites.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { instancePath, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const HOSTS = ['localhost,127.0.0.1', '127.0.0.1,localhost']

interface Files {
  key: string
  cert: string
  ca: string
}

const filesIn = (folder: string): Files => {
  const at = (file: string): string => join(folder, file)
  return { key: at('key.pem'), cert: at('cert.pem'), ca: at('ca.pem') }
}

async function newPair(...more: string[]): Promise<{ out: string; north: Files; south: Files }> {
  const out = join(tempDir('pair'), 'out')
  const made = await firnCommand(['pair', '--names', 'north,south', '--hosts', ...HOSTS, '--out', out, ...more])
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, /At each site:/)
  return { out, north: filesIn(join(out, 'north')), south: filesIn(join(out, 'south')) }
}

async function prepare(a: Files, b: Files, deadPort?: number): Promise<{ pair: PairOfSites; port: number }> {
  const ports = { a: await freePort(), b: await freePort() }
  const dead = deadPort === undefined ? [] : [`https://127.0.0.1:${deadPort}`]
  const pair = await PairOfSites.prepare({
    ports,
    ofA: { tls: a, addresses: [...dead, `https://127.0.0.1:${ports.b}`] },
    ofB: { tls: b, addresses: [...dead, `https://localhost:${ports.a}`] },
  })
  await Promise.all([pair.a.start(), pair.b.start()])
  return { pair, port: ports.b }
}

async function assertMirrors(pair: PairOfSites): Promise<void> {
  const instances: Instance[] = Array.from({ length: 3 }, () => instanceOfSize(random, 60_000))
  const { status, headers } = await stow(
    pair.a.dicomWeb,
    instances.map(({ file }) => file),
  )
  assert.deepEqual([status, headers.get('firn-durability')], [200, 'both'])
  for (const instance of instances) {
    const [bytes] = await retrieve(pair.b.dicomWeb, instancePath(instance))
    assert.ok(bytes?.equals(instance.file))
  }
}

/** Whatever a stranger may ask for, as what became of the connection, or the status of an answer. */
function ask(port: number, tls: https.RequestOptions | undefined, site: string): Promise<number | string> {
  const options = { host: '127.0.0.1', port, path: '/peer/v1/digests', headers: { 'firn-site': site }, agent: false }
  return new Promise((resolve) => {
    const request = tls ? https.request({ ...options, ...tls }) : http.request(options)
    request.once('response', (response) => resolve(response.resume().statusCode ?? 0))
    request.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    request.end()
  })
}

describe(`two sites over TLS (seed ${random.seed})`, () => {
  it('are made by `firn pair`, with keys that others cannot read, and never over what is there', async () => {
    const { out, north, south } = await newPair('--port', '9443', '--folder', '/srv/keys')
    for (const { key } of [north, south]) assert.equal(statSync(key).mode & 0o777, 0o600)
    const yaml = readFileSync(join(out, 'north', 'peer.yaml'), 'utf8')
    for (const part of ['name: north', 'port: 9443', 'https://127.0.0.1:9443', 'key: /srv/keys/key.pem']) {
      assert.ok(yaml.includes(part), `${part} in ${yaml}`)
    }
    assert.deepEqual(readFileSync(north.ca), readFileSync(south.ca))
    const before = readFileSync(north.key)
    const again = await firnCommand(['pair', '--names', 'north,south', '--hosts', ...HOSTS, '--out', out])
    assert.equal(again.code, 2)
    assert.match(again.stderr, /is there already/)
    assert.deepEqual(readFileSync(north.key), before)
    const elsewhere = join(tempDir('pair'), 'out')
    for (const wrong of [
      ['--names', 'north,north', '--hosts', ...HOSTS],
      ['--names', '../x,south', '--hosts', ...HOSTS],
      ['--names', 'north,south', '--hosts', 'localhost'],
      ['--names', 'north,south', '--hosts', 'a b', 'localhost'],
    ]) {
      assert.equal((await firnCommand(['pair', ...wrong, '--out', elsewhere])).code, 2, wrong.join(' '))
    }
    assert.ok(!existsSync(elsewhere))
  })

  it('pair and mirror, also when the first address is dead, and answer nobody else on that port', async () => {
    const { north, south } = await newPair()
    const { pair, port } = await prepare(north, south, await freePort())
    try {
      await pair.inSync()
      await assertMirrors(pair)
      const { site } = await siteStatus(pair.a)
      const read = ({ key, cert, ca }: Files): https.RequestOptions => ({
        key: readFileSync(key),
        cert: readFileSync(cert),
        ca: readFileSync(ca),
      })
      assert.equal(await ask(port, read(north), site), 200, 'the other site itself is answered')
      assert.equal(await ask(port, read(north), 'nobody'), 409, 'the right certificate, but other storage')
      const strangers = tempDir('strangers')
      await issue(strangers, 'ca')
      const stranger = await issue(strangers, 'north')
      const { ca } = read(north)
      const shown = { key: readFileSync(stranger.key), cert: readFileSync(stranger.cert) }
      for (const [what, tls] of [
        ['no certificate', { ca }],
        ['a certificate of another authority', { ...shown, ca }],
        ['TLS 1.2', { ...read(north), maxVersion: 'TLSv1.2' as const }],
        ['plain HTTP', undefined],
      ] as const) {
        const outcome = await ask(port, tls, site)
        assert.equal(typeof outcome, 'string', `${what}: ${outcome}`)
      }
      assert.equal((await siteStatus(pair.a)).state, 'in-sync')
    } finally {
      await pair.kill()
    }
  })

  it('with keys of different runs say so in `firn site status`, and serve on their own', async () => {
    const [one, other] = [await newPair(), await newPair()]
    const { pair } = await prepare(one.north, other.south)
    try {
      for (const firn of [pair.a, pair.b]) {
        await until('the reason', async () => /one authority/.test((await siteStatus(firn)).why)).catch(async () => {
          assert.fail(JSON.stringify(await siteStatus(firn)))
        })
        const status = await siteCommand(firn, undefined, 'status')
        assert.equal(status.code, 1)
        assert.match(status.stdout, /away: https:.*not of one authority.*firn pair/)
      }
      const { file } = instanceOfSize(random, 60_000)
      const { status, headers } = await stow(pair.a.dicomWeb, [file])
      assert.deepEqual([status, headers.get('firn-durability')], [200, 'local'])
    } finally {
      await pair.kill()
    }
  })
})

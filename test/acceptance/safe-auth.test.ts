import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { makeInstance } from '../support/instances.ts'
import { multipart } from '../support/multipart.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { instancePath, send } from '../support/web.ts'

const random = new Random(newSeed())
const ROLES = ['send', 'read', 'records', 'admin'] as const
type Role = (typeof ROLES)[number]

async function createToken(dataDir: string, role: string, name: string): Promise<string> {
  return (await create(dataDir, role, name)).token
}

async function create(dataDir: string, role: string, name: string): Promise<{ id: string; token: string }> {
  const ended = await firnCommand(['token', 'create', '--role', role, '--name', name, '--data', dataDir, '--json'])
  assert.equal(ended.code, 0, ended.stdout + ended.stderr)
  const made = JSON.parse(ended.stdout) as { id: string; token: string }
  assert.ok(made.token.length >= 32)
  return made
}

describe(`tokens and roles (seed ${random.seed})`, () => {
  let firn: Firn
  const tokens = new Map<Role, string>()
  const instance = makeInstance(random)

  before(async () => {
    const dataDir = tempDir('data')
    // Two while nothing runs, two while it runs.
    tokens.set('send', await createToken(dataDir, 'send', 'pacs'))
    tokens.set('read', await createToken(dataDir, 'read', 'viewer'))
    firn = await Firn.start({ dataDir, config: { auth: { required: true } } })
    tokens.set('records', await createToken(dataDir, 'records', 'officer'))
    tokens.set('admin', await createToken(dataDir, 'admin', 'operator'))
  })
  after(async () => {
    await firn?.kill()
  })

  async function status(method: string, path: string, token: string | undefined): Promise<number> {
    const { body, contentType } = multipart([instance.file])
    const headers: Record<string, string> = { accept: '*/*' }
    if (token !== undefined) headers.authorization = `Bearer ${token}`
    if (method === 'POST') headers['content-type'] = contentType
    const answer = await send(firn.url + path, { method, headers, body: method === 'POST' ? body : null })
    if (answer.status === 401) assert.match(answer.headers.get('www-authenticate') ?? '', /Bearer/)
    return answer.status
  }

  const sending = [['POST', '/dicom-web/studies']] as const
  const reading = [
    ['GET', '/dicom-web/studies'],
    ['GET', '/dicom-web/series'],
    ['GET', '/dicom-web/instances'],
    ['GET', `/dicom-web/studies/${instance.studyUid}`],
    ['GET', `/dicom-web/studies/${instance.studyUid}/metadata`],
    ['GET', `/dicom-web${instancePath(instance)}`],
    ['GET', `/dicom-web${instancePath(instance)}/frames/1`],
    ['GET', '/wado?requestType=WADO'],
    ['GET', '/api/v1/changes'],
    ['GET', '/api/v1/conflicts'],
    ['GET', `/api/v1/instances/by-digest/${'0'.repeat(64)}`],
  ] as const

  it('nothing but health is open to those without a token or with a wrong one', async () => {
    for (const token of [
      undefined,
      '',
      'x',
      'a'.repeat(64),
      `${tokens.get('admin')}x`,
      tokens.get('admin')?.slice(1),
    ]) {
      for (const [method, path] of [...sending, ...reading, ['GET', '/metrics']] as const) {
        assert.equal(await status(method, path, token), 401, `${method} ${path} with ${token}`)
      }
    }
    for (const path of ['/health/live', '/health/ready']) assert.equal(await status('GET', path, undefined), 200)
  })

  it('the send role may send and no more', async () => {
    for (const [method, path] of sending) assert.equal(await status(method, path, tokens.get('send')), 200)
    for (const [method, path] of reading) assert.equal(await status(method, path, tokens.get('send')), 403, path)
  })

  it('the read role may read and no more', async () => {
    for (const [method, path] of sending) assert.equal(await status(method, path, tokens.get('read')), 403)
    for (const [method, path] of reading) {
      const got = await status(method, path, tokens.get('read'))
      assert.ok(got !== 401 && got !== 403 && got < 500, `${path}: ${got}`)
    }
  })

  it('the admin role may do all of it', async () => {
    for (const [method, path] of [...sending, ...reading, ['GET', '/metrics']] as const) {
      const got = await status(method, path, tokens.get('admin'))
      assert.ok(got !== 401 && got !== 403 && got < 500, `${path}: ${got}`)
    }
  })

  it('no role gets past 403 on a route whose role it lacks, and unknown routes stay 404', async () => {
    for (const role of ROLES) {
      const got = await status('GET', '/api/v1/no-such-route', tokens.get(role))
      assert.ok([403, 404].includes(got), `${role}: ${got}`)
    }
  })

  it('tokens are kept hashed, in files that others cannot read', async () => {
    const holders: string[] = []
    const walk = (dir: string) => {
      for (const entry of readdirSync(dir, { withFileTypes: true })) {
        const path = join(dir, entry.name)
        if (entry.isDirectory()) walk(path)
        else if (entry.isFile()) {
          const bytes = readFileSync(path)
          for (const token of tokens.values()) assert.ok(!bytes.includes(token), `${path} holds a token`)
          if (/token/i.test(entry.name) && bytes.length > 0) holders.push(path)
        }
      }
    }
    walk(firn.dataDir)
    for (const path of holders) assert.equal(statSync(path).mode & 0o077, 0, `${path} is readable by others`)
    for (const token of tokens.values()) assert.ok(!firn.log.includes(token), 'a token is in the log')
  })

  it('are listed without their secret, and can be revoked while running', async () => {
    const { id, token: doomed } = await create(firn.dataDir, 'read', 'doomed')
    const refused = async () => (await status('GET', '/dicom-web/series', doomed)) === 401
    await until('the new token to be known', async () => !(await refused()), 5_000)
    const listed = await firnCommand(['token', 'list', '--data', firn.dataDir, '--json'])
    assert.equal(listed.code, 0, listed.stderr)
    assert.match(listed.stdout, /doomed/)
    for (const token of [...tokens.values(), doomed]) assert.ok(!listed.stdout.includes(token))
    const revoked = await firnCommand(['token', 'revoke', id, '--data', firn.dataDir])
    assert.equal(revoked.code, 0, revoked.stdout + revoked.stderr)
    await until('the token to be useless', refused, 5_000)
    assert.equal((await firnCommand(['token', 'revoke', id, '--data', firn.dataDir])).code, 1)
  })

  it('an unknown role is a usage error', async () => {
    const ended = await firnCommand(['token', 'create', '--role', 'king', '--name', 'x', '--data', firn.dataDir])
    assert.equal(ended.code, 2, ended.stdout + ended.stderr)
    assert.match(ended.stdout + ended.stderr, /send.*read.*records.*admin/s)
  })
})

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { tempDir } from '../../test/support/host.ts'
import { until } from '../../test/support/until.ts'
import { Tokens } from './tokens.ts'

describe('tokens', () => {
  test('made, verified, revoked; only a hash is kept, readable by the owner alone', async () => {
    const dir = join(tempDir('tokens'), 'data')
    const tokens = new Tokens(dir)
    const { token, text } = await tokens.create('PACS', ['send', 'read'])
    assert.match(text, /^firn_[0-9a-f]{12}_[\w-]{43}$/)
    const path = join(dir, 'tokens.json')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.ok(!readFileSync(path, 'utf8').includes(text.slice(-43)))
    assert.deepEqual(readdirSync(dir).sort(), ['tokens.json', 'tokens.json.lock'], 'no draft is left')
    assert.deepEqual(await tokens.verify(text), token)
    assert.deepEqual((await tokens.verify(text))?.roles, ['send', 'read'])
    assert.deepEqual(await new Tokens(dir).verify(text), token)
    assert.equal(await tokens.revoke(token.id), true)
    assert.equal(await tokens.verify(text), undefined)
    assert.equal(await tokens.revoke(token.id), false)
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  test('anything but the text itself is refused', async () => {
    const tokens = new Tokens(tempDir('tokens'))
    const { token, text } = await tokens.create('a', ['admin'])
    const other = (await tokens.create('b', ['read'])).text
    const secret = text.slice(-43)
    const wrong = [
      '',
      'firn_',
      secret,
      token.sha256,
      text.slice(0, -1),
      `${text}x`,
      ` ${text}`,
      `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'A'}`,
      `firn_${token.id}_${other.slice(-43)}`,
      `firn_000000000000_${secret}`,
      `firn_${token.id}_${'a'.repeat(1_000_000)}`,
    ]
    for (const one of wrong) assert.equal(await tokens.verify(one), undefined, one.slice(0, 80))
    assert.ok(await tokens.verify(text))
  })

  test('a running node notices what the command line does', async () => {
    const dir = tempDir('tokens')
    const node = new Tokens(dir)
    assert.deepEqual(await node.list(), [])
    const cli = new Tokens(dir)
    const { token, text } = await cli.create('late', ['read'])
    await until('the node to know the token', async () => (await node.verify(text)) !== undefined, 3_000)
    await cli.revoke(token.id)
    await until('the node to forget the token', async () => (await node.verify(text)) === undefined, 3_000)
  })

  test('the token of the command line on this machine is valid while the node runs, and in no file', async () => {
    const dir = tempDir('tokens')
    const tokens = new Tokens(dir)
    assert.equal(await tokens.verify('local-secret'), undefined)
    tokens.admitLocal('local-secret')
    assert.deepEqual((await tokens.verify('local-secret'))?.roles, ['admin'])
    assert.equal(await tokens.verify('local-secreT'), undefined)
    assert.deepEqual(readdirSync(dir), [])
    assert.deepEqual(await tokens.list(), [])
  })

  test('made and revoked at once, none is lost and none comes back', async () => {
    const dir = tempDir('tokens')
    const { token, text } = await new Tokens(dir).create('old', ['admin'])
    const [made] = await Promise.all([
      Promise.all([1, 2, 3, 4].map((n) => new Tokens(dir).create(`t${n}`, ['read']))),
      new Tokens(dir).revoke(token.id),
    ])
    for (const one of made) assert.ok(await new Tokens(dir).verify(one.text))
    assert.equal(await new Tokens(dir).verify(text), undefined)
  })
})

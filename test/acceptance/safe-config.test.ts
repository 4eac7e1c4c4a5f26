import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { type Ended, freePort, tempDir } from '../support/host.ts'

function configFile(config: Record<string, unknown> | string): string {
  const file = join(tempDir('config'), 'firn.yaml')
  writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config))
  return file
}

function assertRefused(ended: Ended, ...messages: RegExp[]): void {
  const output = ended.stdout + ended.stderr
  assert.ok(ended.code === 2 || ended.code === 3, `exit ${ended.code ?? ended.signal}: ${output}`)
  assert.doesNotMatch(output, /^firn ready/m)
  for (const message of messages) assert.match(output, message)
  assert.doesNotMatch(output, /\n {4}at .*:\d+:\d+/, 'a message, no stack')
}

describe('open doors', () => {
  it('HTTP bound to all addresses without authentication is refused, and what to set is said', async () => {
    const firn = await Firn.prepare({ args: ['--host', '0.0.0.0'] })
    assertRefused(await firn.startExpectingEnd(), /auth/i, /127\.0\.0\.1/)
  })

  it('DIMSE bound to all addresses without an allow-list is refused, and what to set is said', async () => {
    const firn = await Firn.prepare({ config: { dimse: { host: '0.0.0.0' } } })
    assertRefused(await firn.startExpectingEnd(), /allowedCallingAeTitles/)
  })

  it('binds to all addresses once both are guarded', async () => {
    const config = { auth: { required: true }, dimse: { allowedCallingAeTitles: ['PACS'] } }
    const firn = await Firn.start({ config, args: ['--host', '0.0.0.0'] })
    assert.equal((await fetch(`${firn.dicomWeb}/studies`)).status, 401)
    assert.equal((await firn.stop()).code, 0)
  })
})

describe('configuration errors', () => {
  const cases: [what: string, config: Record<string, unknown> | string, messages: RegExp[]][] = [
    ['an unknown key', { htpp: { port: 1 } }, [/htpp/, /http/]],
    ['an unknown nested key', { dimse: { aetitle: 'X' } }, [/dimse\.aetitle/, /aeTitle/]],
    ['a wrong type', { dimse: { idleSeconds: 'long' } }, [/dimse\.idleSeconds/]],
    ['a number out of range', { landing: { lanes: 1000 } }, [/landing\.lanes/]],
    ['an AE title that is too long', { dimse: { aeTitle: 'SEVENTEEN_LETTERS' } }, [/dimse\.aeTitle/]],
    ['a file that is no YAML', 'http: [unclosed', [/firn\.yaml/]],
    ['a file that is a list', '- 1\n- 2\n', [/firn\.yaml/]],
  ]
  for (const [what, config, messages] of cases) {
    it(`${what}: start and check refuse it and name it`, async () => {
      const file = configFile(config)
      const start = ['start', '--config', file, '--data', tempDir('data'), '--http-port', String(await freePort())]
      const both = [firnCommand(['config', 'check', '--config', file]), firnCommand(start)]
      for (const ended of await Promise.all(both)) assertRefused(ended, ...messages)
    })
  }

  it('a file that is not there', async () => {
    assertRefused(await firnCommand(['start', '--config', '/nowhere/firn.yaml']), /\/nowhere\/firn\.yaml/)
  })

  it('an unknown environment variable names the nearest', async () => {
    const ended = await firnCommand(['config', 'check'], { env: { FIRN_HTTP_PROT: '1' } })
    assertRefused(ended, /FIRN_HTTP_PROT/, /FIRN_HTTP_PORT/)
  })

  it('an unknown verb and an unknown option are usage errors (exit 2)', async () => {
    for (const args of [['frobnicate'], ['start', '--no-such-option'], []]) {
      const ended = await firnCommand(args)
      assert.equal(ended.code, 2, `${args}: ${ended.code} ${ended.stdout}${ended.stderr}`)
      assert.notEqual(ended.stdout + ended.stderr, '')
    }
    assert.equal((await firnCommand(['--help'])).code, 0)
  })

  it('a good file passes, from YAML and JSON', async () => {
    for (const config of ['http:\n  port: 8081\ndimse:\n  aeTitle: ARCHIVE\n', { http: { port: 8081 } }]) {
      const ended = await firnCommand(['config', 'check', '--config', configFile(config)])
      assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    }
  })

  it('the environment goes over the file and the command line over both', async () => {
    const file = configFile({ http: { port: 4321 }, dimse: { aeTitle: 'FILE' } })
    const ended = await firnCommand(['config', 'print', '--config', file], { env: { FIRN_HTTP_PORT: '2222' } })
    assert.equal(ended.code, 0, ended.stderr)
    assert.match(ended.stdout, /2222/)
    assert.match(ended.stdout, /FILE/)
    assert.doesNotMatch(ended.stdout, /4321/)
  })

  it('secrets are redacted when the configuration is printed', async () => {
    const file = configFile({ catalogue: { url: 'postgres://archive:s3cretWord@127.0.0.1:1/firn' } })
    for (const format of [[], ['--json']]) {
      const ended = await firnCommand(['config', 'print', '--config', file, ...format])
      assert.equal(ended.code, 0, ended.stderr)
      assert.doesNotMatch(ended.stdout + ended.stderr, /s3cretWord/)
      assert.match(ended.stdout, /127\.0\.0\.1/)
    }
  })

  it('secrets are in no message when the database is out of reach', async () => {
    const url = `postgres://archive:s3cretWord@127.0.0.1:${await freePort()}/firn`
    const firn = await Firn.prepare({ config: { catalogue: { url } } })
    const ended = await firn.startExpectingEnd()
    assertRefused(ended, /catalogue|database|postgres/i)
    assert.doesNotMatch(ended.stdout + ended.stderr, /s3cretWord/)
  })
})

describe('a place that is taken', () => {
  it('a port in use is said with its number', async () => {
    const port = await freePort()
    const server = createServer().listen(port, '127.0.0.1')
    try {
      for (const options of [{ httpPort: port }, { dimsePort: port }]) {
        const firn = await Firn.prepare(options)
        assertRefused(await firn.startExpectingEnd(), new RegExp(String(port)))
      }
    } finally {
      server.close()
    }
  })

  it('a data folder in use by another process is refused, and that one goes on', async () => {
    const firn = await Firn.start()
    try {
      const other = await Firn.prepare({ dataDir: firn.dataDir })
      assertRefused(await other.startExpectingEnd(), new RegExp(`in use|already|another|locked|${firn.pid}`, 'i'))
      assert.equal((await firn.get('/health/ready')).status, 200)
    } finally {
      await firn.kill()
    }
    // What a killed process leaves behind must not keep the next one out.
    const next = await Firn.start({ dataDir: firn.dataDir })
    assert.equal((await next.stop()).code, 0)
  })

  it('a data folder that is a file is refused', async () => {
    const file = configFile('http: {}')
    const firn = await Firn.prepare({ dataDir: file })
    assertRefused(await firn.startExpectingEnd(), /firn\.yaml/)
  })
})

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { tempDir } from '../../test/support/host.ts'
import { ConfigError, type ConfigSources, envNames, loadConfig } from './load.ts'
import { redactConfig } from './redact.ts'
import { configSchema } from './schema.ts'

function file(text: string, name = 'firn.yaml'): string {
  const path = join(tempDir('config'), name)
  writeFileSync(path, text)
  return path
}

const refuses = (sources: ConfigSources, message: RegExp) =>
  assert.throws(
    () => loadConfig(sources),
    (error) => error instanceof ConfigError && message.test(error.message),
  )

describe('configuration', () => {
  test('defaults, then the file, then the environment, then the flags', () => {
    const path = file('http:\n  port: 1\n  headersSeconds: 2\n  idleSeconds: 3\nlog: { level: warn }\n')
    const env = { FIRN_HTTP_HEADERS_SECONDS: '20', FIRN_HTTP_IDLE_SECONDS: '30', HOME: '/' }
    const config = loadConfig({ file: path, env, flags: { 'http.idleSeconds': 300, 'dimse.port': undefined } })
    const { port, headersSeconds, idleSeconds, host } = config.http
    assert.deepEqual(
      { port, headersSeconds, idleSeconds, host },
      { port: 1, headersSeconds: 20, idleSeconds: 300, host: '127.0.0.1' },
    )
    assert.equal(config.log.level, 'warn')
    assert.equal(config.dimse.port, 11112)
  })

  test('JSON is as good as YAML, and an empty file as none', () => {
    assert.equal(
      loadConfig({ file: file('{"dimse": {"aeTitle": " ARCHIVE "}}', 'firn.json') }).dimse.aeTitle,
      'ARCHIVE',
    )
    assert.deepEqual(loadConfig({ file: file('# nothing\n') }), loadConfig({}))
  })

  test('every key has one name in the environment, and that name works', () => {
    const names = envNames(configSchema)
    const paths = [...names.values()].map((path) => path.join('.'))
    assert.equal(new Set(paths).size, paths.length)
    assert.deepEqual(names.get('FIRN_DIMSE_ALLOWED_CALLING_AE_TITLES'), ['dimse', 'allowedCallingAeTitles'])
    assert.deepEqual(names.get('FIRN_DIMSE_TLS_KEY'), ['dimse', 'tls', 'key'])
    const env = {
      FIRN_DATA_DIR: '/srv/firn',
      FIRN_DIMSE_ALLOWED_CALLING_AE_TITLES: '["A","B"]',
      FIRN_AUTH_REQUIRED: 'true',
      FIRN_CATALOGUE_URL: 'postgres://a:b@127.0.0.1/c',
      FIRN_DIMSE_DESTINATIONS: '[{"aeTitle":"X","host":"127.0.0.1","port":104}]',
    }
    const config = loadConfig({ env })
    assert.equal(config.dataDir, '/srv/firn')
    assert.deepEqual(config.dimse.allowedCallingAeTitles, ['A', 'B'])
    assert.equal(config.auth.required, true)
    assert.equal(config.dimse.destinations[0]?.port, 104)
  })

  test('an unknown key is refused with the nearest one that exists, at every depth', () => {
    refuses({ file: file('http:\n  prot: 1') }, /unknown key http\.prot; did you mean port\?/)
    refuses({ file: file('htp: {}') }, /unknown key htp; did you mean http\?/)
    const destination = 'dimse: { destinations: [{ aeTitle: A, host: h, port: 1, tsl: {} }] }'
    refuses({ file: file(destination) }, /unknown key dimse\.destinations\.0\.tsl; did you mean tls\?/)
    refuses(
      { env: { FIRN_HTTP_PROT: '1' } },
      /unknown environment variable FIRN_HTTP_PROT; did you mean FIRN_HTTP_PORT\?/,
    )
    loadConfig({ env: { FIRN_TEST_SEED: '1', FIRN_NO_SKIP: '1', FIRNS: 'x' } })
  })

  test('every fault is named with its key', () => {
    const path = file('http: { port: 99999 }\ndimse: { aeTitle: "longer than sixteen" }\nlanding: { lanes: 0 }')
    for (const key of [/^http\.port: /m, /^dimse\.aeTitle: /m, /^landing\.lanes: /m]) refuses({ file: path }, key)
    refuses({ file: '/nowhere/firn.yaml' }, /can't read the configuration file \/nowhere\/firn\.yaml/)
    refuses({ file: file('a: b: c') }, /firn\.yaml/)
    refuses({ file: file('- 1\n- 2') }, /expected keys and values/)
    refuses({ flags: { 'http.port': 'eighty' } }, /^http\.port: /)
  })

  test('doors are open to others only where callers say who they are', () => {
    const open = { 'http.host': '0.0.0.0' }
    refuses({ flags: open }, /FIRN_AUTH_REQUIRED=true/)
    refuses({ flags: { ...open, 'auth.required': true } }, /DIMSE on 0\.0\.0\.0 is open to others/)
    for (const guard of [
      { 'dimse.allowedCallingAeTitles': ['PACS'] },
      { 'dimse.enabled': false },
      { 'dimse.host': '127.0.0.1' },
      { 'dimse.tls': { key: 'k', cert: 'c', ca: 'a' } },
    ]) {
      loadConfig({ flags: { ...open, 'auth.required': true, ...guard } })
    }
    refuses({ flags: { ...open, 'auth.required': true, 'dimse.tls': { key: 'k', cert: 'c' } } }, /DIMSE on/)
    refuses({ flags: { 'dimse.host': '::' } }, /DIMSE on ::/)
    // Names and addresses that only look like loopback.
    for (const host of ['127.evil.example', '127.0.0.1.example', '0.0.0.0', '::', '128.0.0.1', '']) {
      refuses({ flags: { 'http.host': host } }, /is open to others/)
    }
    for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost']) loadConfig({ flags: { 'http.host': host } })
  })

  test('the configuration is frozen to its leaves', () => {
    const config = loadConfig({ flags: { 'dimse.allowedCallingAeTitles': ['A'] } })
    assert.throws(() => Object.assign(config, { dataDir: 'x' }), TypeError)
    assert.throws(() => Object.assign(config.http, { port: 1 }), TypeError)
    assert.throws(() => (config.dimse.allowedCallingAeTitles as string[]).push('B'), TypeError)
  })

  test('what is printed has no password in it, and everything else', () => {
    for (const url of [
      'postgres://firn:hunter2@127.0.0.1:5432/firn',
      'postgresql://127.0.0.1/firn?user=firn&password=hunter2',
      'postgres://firn:hunter2@[::1]/firn?sslmode=require',
    ]) {
      const text = JSON.stringify(redactConfig(loadConfig({ flags: { 'catalogue.url': url } })))
      assert.doesNotMatch(text, /hunter2/, url)
      assert.match(text, /\/firn/)
    }
    const config = loadConfig({})
    assert.deepEqual(redactConfig(config), config)
    const nested = { a: [{ apiToken: 'hunter2', b: 1 }], passphrase: 'hunter2', tokens: { list: ['kept'] } }
    assert.deepEqual(redactConfig(nested as never), {
      a: [{ apiToken: '[redacted]', b: 1 }],
      passphrase: '[redacted]',
      tokens: { list: ['kept'] },
    })
  })
})

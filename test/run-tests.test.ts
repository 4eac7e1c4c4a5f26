/** CI trusts the test command's exit status: it must fail on what was skipped, left empty or never ran. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'

const root = path.join(import.meta.dirname, '..')

const files = {
  'service/good.test.ts': `import { test } from 'node:test'\ntest('good', () => {})\ntest('better', () => {})\n`,
  'test/skipping.test.ts': `import { test } from 'node:test'\ntest('needs a peer', { skip: 'no peer' }, () => {})\n`,
  'test/empty.test.ts': 'export {}\n',
  'retention/bad.test.ts': `import { test } from 'node:test'\ntest('bad', () => { throw new Error('no') })\n`,
}

describe('npm test', () => {
  const tree = mkdtempSync(path.join(tmpdir(), 'firn-run-tests-'))
  after(() => rmSync(tree, { recursive: true }))

  before(() => {
    cpSync(path.join(root, 'scripts'), path.join(tree, 'scripts'), { recursive: true })
    symlinkSync(path.join(root, 'node_modules'), path.join(tree, 'node_modules'))
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(path.join(tree, path.dirname(file)), { recursive: true })
      writeFileSync(path.join(tree, file), text)
    }
    writeFileSync(path.join(tree, 'package.json'), '{ "type": "module" }\n')
  })

  function run(args: string[], settings: Record<string, string> = {}) {
    const results = path.join(tree, 'results.json')
    const inherited = { ...process.env }
    // Without this, node's runner takes itself for part of the run that this test belongs to.
    for (const name of ['NODE_TEST_CONTEXT', 'FIRN_NO_SKIP', 'FIRN_TEST_SUITES']) delete inherited[name]
    const program = `import { runTests } from './scripts/run-tests.mjs'
      process.exitCode = await runTests(${JSON.stringify(args)})`
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      cwd: tree,
      encoding: 'utf8',
      env: { ...inherited, FIRN_TEST_RESULTS: results, ...settings },
    })
    return { status, stderr, counts: () => JSON.parse(readFileSync(results, 'utf8')) }
  }

  test('passes and counts', () => {
    const { status, counts } = run(['service/good'])
    assert.equal(status, 0)
    const { passed, failed, skipped } = counts()
    assert.deepEqual({ passed, failed, skipped }, { passed: 2, failed: 0, skipped: 0 })
  })

  test('fails when a test fails', () => {
    const { status, counts } = run([])
    assert.equal(status, 1)
    const { passed, failed, skipped } = counts()
    assert.deepEqual({ passed, failed, skipped }, { passed: 2, failed: 1, skipped: 1 })
  })

  test('a skipped test is let through, but not with FIRN_NO_SKIP=1', () => {
    assert.equal(run(['skipping']).status, 0)
    const { status, stderr } = run(['skipping'], { FIRN_NO_SKIP: '1' })
    assert.equal(status, 1)
    assert.match(stderr, /skipped, though FIRN_NO_SKIP=1: test\/skipping[.]test[.]ts: needs a peer/)
  })

  test('a file without tests fails with FIRN_NO_SKIP=1', () => {
    const { status, stderr } = run(['empty'], { FIRN_NO_SKIP: '1' })
    assert.equal(status, 1)
    assert.match(stderr, /test\/empty[.]test[.]ts ran no test/)
  })

  test('a required suite that ran no test fails, also one whose tests were all skipped', () => {
    assert.equal(run(['good'], { FIRN_TEST_SUITES: 'service/good' }).status, 0)
    const { status, stderr } = run(['good', 'skipping'], { FIRN_TEST_SUITES: 'service replication test/skipping' })
    assert.equal(status, 1)
    assert.match(stderr, /the suite replication ran no test/)
    assert.match(stderr, /the suite test\/skipping ran no test/)
  })

  test('a filter that fits no file fails', () => {
    const { status, stderr } = run(['nowhere'])
    assert.equal(status, 1)
    assert.match(stderr, /no test file's path contains nowhere/)
  })
})

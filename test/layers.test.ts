/** The layering rules catch what they are for: each is planted in a small copy of the tree, and found by name. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'

const root = path.join(import.meta.dirname, '..')
const cruiser = path.join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')

/** File, what it imports, the rule that forbids it. */
const planted: readonly [from: string, to: string, rule: string][] = [
  ['storage-adapters/contract/planted.ts', '../../service/errors.ts', 'contract-imports-nothing-of-ours'],
  ['storage-adapters/file/planted.ts', '../../service/errors.ts', 'adapters-only-the-contract'],
  ['storage-adapters/wrap/planted.ts', '../file/adapter.ts', 'adapters-only-the-contract'],
  ['replication/planted.ts', '../retention/policy.ts', 'replication-only-contract-and-own-ports'],
  ['retention/planted.ts', '../service/errors.ts', 'retention-only-contract-and-own-ports'],
  ['service/ingest/planted.ts', 'express', 'use-cases-know-no-protocol'],
  ['service/retrieve/planted-sql.ts', 'knex', 'use-cases-know-no-protocol'],
  ['service/landing/planted.ts', 'node:http', 'use-cases-know-no-server'],
  ['service/retrieve/planted.ts', '../dimse/server.ts', 'use-cases-know-no-server'],
  ['service/dicom/planted.ts', '../http/server.ts', 'dicom-knows-only-itself'],
  ['service/jobs/planted.ts', 'knex', 'only-the-catalogue-uses-knex'],
  ['service/http/planted-parser.ts', 'dicom-parser', 'only-dicom-uses-dicom-parser'],
  ['service/dimse/planted-express.ts', 'express', 'only-http-uses-express'],
  ['service/dimse/planted.ts', '../http/server.ts', 'protocols-use-only-cases-and-ports'],
  ['service/http/planted.ts', '../catalogue/knex/catalogue.ts', 'protocols-use-only-cases-and-ports'],
  ['service/jobs/planted-catalogue.ts', '../catalogue/knex/catalogue.ts', 'catalogue-behind-its-ports'],
  ['service/config/planted.ts', '../main.ts', 'nobody-imports-main'],
  ['service/http/planted-archive.ts', '../archive.ts', 'protocols-use-only-cases-and-ports'],
  ['test/acceptance/planted.ts', '../../service/errors.ts', 'acceptance-is-black-box'],
  ['service/jobs/planted-fixture.ts', '../../test/fixtures/dicom.ts', 'product-imports-no-tests'],
  ['service/jobs/planted-dev.ts', 'undici', 'no-dev-dependency-in-the-product'],
  ['service/jobs/cycle-a.ts', './cycle-b.ts', 'no-cycles'],
  ['service/jobs/planted-missing.ts', './is-not-there.ts', 'imports-exist'],
]

/** Imports that the architecture allows. */
const allowed: readonly [from: string, to: string][] = [
  ['storage-adapters/file/adapter.ts', '../contract/adapter.ts'],
  ['service/http/server.ts', '../ingest/ports.ts'],
  ['service/http/routes.ts', 'express'],
  ['service/dimse/server.ts', '../catalogue/ports.ts'],
  ['service/catalogue/knex/catalogue.ts', 'knex'],
  ['service/main.ts', './archive.ts'],
  ['service/archive.ts', './catalogue/knex/catalogue.ts'],
  ['service/ingest/ports.ts', '../errors.ts'],
  ['retention/policy.ts', '../storage-adapters/contract/adapter.ts'],
  ['service/jobs/cycle-b.ts', './cycle-a.ts'],
]

const leaves = [
  'storage-adapters/contract/adapter.ts',
  'service/errors.ts',
  'service/catalogue/ports.ts',
  'test/fixtures/dicom.ts',
]

interface Violation {
  from: string
  rule: { name: string }
}

describe('layering rules', () => {
  const tree = mkdtempSync(path.join(tmpdir(), 'firn-layers-'))
  let violations: Violation[] = []
  after(() => rmSync(tree, { recursive: true }))

  before(() => {
    const write = (file: string, text: string) => {
      mkdirSync(path.join(tree, path.dirname(file)), { recursive: true })
      writeFileSync(path.join(tree, file), text)
    }
    for (const [from, to] of [...planted, ...allowed]) write(from, `import '${to}'\nexport const x = 1\n`)
    for (const leaf of leaves) write(leaf, 'export const x = 1\n')
    for (const file of ['package.json', 'tsconfig.json', '.dependency-cruiser.cjs']) {
      copyFileSync(path.join(root, file), path.join(tree, file))
    }
    symlinkSync(path.join(root, 'node_modules'), path.join(tree, 'node_modules'))
    const folders = ['service', 'storage-adapters', 'replication', 'retention', 'test']
    const args = [cruiser, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...folders]
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: tree, encoding: 'utf8', maxBuffer: 1 << 28 })
    assert.ok(stdout, stderr)
    violations = JSON.parse(stdout).summary.violations
  })

  const rulesOf = (file: string) => violations.filter(({ from }) => from === file).map(({ rule }) => rule.name)

  for (const [from, to, rule] of planted) {
    test(`${rule}: ${from} must not import ${to}`, () => {
      assert.ok(rulesOf(from).includes(rule), `found: ${rulesOf(from).join(', ') || 'nothing'}`)
    })
  }

  test('what the architecture allows is let through', () => {
    for (const [from] of allowed) {
      assert.deepEqual(
        rulesOf(from).filter((rule) => rule !== 'no-cycles'),
        [],
        from,
      )
    }
  })

  test('the tree itself keeps the rules', () => {
    const { status, stdout } = spawnSync(process.execPath, ['scripts/layers.mjs'], { cwd: root, encoding: 'utf8' })
    assert.equal(status, 0, stdout)
  })
})

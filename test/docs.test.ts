/** What the documents say of commands, keys and files, checked against the code. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { CONFIGURATION_PAGE, withTable } from '../scripts/config-docs.ts'
import { keyFor } from '../service/catalogue/knex/keys.ts'
import { loadConfig } from '../service/config/load.ts'
import { LEVEL_TAGS } from '../service/dicom/levels.ts'

const root = path.join(import.meta.dirname, '..')
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
]
const LEVELS = ['patient', 'study', 'series', 'instance'] as const

const read = (page: string) => readFileSync(path.join(root, page), 'utf8')

describe('documents', () => {
  test('the table of configuration keys is current', () => {
    const page = readFileSync(CONFIGURATION_PAGE, 'utf8')
    assert.equal(page, withTable(page), 'run: node --import tsx scripts/config-docs.ts')
  })

  test('examples of the configuration are valid', (t) => {
    const examples = pages.flatMap((page) =>
      [...read(page).matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml]) => yaml as string),
    )
    assert.ok(examples.length > 0)
    const folder = mkdtempSync(path.join(tmpdir(), 'firn-docs-'))
    t.after(() => rmSync(folder, { recursive: true }))
    for (const yaml of examples) {
      writeFileSync(path.join(folder, 'firn.yaml'), yaml)
      assert.doesNotThrow(() => loadConfig({ file: path.join(folder, 'firn.yaml') }), yaml)
    }
  })

  test('every link leads to a file', () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)]
        .map(([, target]) => target as string)
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => !existsSync(path.join(root, path.dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    )
    assert.deepEqual(broken, [])
  })

  test('every source file that is named is there', () => {
    const named = /`((?:service|test|scripts|bench|bin)\/[\w./-]+\.(?:ts|mjs|cjs|sh))`/g
    const missing = pages.flatMap((page) =>
      [...read(page).matchAll(named)]
        .map(([, file]) => file as string)
        .filter((file) => !existsSync(path.join(root, file)))
        .map((file) => `${page}: ${file}`),
    )
    assert.deepEqual(missing, [])
  })

  test('the conformance statement lists exactly the keys that are matched at each level', () => {
    const section = read('docs/conformance-statement.md').split('### 5.1 Keys')[1]?.split('\n\n| matching ')[0] ?? ''
    const listed = new Map<string, number>()
    let level = -1
    for (const [, name, , tags] of section.matchAll(/^\| (\w*) ?\| ([\w >]+) \| ([(),0-9A-F >]+) \|/gm)) {
      if (name) level = LEVELS.indexOf(name as (typeof LEVELS)[number])
      listed.set((tags as string).replace(/[(),\s]/g, '').replace('>', '.'), level)
    }
    assert.ok(listed.size > 20, 'the table was not found')
    const candidates = [...listed.keys(), ...Object.values(LEVEL_TAGS).flat()]
    for (const path of candidates) {
      const from = LEVELS.findIndex((each) => keyFor(each, path.split('.')) !== undefined)
      assert.equal(from, listed.get(path) ?? -1, `${path}: matched from level ${LEVELS[from] ?? 'none'} down`)
    }
  })
})

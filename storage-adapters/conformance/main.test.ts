import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { run } from '../../test/support/host.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const at = (file: string) => JSON.stringify(new URL(file, import.meta.url).href)
const IMPORTS = `import { memoryStore } from ${at('../memory/memory.ts')}
import { metrics } from ${at('../wrap/metrics.ts')}`

describe('the suite on an adapter from elsewhere', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'firn-conformance-'))
  })
  after(() => rm(folder, { recursive: true }))

  /** A run of its own must not know that it is inside a test, else node's runner makes it a part of that. */
  async function suiteOn(name: string, code: string) {
    const file = join(folder, name)
    await writeFile(file, `${IMPORTS}\n${code}`)
    return run('env', ['-u', 'NODE_TEST_CONTEXT', process.execPath, '--import', 'tsx', MAIN, '--adapter', name], {
      env: { INIT_CWD: folder },
    })
  }

  test('passes with a good one', async () => {
    const ended = await suiteOn('good.mjs', 'export default () => memoryStore()')
    assert.equal(ended.code, 0, ended.stdout)
    assert.match(ended.stdout, /pass \d{2,}/)
    assert.match(ended.stdout, /fail 0/)
  })

  for (const [name, fault, failing] of [
    [
      'replaces what is there',
      'put: (key, source, o) => { keys[key] = "v" + n++ + "/" + key; return inner.put(keys[key], source, o) }, get: (key, o) => inner.get(keys[key] ?? key, o), stat: async (key, s) => ({ ...(await inner.stat(keys[key] ?? key, s)), key })',
      "don't replace what is there",
    ],
    ['keeps-removed', 'remove: async () => {}', 'bytes are gone'],
    [
      'takes-forged-permits',
      'remove: async (key, permit, s) => { if (!permit) throw new TypeError("no permit") }',
      'genuine permit',
    ],
    ['short-ranges', 'get: async (key, o = {}) => inner.get(key, { ...o, range: undefined })', 'range'],
    [
      'unsorted',
      'list: async function* (o) { const all = []; for await (const s of inner.list(o)) all.push(s); yield* all.reverse() }',
      'order of their bytes',
    ],
    ['throws-its-own', 'stat: async (key) => { throw new Error("404") }', 'told so'],
  ] as const) {
    test(`fails with one that ${name}`, async () => {
      const ended = await suiteOn(
        `${name}.mjs`,
        `let n = 0
const keys = {}
const inner = metrics(memoryStore(), () => undefined)
export default () => ({ ...inner, ${fault} })`,
      )
      assert.equal(ended.code, 1, ended.stdout.slice(-2_000))
      assert.match(ended.stdout, new RegExp(`(✖|not ok).*${failing}`))
    })
  }

  test('says what it needs', async () => {
    assert.equal((await suiteOn('empty.mjs', 'export const nothing = 1')).code, 2)
  })
})

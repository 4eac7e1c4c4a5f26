import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { run } from '../../test/support/host.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const MEMORY = new URL('../memory/memory.ts', import.meta.url).href

describe('the suite on an adapter from elsewhere', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'firn-conformance-'))
  })
  after(() => rm(folder, { recursive: true }))

  /** A run of its own must not know that it is inside a test, else node's runner makes it a part of that. */
  async function suiteOn(name: string, code: string) {
    const file = join(folder, name)
    await writeFile(file, `import { memoryStore } from ${JSON.stringify(MEMORY)}\n${code}`)
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
      'replaces',
      'put: async (key, source, o) => { store.objects?.clear; return { ...(await inner.put(key + "x" + n++, source, o)) } }',
      'stored whole',
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
const inner = memoryStore()
const store = Object.assign(Object.create(inner), { ${fault} })
export default () => store`,
      )
      assert.equal(ended.code, 1, ended.stdout.slice(-2_000))
      assert.match(ended.stdout, new RegExp(`(✖|not ok).*${failing}`))
    })
  }

  test('says what it needs', async () => {
    assert.equal((await suiteOn('empty.mjs', 'export const nothing = 1')).code, 2)
  })
})

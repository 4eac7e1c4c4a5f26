/** Rules of style that no linter here knows; they hold for every file that git tracks. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'

const root = path.join(import.meta.dirname, '..')
const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter((file) => file !== '' && existsSync(path.join(root, file)))
const text = tracked.filter((file) => !/[.](png|ico|dcm|gz|woff2?)$/.test(file))
const source = text.filter((file) => /[.](ts|mjs|cjs|js)$/.test(file) || file.startsWith('.ci/'))
const generated = (file: string) => file === 'package-lock.json' || file === 'LICENSE'
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

/** Written apart so that this file keeps its own rules. */
const workRemark = new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')})\\b`)
const registryHost = new RegExp(
  ['registry[.]npmjs', 'npmjs[.]org', 'registry[.]yarnpkg', 'deb[.]debian[.]org'].join('|'),
)
const workplacePath = /(^|[^\w.])\/(work|home|root)\/[\w.]/

function offenders(files: readonly string[], pattern: RegExp): string[] {
  return files.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
  )
}

describe('style', () => {
  test('no source file is longer than 400 lines without its reason in a line `// long: ...`', () => {
    const long = source.filter((file) => {
      const content = read(file)
      return content.split('\n').length > 401 && !/^(\/\/|#) long: \S/m.test(content)
    })
    assert.deepEqual(long, [])
  })

  test('nothing is left for later in a remark', () => {
    assert.deepEqual(offenders(source, workRemark), [])
  })

  test('no file names the host of a package registry', () => {
    assert.deepEqual(offenders(text, registryHost), [])
  })

  test("no file names a path of its author's machine", () => {
    assert.deepEqual(
      offenders(
        text.filter((file) => !generated(file)),
        workplacePath,
      ),
      [],
    )
  })

  test('no file skips other tests by `only`', () => {
    assert.deepEqual(
      offenders(
        source.filter((file) => file.endsWith('.test.ts')),
        /\b(test|it|describe)[.]only\(/,
      ),
      [],
    )
  })
})

import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { all } from '../../test/property/core.ts'
import { tempDir } from '../../test/support/host.ts'
import { walk } from './walk.ts'

const FILES = ['a', 'a-b', 'a.d/x', 'a/z', 'b/1', 'b/c/2', 'b/c/3', 'b.txt', 'z'].filter((path) => path !== 'a/z')

describe('walking a folder', () => {
  const root = tempDir('walk')
  for (const path of FILES) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), '')
  }
  symlinkSync(root, join(root, 'loop'))
  const paths = async (after?: string, namesMax?: number) =>
    (await all(walk(root, after, namesMax))).map(({ path }) => path)

  test('meets every file once, always in the same order, and follows no link', async () => {
    const found = await paths()
    assert.deepEqual([...found].sort(), [...FILES].sort())
    assert.deepEqual(await paths(undefined, 2), found, 'with few names at a time too')
  })

  test('goes on behind each file', async () => {
    const found = await paths()
    for (const [n, path] of found.entries()) assert.deepEqual(await paths(path), found.slice(n + 1), path)
  })
})

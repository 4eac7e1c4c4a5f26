import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { bytesOf } from '../../test/property/core.ts'
import { tempDir } from '../../test/support/host.ts'
import { BLOCK_BYTES, BlockCache } from './block-cache.ts'

/** Other bytes for each pack, without holding much. */
function packOf(key: string, sizeBytes: number) {
  const bytes = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 4096) {
    createHash('sha256').update(`${key} ${at}`).digest().copy(bytes, at)
  }
  const asked: [number, number][] = []
  return {
    key,
    sizeBytes,
    bytes,
    asked,
    async *fetch(start: number, end: number) {
      asked.push([start, end])
      assert.ok(start >= 0 && end <= sizeBytes && start < end, `${start} to ${end} of ${sizeBytes}`)
      for (let at = start; at < end; at += 700_001) yield bytes.subarray(at, Math.min(end, at + 700_001))
    },
  }
}
type Pack = ReturnType<typeof packOf>

const open = (folder: string, bytesMax = 100 * BLOCK_BYTES, mayWrite = () => true) =>
  BlockCache.open({ folder, bytesMax, mayWrite })
const read = (cache: BlockCache, pack: Pack, start: number, end: number) =>
  bytesOf(cache.read(pack, start, end, (from, to) => pack.fetch(from, to)))
const onDisk = (folder: string) => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

describe('the cache of slow packs', () => {
  test('gives any range as it is, and asks for each block once', async () => {
    const folder = tempDir('blocks')
    const cache = await open(folder)
    const pack = packOf('one', 5 * BLOCK_BYTES + 12_345)
    await fc.assert(
      fc.asyncProperty(fc.nat(pack.sizeBytes - 1), fc.nat(pack.sizeBytes), async (from, length) => {
        const end = Math.min(pack.sizeBytes, from + 1 + length)
        assert.ok((await read(cache, pack, from, end)).equals(pack.bytes.subarray(from, end)))
      }),
      { numRuns: 40 },
    )
    await read(cache, pack, 0, pack.sizeBytes)
    pack.asked.length = 0
    assert.ok((await read(cache, pack, 0, pack.sizeBytes)).equals(pack.bytes))
    assert.deepEqual(pack.asked, [])
    assert.ok(cache.bytes >= pack.sizeBytes)
  })

  test('is there after a restart, and what is damaged or half there is asked for again', async () => {
    const folder = tempDir('blocks')
    const pack = packOf('two', 3 * BLOCK_BYTES)
    await read(await open(folder), pack, 0, pack.sizeBytes)
    const names = readdirSync(folder).sort()
    assert.equal(names.length, 3)
    const [first, second, third] = names.map((name) => join(folder, name)) as [string, string, string]
    const damaged = readFileSync(first)
    damaged[1000] = (damaged[1000] as number) ^ 1
    rmSync(first)
    writeFileSync(first, damaged)
    truncateSync(second, 500)
    // One block in the place of another one.
    const other = readFileSync(third)
    writeFileSync(join(folder, '9.draft'), 'torn')
    const cache = await open(folder)
    pack.asked.length = 0
    assert.ok((await read(cache, pack, 0, pack.sizeBytes)).equals(pack.bytes))
    assert.equal(
      pack.asked.reduce((sum, [start, end]) => sum + end - start, 0),
      2 * BLOCK_BYTES,
    )
    assert.equal(readdirSync(folder).length, 3)
    rmSync(first)
    writeFileSync(first, other)
    assert.ok((await read(await open(folder), pack, 0, pack.sizeBytes)).equals(pack.bytes))
  })

  test('keeps to its bound, also one that became smaller, and lets the least used go', async () => {
    const folder = tempDir('blocks')
    const bound = 4 * (BLOCK_BYTES + 32)
    const cache = await open(folder, bound)
    const packs = [packOf('a', 2 * BLOCK_BYTES), packOf('b', 2 * BLOCK_BYTES), packOf('c', BLOCK_BYTES)] as const
    const [a, b, c] = packs
    for (const pack of [a, b, a, c]) await read(cache, pack, 0, pack.sizeBytes)
    assert.ok(onDisk(folder) <= bound)
    for (const pack of packs) pack.asked.length = 0
    await read(cache, a, 0, a.sizeBytes)
    await read(cache, c, 0, c.sizeBytes)
    assert.deepEqual([a.asked, c.asked], [[], []], 'what was used lately is there')
    await read(cache, b, 0, b.sizeBytes)
    assert.ok(b.asked.length > 0)
    await open(folder, 2 * (BLOCK_BYTES + 32))
    assert.ok(onDisk(folder) <= 2 * (BLOCK_BYTES + 32))
  })

  test('writes nothing where there is no room, and reads on where it can not write', async () => {
    const folder = tempDir('blocks')
    const pack = packOf('d', 2 * BLOCK_BYTES)
    assert.ok(
      (await read(await open(folder, undefined, () => false), pack, 5, 2_000_000)).equals(
        pack.bytes.subarray(5, 2_000_000),
      ),
    )
    assert.deepEqual(readdirSync(folder), [])
    const cache = await open(folder)
    rmSync(folder, { recursive: true })
    assert.ok((await read(cache, pack, 0, pack.sizeBytes)).equals(pack.bytes))
    assert.equal(cache.bytes, 0)
  })

  test('forgets a pack that is to be gone', async () => {
    const folder = tempDir('blocks')
    const cache = await open(folder)
    const [a, b] = [packOf('packs/e/one.tar', 2 * BLOCK_BYTES), packOf('packs/f/one.tar', BLOCK_BYTES)]
    for (const pack of [a, b]) await read(cache, pack, 0, pack.sizeBytes)
    await cache.drop('packs/e')
    assert.equal(readdirSync(folder).length, 1)
    assert.equal(cache.bytes, BLOCK_BYTES + 32)
  })
})

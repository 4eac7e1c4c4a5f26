import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { instanceSets, listed, makePack, readerOf } from '../../test/property/packs.ts'
import { END_OF_ARCHIVE } from '../tar/ustar.ts'
import { encodeHeader } from './layout.ts'
import { INDEX_NAME, MANIFEST_NAME, METADATA_NAME } from './pack.ts'
import type { PackPlan } from './plan.ts'
import { recheckPack, verifyPack } from './verify.ts'

const flipped = (bytes: Buffer, at: number, bits = 1): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] as number) ^ bits
  return copy
}

/** Whose header, data or padding the byte belongs to; null for the archive's end. */
function memberAt(plan: PackPlan, at: number): string | null {
  const manifestAt = 512 + Math.ceil(plan.index.length / 512) * 512
  if (at < manifestAt) return INDEX_NAME
  if (at < plan.metadata.offset - 512) return MANIFEST_NAME
  const members = [{ name: METADATA_NAME, ...plan.metadata }, ...plan.instances]
  const found = members.find(({ offset, sizeBytes }) => at < offset + Math.ceil(sizeBytes / 512) * 512)
  return found?.name ?? null
}

describe('verifying a pack', () => {
  test('finds nothing wrong with what was made', async () => {
    await fc.assert(
      fc.asyncProperty(instanceSets, fc.integer({ min: 1, max: 3000 }), async (set, chunkBytes) => {
        const { plan, bytes, sha256 } = await makePack(set)
        const report = await verifyPack(readerOf(bytes, chunkBytes), bytes.length, sha256)
        assert.deepEqual(report.faults, [])
        assert.equal(report.sha256, sha256)
        assert.deepEqual(report.index?.instances, plan.instances)
      }),
      { numRuns: 60 },
    )
  })

  test('finds every flipped byte and names its member, without knowing the digest of the pack', async () => {
    const { plan, bytes } = await makePack([
      listed('a', 700),
      listed('b', 30, { sopInstanceUid: '9' }),
      listed('c', 512, { sopInstanceUid: '9' }),
    ])
    for (let at = 0; at < bytes.length; at++) {
      const bits = 1 << (at % 8)
      const { faults } = await verifyPack(readerOf(flipped(bytes, at, bits), 4096), bytes.length)
      const named = new Set(faults.map(({ member }) => member))
      const expected = memberAt(plan, at)
      assert.ok(named.has(expected), `byte ${at} of ${expected}: ${JSON.stringify(faults)}`)
      // Nobody else is accused, but where two files contradict each other and nothing tells which one is right.
      const others = [...named].filter((name) => name !== expected && name !== null)
      const unclear = expected === INDEX_NAME ? [MANIFEST_NAME] : [INDEX_NAME]
      assert.ok(others.length === 0 || (others.length === 1 && others[0] === unclear[0]), `byte ${at}: ${[...named]}`)
      if (others.length === 1) assert.ok(expected === INDEX_NAME || expected === MANIFEST_NAME, `byte ${at}`)
    }
  })

  test('finds flipped bytes anywhere in random packs', async () => {
    await fc.assert(
      fc.asyncProperty(instanceSets, fc.nat(), fc.integer({ min: 1, max: 255 }), async (set, where, bits) => {
        const { plan, bytes, sha256 } = await makePack(set)
        const at = where % bytes.length
        const report = await verifyPack(readerOf(flipped(bytes, at, bits)), bytes.length, sha256)
        const named = report.faults.map(({ member }) => member)
        assert.ok(named.includes(memberAt(plan, at)) && named.includes(null), JSON.stringify(report.faults))
      }),
      { numRuns: 200 },
    )
  })

  test('names each of several damaged members, and goes on behind a damaged header', async () => {
    const set = Array.from({ length: 8 }, (_, i) => listed(`${i}`, 2000, { instanceNumber: i }))
    const { plan, bytes } = await makePack(set)
    const [, second, , fourth, , , seventh] = plan.instances.map(({ offset }) => offset) as number[]
    const bad = Buffer.from(bytes)
    for (const at of [second, (fourth as number) - 400, (seventh as number) + 1999])
      bad[at as number] = 0xaa ^ (bad[at as number] as number)
    const { faults } = await verifyPack(readerOf(bad), bad.length)
    const names = faults.map(({ member }) => member).filter((name) => name !== null)
    assert.deepEqual(names.sort(), [1, 3, 6].map((i) => plan.instances[i]?.name).sort())
  })

  test('names what is cut off, what is behind the end and what does not belong', async () => {
    const { plan, bytes, sha256 } = await makePack([listed('a', 2000), listed('b', 2000, { instanceNumber: 2 })])
    const [first, second] = plan.instances as [PackPlan['instances'][number], PackPlan['instances'][number]]
    const cut = bytes.subarray(0, first.offset + 100)
    const report = await verifyPack(readerOf(cut), cut.length, sha256)
    const names = new Set(report.faults.map(({ member }) => member))
    assert.deepEqual(names, new Set([first.name, second.name, null]))
    // The store says that it has more than it gives.
    const short = await verifyPack(() => readerOf(bytes)(0, first.offset + 100), bytes.length)
    assert.deepEqual(new Set(short.faults.map(({ member }) => member)), new Set([first.name, second.name, null]))

    const longer = Buffer.concat([bytes, Buffer.alloc(512)])
    assert.ok((await verifyPack(readerOf(longer), longer.length)).faults.length > 0)

    const stranger = encodeHeader({ name: 'stranger', sizeBytes: 0, mtime: 1 })
    const end = bytes.length - END_OF_ARCHIVE.length
    for (const name of ['stranger', first.name, INDEX_NAME]) {
      const header = name === 'stranger' ? stranger : encodeHeader({ name, sizeBytes: 0, mtime: 1 })
      const more = Buffer.concat([bytes.subarray(0, end), header, END_OF_ARCHIVE])
      const { faults } = await verifyPack(readerOf(more), more.length)
      assert.ok(faults.some(({ member, problem }) => member === name && problem === 'it does not belong here'))
    }
  })

  test('names another pack, whole as it is, by its digest', async () => {
    const { bytes } = await makePack([listed('a', 10)])
    const { sha256 } = await makePack([listed('b', 10)])
    const { faults } = await verifyPack(readerOf(bytes), bytes.length, sha256)
    assert.deepEqual(
      faults.map(({ member }) => member),
      [null],
    )
  })

  test('again reads an intact pack once, and a damaged one once more to name what is damaged', async () => {
    const { plan, bytes, sha256 } = await makePack([listed('a', 3000), listed('b', 3000, { instanceNumber: 2 })])
    let read = 0
    const counting = (pack: Buffer) => (start: number, end: number) => {
      read += end - start
      return readerOf(pack)(start, end)
    }
    const intact = await recheckPack(counting(bytes), bytes.length, sha256)
    assert.deepEqual(intact.faults, [])
    assert.deepEqual(intact.index?.instances, plan.instances)
    assert.ok(read <= 2 * bytes.length)
    const noPack = Buffer.alloc(4096, 7)
    const digest = createHash('sha256').update(noPack).digest('hex')
    assert.ok((await recheckPack(readerOf(noPack), noPack.length, digest)).faults.length > 0)
    const bad = flipped(bytes, plan.instances[1]?.offset as number)
    const { faults } = await recheckPack(counting(bad), bad.length, sha256)
    assert.deepEqual(
      faults.map(({ member }) => member),
      [plan.instances[1]?.name, null],
    )
  })

  test('says so when neither index nor manifest can be read', async () => {
    const { plan, bytes } = await makePack([listed('a', 10)])
    const bad = flipped(flipped(bytes, 513, 0xff), plan.metadata.offset - 512 - 1024, 0xff)
    const { faults, index } = await verifyPack(readerOf(bad), bad.length)
    assert.equal(index, undefined)
    assert.ok(
      faults.some(({ member }) => member === INDEX_NAME) && faults.some(({ member }) => member === MANIFEST_NAME),
    )
    assert.ok(faults.some(({ problem }) => problem === 'nothing tells what its instances should be'))
    const noise = Buffer.alloc(5000, 7)
    assert.ok((await verifyPack(readerOf(noise), noise.length)).faults.length > 0)
    assert.ok((await verifyPack(readerOf(Buffer.alloc(0)), 0)).faults.length > 0)
  })

  test('a store that fails is no damage: its error is passed on', async () => {
    const { bytes } = await makePack([listed('a', 3000)])
    const failing = async function* () {
      yield bytes.subarray(0, 1000)
      throw new Error('connection reset')
    }
    await assert.rejects(verifyPack(failing, bytes.length), /connection reset/)
  })
})

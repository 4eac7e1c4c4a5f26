import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { bytesOf, inChunks } from '../../test/property/core.ts'
import { instanceSets, jsonOf, listed, makePack, STUDY } from '../../test/property/packs.ts'
import { installed, skipUnless, tempDir } from '../../test/support/host.ts'
import { planPack } from './plan.ts'
import { digestOf, type PackParts, packSource, sourceOf } from './write.ts'

const SET = [
  listed('a', 70_001, { instanceNumber: 1 }),
  listed('b', 512, { instanceNumber: 2, sopInstanceUid: '1.9' }),
  listed('c', 513, { instanceNumber: 3, sopInstanceUid: '1.9' }),
  listed('d', 8, { seriesUid: `2.25.${'1'.repeat(59)}`, sopInstanceUid: `2.25.${'2'.repeat(59)}` }),
  listed('f', 300_001, { instanceNumber: 4 }),
  listed('e', 9, { seriesUid: 'metadata.json.gz', sopInstanceUid: '1.9' }),
]

const PYTHON = `
import gzip, hashlib, json, sys, tarfile
with tarfile.open(sys.argv[1]) as pack:
    members = {m.name: m for m in pack}
    index = json.load(pack.extractfile('firn-pack.json'))
    metadata = json.loads(gzip.decompress(pack.extractfile('metadata.json.gz').read()))
    assert list(members)[:3] == ['firn-pack.json', 'manifest-sha256.txt', 'metadata.json.gz']
    assert list(members)[3:] == [i['name'] for i in index['instances']]
    assert [m['00080018']['Value'][0] for m in metadata] == [i['sopInstanceUid'] for i in index['instances']]
    for i in index['instances']:
        data = pack.extractfile(i['name']).read()
        assert members[i['name']].offset_data == i['offset']
        assert hashlib.sha256(data).hexdigest() == i['sha256'], i['name']
print('same', len(members))
`

function writePack(bytes: Buffer): { dir: string; tar: string } {
  const dir = tempDir('pack')
  const tar = join(dir, 'pack.tar')
  writeFileSync(tar, bytes)
  return { dir, tar }
}

describe('the bytes of a pack', () => {
  test('tar unpacks them, and sha256sum finds every member intact', async () => {
    const { plan, bytes } = await makePack(SET)
    const { dir, tar } = writePack(bytes)
    const out = join(dir, 'out')
    mkdirSync(out)
    const messages = execFileSync('sh', ['-c', 'tar -xf "$1" 2>&1', 'sh', tar], { cwd: out, encoding: 'utf8' })
    assert.equal(messages, '')
    const checked = execFileSync('sha256sum', ['--strict', '-c', 'manifest-sha256.txt'], { cwd: out, encoding: 'utf8' })
    assert.equal(checked.trim().split('\n').length, SET.length + 2)
    for (const { name, sha256 } of plan.instances) {
      const original = SET.find((one) => one.sha256 === sha256)?.bytes as Buffer
      assert.ok(readFileSync(join(out, name)).equals(original), name)
    }
    const listing = execFileSync('tar', ['-tvf', tar], { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } })
    assert.equal(listing.match(/^-r--r--r-- firn\/firn +\d+ 2026-11-22 12:31 /gm)?.length, SET.length + 3)
  })

  test("Python's tarfile finds the same", { skip: skipUnless(installed('python3'), 'no python3') }, async () => {
    await fc.assert(
      fc.asyncProperty(instanceSets, async (set) => {
        const { tar } = writePack((await makePack(set)).bytes)
        const said = execFileSync('python3', ['-c', PYTHON, tar], { encoding: 'utf8', stdio: 'pipe' })
        assert.equal(said.trim(), `same ${set.length + 3}`)
      }),
      { numRuns: 5 },
    )
  })

  test('are given any number of times, also side by side and in pieces of any size', async () => {
    const { plan, parts, bytes, sha256 } = await makePack(SET)
    const inPieces = { ...parts, instances: (all: PackedInstances) => again(parts.instances(all)) }
    const source = await packSource(plan, inPieces)
    assert.equal(source.sha256, sha256)
    assert.equal(source.sizeBytes, bytes.length)
    const [one, two] = await Promise.all([bytesOf(source.open()), bytesOf(source.open())])
    assert.ok(one.equals(bytes) && two.equals(bytes))
    assert.ok((await bytesOf(source.open())).equals(bytes))
  })

  test('an instance that is not what it was is named, before anything is stored', async () => {
    const { plan, parts } = await makePack(SET)
    // Of several sizes, since they are not all compared in the same place.
    for (const { name, sopInstanceUid, sha256, sizeBytes } of plan.instances) {
      const damaged = Buffer.from(SET.find((one) => one.sha256 === sha256)?.bytes as Buffer)
      damaged[sizeBytes - 1] = (damaged[sizeBytes - 1] as number) ^ 1
      await assert.rejects(packSource(plan, { ...parts, instances: replaced(parts, name, damaged) }), {
        code: 'storage_failed',
        message: new RegExp(`instance ${sopInstanceUid} is damaged: SHA-256 [0-9a-f]{64} instead of ${sha256}`),
      })
    }
    const other = { ...parts, metadata: () => inChunks(Buffer.alloc(plan.metadata.sizeBytes)) }
    await assert.rejects(packSource(plan, other), { code: 'storage_failed', message: /^metadata.json.gz is damaged/ })
  })

  test('a large instance is compared too, and memory stays small', async () => {
    const sizeBytes = 192 * 1024 * 1024
    const zeros = async function* () {
      for (let at = 0; at < sizeBytes; at += 1 << 20) yield Buffer.alloc(1 << 20)
    }
    const hash = createHash('sha256')
    for await (const chunk of zeros()) hash.update(chunk)
    const giant = { ...listed('giant', 1), sizeBytes, sha256: hash.digest('hex') }
    const metadata = Buffer.from('any')
    const member = { sizeBytes: 3, sha256: createHash('sha256').update(metadata).digest('hex') }
    const content = { studyUid: STUDY, volume: 'radiology', retention: null, metadata: member }
    const parts: PackParts = { instances: zeros, metadata: () => inChunks(metadata) }
    let most = 0
    const watched: PackParts = {
      ...parts,
      async *instances(all) {
        for await (const chunk of parts.instances(all)) {
          most = Math.max(most, process.memoryUsage().arrayBuffers)
          yield chunk
        }
      },
    }
    const before = process.memoryUsage().arrayBuffers
    await digestOf(planPack({ ...content, instances: [giant] }), watched)
    assert.ok(most - before < sizeBytes / 2, `${most - before} bytes`)
    const other = planPack({ ...content, instances: [{ ...giant, sha256: 'ab'.repeat(32) }] })
    await assert.rejects(digestOf(other, parts), { code: 'storage_failed', message: /is damaged: SHA-256/ })
  })

  test('never have a byte too many or too few, even where nobody looks at digests', async () => {
    const { plan, parts, sha256 } = await makePack(SET)
    const last = plan.instances.at(-1)
    for (const [length, message] of [
      [0, 'has 0 bytes instead of'],
      [(last?.sizeBytes ?? 0) - 1, `has ${(last?.sizeBytes ?? 0) - 1} bytes instead of ${last?.sizeBytes}`],
      [(last?.sizeBytes ?? 0) + 1, 'there are more bytes'],
      [200_000, 'there are more bytes'],
    ] as const) {
      const wrong = { ...parts, instances: replaced(parts, last?.name, Buffer.alloc(length)) }
      const expected = { code: 'storage_failed', message: new RegExp(message) }
      await assert.rejects(bytesOf(sourceOf(plan, wrong, sha256).open()), expected)
      await assert.rejects(digestOf(plan, wrong), { code: 'storage_failed' })
    }
    const short = { ...parts, metadata: () => inChunks(Buffer.alloc(5)) }
    await assert.rejects(bytesOf(sourceOf(plan, short, sha256).open()), { message: /^metadata.json.gz has 5 bytes/ })
  })

  test('what a reader says when it fails is passed on, and it is left in order', async () => {
    const { plan, parts } = await makePack(SET)
    let left = 0
    const failing = {
      ...parts,
      async *instances() {
        try {
          yield Buffer.alloc(10)
          throw new Error('the disk is gone')
        } finally {
          left += 1
        }
      },
    }
    await assert.rejects(digestOf(plan, failing), /the disk is gone/)
    assert.equal(left, 1)
    const stalled = {
      ...parts,
      async *instances() {
        try {
          for (;;) yield Buffer.alloc(10)
        } finally {
          left += 1
        }
      },
    }
    const stream = sourceOf(plan, stalled, '').open()
    for await (const chunk of stream) if (chunk.length === 10) break
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(left, 2)
    assert.ok(stream.destroyed)
  })

  test('nothing is read before its turn but the next chunk', async () => {
    const many = Array.from({ length: 20 }, (_, i) => listed(`turn ${i}`, 100_000, { instanceNumber: i }))
    const { plan, parts } = await makePack(many)
    let read = 0
    const counted: typeof parts = {
      ...parts,
      async *instances(all) {
        for await (const chunk of parts.instances(all)) {
          read += chunk.length
          yield chunk
        }
      },
    }
    let taken = 0
    for await (const chunk of sourceOf(plan, counted, '').open()) {
      taken += chunk.length
      assert.ok(read <= taken + 3 * 65_536, `${read} bytes were read when ${taken} were taken`)
    }
    assert.equal(read, 20 * 100_000)
  })

  test('metadata is of the instances, in their order', async () => {
    const { plan, parts } = await makePack(SET)
    const text = gunzipSync(await bytesOf(parts.metadata())).toString()
    assert.equal(text, `[\n${plan.instances.map((one) => jsonOf(one)).join(',\n')}\n]\n`)
  })
})

type PackedInstances = Parameters<PackParts['instances']>[0]

/** The same bytes in other pieces, empty ones among them. */
async function* again(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const bytes = await bytesOf(chunks)
  for await (const chunk of inChunks(bytes, 7001)) {
    yield Buffer.alloc(0)
    yield chunk
  }
}

/** Gives other bytes for one of the instances. */
function replaced(parts: PackParts, name: string | undefined, bytes: Buffer): PackParts['instances'] {
  return async function* (all) {
    for (const one of all) yield* one.name === name ? inChunks(bytes) : parts.instances([one])
  }
}

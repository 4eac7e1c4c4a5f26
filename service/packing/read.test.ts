import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { bytesOf, inChunks } from '../../test/property/core.ts'
import { instanceSets, listed, makePack, readerOf } from '../../test/property/packs.ts'
import { encodeHeader } from './layout.ts'
import { INDEX_NAME, type PackIndex, type ReadRange } from './pack.ts'
import { rangeOf, readIndex } from './read.ts'

const damaged = {
  code: 'storage_failed',
  message: /^the (index of the )?pack is damaged: /,
}

/** A pack's beginning with another index; `sizeBytes` as its header says. */
function withIndex(text: string, sizeBytes = Buffer.byteLength(text)): Buffer {
  return Buffer.concat([encodeHeader({ name: INDEX_NAME, sizeBytes, mtime: 1 }), Buffer.from(text)])
}

describe('the index of a pack', () => {
  test('says what the plan said, and one range of the pack is one instance', async () => {
    await fc.assert(
      fc.asyncProperty(instanceSets, fc.jsonValue(), async (set, retention) => {
        const { plan, bytes } = await makePack(set, { retention: JSON.parse(JSON.stringify(retention)) })
        const read = readerOf(bytes)
        const { index: _, manifest: __, ...expected } = plan
        const found = await readIndex(read, bytes.length)
        assert.deepEqual(found, { ...expected, retention: JSON.parse(plan.index.toString()).retention })
        for (const instance of found.instances) {
          const { start, end } = rangeOf(instance)
          const original = set.find(({ sha256 }) => sha256 === instance.sha256)?.bytes as Buffer
          assert.ok((await bytesOf(read(start, end))).equals(original))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('of 5,000 instances is read with a few MB and two requests', async () => {
    const many = Array.from({ length: 5000 }, (_, i) =>
      listed(`many ${i}`, 9, { instanceNumber: i, sopInstanceUid: `1.2.3.${i}` }),
    )
    const { plan, bytes } = await makePack(many)
    const asked: number[] = []
    const read: ReadRange = (start, end) => {
      asked.push(end - start)
      return readerOf(bytes, 65_536)(start, end)
    }
    const found = await readIndex(read, bytes.length)
    assert.deepEqual(found.instances, plan.instances)
    assert.ok(asked.length <= 2 && asked.reduce((a, b) => a + b) < 5_000_000, `${asked}`)
  })

  test('may have keys that this version does not know', async () => {
    const { bytes } = await makePack([listed('a', 10)])
    const index = await readIndex(readerOf(bytes), bytes.length)
    const text = bytes.subarray(512, 512 + Number.parseInt(bytes.toString('latin1', 124, 135), 8)).toString()
    // As long as before, so that everything stays in its place.
    const more = text.replace('"address":"192.0.2.7"', '"address":"1","x":[1]')
    assert.equal(more.length, text.length)
    const changed = Buffer.concat([withIndex(more), bytes.subarray(512 + text.length)])
    const found = await readIndex(readerOf(changed), changed.length)
    assert.deepEqual(
      found.instances.map(({ offset }) => offset),
      index.instances.map(({ offset }) => offset),
    )
  })

  test('of a later version is not taken for damage', async () => {
    const pack = withIndex('{"firnPack":2,"anything":true}')
    await assert.rejects(readIndex(readerOf(pack), pack.length), { code: 'unsupported', message: /version 2/ })
  })

  test('that is cut off at any byte is refused', async () => {
    const { bytes } = await makePack([listed('a', 3000)])
    for (let length = 0; length < bytes.length; length += 97) {
      await assert.rejects(readIndex(readerOf(bytes.subarray(0, length)), length), damaged)
    }
    // The store said more than it gives.
    await assert.rejects(
      readIndex((start) => inChunks(bytes.subarray(start, 700)), bytes.length),
      damaged,
    )
  })

  test('that is none is refused, whatever it is', async () => {
    const { plan, bytes } = await makePack([listed('a', 10), listed('b', 10)])
    const good = JSON.parse(plan.index.toString()) as PackIndex & { firnPack: number }
    const [first, second] = good.instances as [PackIndex['instances'][number], PackIndex['instances'][number]]
    const swapped = {
      instances: [
        { ...first, offset: second.offset },
        { ...second, offset: first.offset },
      ],
    }
    const texts = [
      '',
      'null',
      '[]',
      '{}',
      '{"firnPack":1}',
      '{"firnPack":"1"}',
      '['.repeat(100_000),
      `{"firnPack":1,"retention":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      '{"firnPack":1,"instances":{"length":1e9}}',
      `{"firnPack":1,"instances":[${'0,'.repeat(1_000_000)}0]}`,
      ...[
        swapped,
        { instances: [{ ...first, name: '../../etc/passwd' }, second] },
        { instances: [{ ...first, offset: -512 }, second] },
        { instances: [{ ...first, sizeBytes: 1e300 }, second] },
        { instances: [{ ...first, sizeBytes: 2 ** 53 - 1 }, second] },
        { instances: [first, first] },
        { instances: [] },
        { studyUid: '..' },
        { metadata: { ...good.metadata, offset: 0 } },
      ].map((over) => JSON.stringify({ ...good, ...over })),
    ]
    for (const text of texts) {
      const pack = Buffer.concat([withIndex(text), bytes.subarray(512 + plan.index.length)])
      await assert.rejects(readIndex(readerOf(pack), pack.length), damaged, text.slice(0, 60))
    }
    const giant = withIndex('{}', 8 * 1024 ** 3 - 1)
    await assert.rejects(readIndex(readerOf(giant), giant.length), damaged)
    await assert.rejects(
      readIndex(() => assert.fail('read'), 0).catch((error) => Promise.reject(error)),
      Error,
    )
  })

  test('random bytes are no pack', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
        await assert.rejects(readIndex(readerOf(Buffer.from(bytes)), bytes.length), damaged)
      }),
      { numRuns: 100 },
    )
  })
})

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { all, bytesOf, inChunks } from '../../test/property/core.ts'
import { jsonOf, listed, makePack, readerOf, STUDY } from '../../test/property/packs.ts'
import { heldMetadata, packMetadata, readMetadata, unpackMetadata } from './metadata.ts'

const SET = [listed('a', 1), listed('b', 1), listed('c', 1)]
const damaged = { code: 'storage_failed', message: /^metadata.json.gz of the pack is damaged/ }
const unpack = (text: string, instances = 1) => all(unpackMetadata(inChunks(gzipSync(text)), instances))

describe('the metadata of a pack', () => {
  test('is the DICOM JSON of each instance, read back line by line', async () => {
    const { plan, bytes } = await makePack(SET)
    const lines = await all(readMetadata(readerOf(bytes, 3), plan))
    assert.deepEqual(
      lines.map(String),
      plan.instances.map((one) => String(jsonOf(one))),
    )
  })

  test('is a gzip file in which nothing depends on where it was made', async () => {
    const { bytes } = await heldMetadata(packMetadata(STUDY, SET, async (one) => jsonOf(one)))
    assert.equal(bytes.subarray(0, 10).toString('hex'), '1f8b08000000000000ff')
    const json = JSON.parse(execFileSync('gzip', ['-dc'], { input: bytes, encoding: 'utf8' }))
    assert.equal(json.length, SET.length)
  })

  test('has at least the identifiers of an instance that nobody could describe, or whose JSON is too long', async () => {
    const limits = { lineBytesMax: 100_000, textBytesMax: 4000 }
    const describeOne = async ({ sopInstanceUid }: { sopInstanceUid: string }) => {
      if (sopInstanceUid === SET[0]?.sopInstanceUid) return undefined
      if (sopInstanceUid === SET[1]?.sopInstanceUid) return Buffer.from(JSON.stringify({ x: 'y'.repeat(5000) }))
      return Buffer.from('{"z":1}')
    }
    const bytes = await bytesOf(packMetadata(STUDY, SET, describeOne, limits))
    const json = JSON.parse(gunzipSync(bytes).toString()) as Record<string, { Value: string[] }>[]
    const uids = json
      .slice(0, 2)
      .map((one) => ['0020000D', '0020000E', '00080018', '00080016'].map((tag) => one[tag]?.Value[0]))
    assert.deepEqual(
      uids,
      SET.slice(0, 2).map((one) => [STUDY, one.seriesUid, one.sopInstanceUid, one.sopClassUid]),
    )
    assert.deepEqual(json[2], { z: 1 })
    assert.equal((await all(unpackMetadata(inChunks(bytes), SET.length, limits))).length, SET.length)
  })

  test('refuses text that would break its lines, and an answer that fails', async () => {
    for (const json of ['{\n}', '', '[]', '{}\n']) {
      await assert.rejects(bytesOf(packMetadata(STUDY, SET, async () => Buffer.from(json))), RangeError)
    }
    const failing = async () => Promise.reject(new Error('the describer died'))
    await assert.rejects(bytesOf(packMetadata(STUDY, SET, failing)), /the describer died/)
    await assert.rejects(heldMetadata(inChunks(Buffer.alloc(1000)), 999), { code: 'too_large' })
  })

  test('that unpacks to more than it may is refused at once, and memory stays small', async () => {
    const limits = { lineBytesMax: 1 << 20, textBytesMax: 8 << 20 }
    const line = gzipSync(Buffer.concat([Buffer.from('[\n'), Buffer.alloc(64 << 20, 0x20)]), { level: 9 })
    const before = process.memoryUsage().arrayBuffers
    await assert.rejects(all(unpackMetadata(inChunks(line, 1000), 1, limits)), { ...damaged, message: /too long/ })
    const lines = gzipSync(Buffer.from(`[\n${`{"a":"${'b'.repeat(1000)}"},\n`.repeat(20_000)}`), { level: 9 })
    const reading = async () => {
      for await (const _ of unpackMetadata(inChunks(lines, 1000), 1e9, limits)) assert.ok(_.length < 2000)
    }
    await assert.rejects(reading(), { ...damaged, message: /unpacks to more/ })
    assert.ok(process.memoryUsage().arrayBuffers - before < 32 << 20)
  })

  test('of another number of instances or another form is refused', async () => {
    assert.deepEqual((await unpack('[\n{}\n]\n')).map(String), ['{}'])
    for (const text of [
      '',
      '[\n',
      '[\n]\n',
      '[\n{}\n]',
      '[\n{},\n]\n',
      '[\n{}\n{}\n]\n',
      '[\n{},\n{}\n]\n',
      '[\n{}\n]\n[\n',
      '{}\n',
      '[{}]\n',
    ]) {
      await assert.rejects(unpack(text), damaged, JSON.stringify(text))
    }
  })

  test('that is damaged anywhere is noticed at its end at the latest', async () => {
    const { plan, bytes } = await makePack(SET)
    const { offset, sizeBytes } = plan.metadata
    for (let at = offset; at < offset + sizeBytes; at++) {
      const bad = Buffer.from(bytes)
      bad[at] = (bad[at] as number) ^ 4
      await assert.rejects(all(readMetadata(readerOf(bad), plan)), damaged, `byte ${at}`)
    }
    await assert.rejects(all(unpackMetadata(inChunks(bytes.subarray(offset, offset + 30)), 3)), damaged)
  })

  test('a store that fails is no damage: its error is passed on', async () => {
    const { plan, bytes } = await makePack(SET)
    const failing = () => inChunks(bytes.subarray(plan.metadata.offset), 16_384, 20)
    await assert.rejects(all(readMetadata(failing, plan)), /connection reset/)
  })
})

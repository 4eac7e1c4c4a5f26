import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { instanceSets, listed, makePack, partsOf, STUDY } from '../../test/property/packs.ts'
import { tempDir } from '../../test/support/host.ts'
import { END_OF_ARCHIVE } from '../tar/ustar.ts'
import { encodeHeader } from './layout.ts'
import { PACK_INSTANCES_MAX, type PackContent } from './pack.ts'
import { membersOf, planPack } from './plan.ts'
import { digestOf } from './write.ts'

const GIB = 1024 ** 3
const content = (instances: PackContent['instances']): PackContent => ({
  ...{ studyUid: STUDY, volume: 'radiology', retention: null, instances },
  metadata: { sizeBytes: 20, sha256: '0'.repeat(64) },
})
const refused = (over: Partial<PackContent>) =>
  assert.throws(() => planPack({ ...content([listed('a', 1)]), ...over }), { code: 'invalid_request' })

describe('the plan of a pack', () => {
  test('is the same whatever the order of the list and of keys', async () => {
    const shuffled = instanceSets.chain((set) =>
      fc.tuple(fc.constant(set), fc.shuffledSubarray(set, { minLength: set.length })),
    )
    await fc.assert(
      fc.asyncProperty(shuffled, async ([set, other]) => {
        const one = await makePack(set, { retention: { rule: 'a', until: { min: 1, max: [2, { y: 1, x: 2 }] } } })
        const two = await makePack(
          other.map(({ sizeBytes, seriesUid, ...rest }) => ({ ...rest, seriesUid, sizeBytes })),
          { retention: { until: { max: [2, { x: 2, y: 1 }], min: 1 }, rule: 'a' } },
        )
        assert.ok(one.bytes.equals(two.bytes))
        assert.equal(one.plan.sizeBytes, one.bytes.length)
      }),
      { numRuns: 100 },
    )
  })

  test('changes with everything that it is made of', async () => {
    const set = [listed('a', 10), listed('b', 10)]
    const packs = await Promise.all([
      makePack(set),
      makePack(set, { studyUid: '1.2.4' }),
      makePack(set, { volume: 'cardiology' }),
      makePack(set, { retention: false }),
      makePack([listed('a', 10), listed('b', 10, { receivedAt: '2026-11-22T12:31:05.681Z' })]),
      makePack([listed('a', 10), listed('b', 10, { source: { protocol: 'import', name: '', address: '' } })]),
    ])
    assert.equal(new Set(packs.map(({ sha256 }) => sha256)).size, packs.length)
  })

  test('is the one that the description of the format shows', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/storage-format.md'), 'utf8')
    const text = /^\{"firnPack":1,\n.*?^\]\}\n/ms.exec(page)?.[0] as string
    const { instances, ...rest } = JSON.parse(text) as PackContent
    const { sizeBytes, index } = planPack({ ...rest, instances: instances.toReversed() })
    assert.equal(index.toString(), text)
    assert.equal(sizeBytes, 8704)
  })

  test('has not changed since the format was written down', async () => {
    const set = [listed('a', 700), listed('b', 8, { sopInstanceUid: '9' }), listed('c', 512, { sopInstanceUid: '9' })]
    // zlib may come to write other bytes, so the metadata are given.
    const metadata = Buffer.from('any')
    const member = { sizeBytes: 3, sha256: createHash('sha256').update(metadata).digest('hex') }
    const retention = { until: { '9': 1, '10': 2 }, rule: ['x', null] }
    const plan = planPack({ studyUid: STUDY, volume: 'radiologie é', retention, metadata: member, instances: set })
    const digest = 'c28430e257713cf438ed6e22c8baaf4b50ef053465deddcb48e3e235942d848f'
    assert.equal(await digestOf(plan, partsOf(set, metadata)), digest)
  })

  test('knows where each instance is before a byte is read', async () => {
    await fc.assert(
      fc.asyncProperty(instanceSets, async (set) => {
        const { plan, bytes } = await makePack(set)
        for (const { sha256, offset, sizeBytes } of plan.instances) {
          const original = set.find((one) => one.sha256 === sha256)?.bytes as Buffer
          assert.ok(bytes.subarray(offset, offset + sizeBytes).equals(original))
        }
        assert.equal(new Set(plan.instances.map(({ name }) => name)).size, set.length)
      }),
      { numRuns: 100 },
    )
  })

  test('places giants so that tar finds what stands behind them', () => {
    const giants = [8 * GIB - 1, 8 * GIB, 8 * GIB + 513, 3 * 1024 * GIB].map((sizeBytes, i) => ({
      ...listed(`giant ${i}`, 1, { instanceNumber: i }),
      sizeBytes,
    }))
    const plan = planPack(content([...giants, { ...listed('last', 1), instanceNumber: 9, sizeBytes: 0 }]))
    const dir = tempDir('pack')
    const archive = join(dir, 'giant.tar')
    writeFileSync(archive, '')
    truncateSync(archive, plan.sizeBytes)
    const file = openSync(archive, 'r+')
    const { own, instances } = membersOf(plan)
    const offsets = [512, 512 + own[0].sizeBytes, plan.metadata.offset, ...plan.instances.map(({ offset }) => offset)]
    offsets[1] = (plan.metadata.offset - 512 - plan.manifest.length) & ~511
    for (const [i, member] of [...own, ...instances].entries()) {
      const header = encodeHeader(member)
      writeSync(file, header, 0, header.length, (offsets[i] as number) - header.length)
    }
    closeSync(file)
    const listing = execFileSync('tar', ['-tvf', archive], { encoding: 'utf8', stdio: 'pipe' }).trim().split('\n')
    assert.deepEqual(
      listing.slice(3).map((line) => line.replace(/^.*firn +(\d+) \S+ \S+ (.*)$/, '$1 $2')),
      plan.instances.map(({ sizeBytes, name }) => `${sizeBytes} ${name}`),
    )
    const last = plan.instances.at(-1)
    assert.equal(plan.sizeBytes, (last?.offset ?? 0) + END_OF_ARCHIVE.length)
  })

  test('says where 5,000 instances are, and stays small beside them', () => {
    const many = Array.from({ length: 5000 }, (_, i) =>
      listed(`many ${i}`, 16, { sopInstanceUid: `2.25.${String(i).padStart(35, '1')}`, instanceNumber: i }),
    ).map((one) => ({ ...one, sizeBytes: 526_000 }))
    const plan = planPack(content(many))
    const text = JSON.parse(plan.index.toString()) as PackContent
    assert.deepEqual(text.instances, plan.instances)
    const overhead = plan.sizeBytes / (5000 * 526_000) - 1
    assert.ok(overhead < 0.005, `${overhead}`)
  })

  test('is refused for what is no content of a pack', () => {
    const one = listed('a', 1)
    refused({ instances: [] })
    refused({ instances: [one, { ...one }] })
    refused({ studyUid: '../x' })
    refused({ volume: '' })
    refused({ retention: { until: undefined } as never })
    refused({ retention: JSON.parse(`${'['.repeat(5000)}${']'.repeat(5000)}`) })
    refused({ metadata: { sizeBytes: -1, sha256: one.sha256 } })
    refused({ instances: [{ ...one, seriesUid: 'a/b' }] })
    refused({ instances: [{ ...one, sha256: one.sha256.toUpperCase() }] })
    refused({ instances: [{ ...one, sizeBytes: 1.5 }] })
    refused({ instances: [{ ...one, sizeBytes: Number.MAX_SAFE_INTEGER }] })
    refused({ instances: [{ ...one, receivedAt: '2026-11-22T12:31:05Z' }] })
    refused({ instances: [{ ...one, receivedAt: '2026-11-32T12:31:05.000Z' }] })
    const tooMany = Array.from({ length: PACK_INSTANCES_MAX + 1 }, () => one)
    assert.throws(() => planPack(content(tooMany)), { code: 'too_large' })
  })
})

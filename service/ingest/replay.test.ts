import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { type DicomOptions, dicomFile, identifiers } from '../../test/fixtures/dicom.ts'
import { bytesOf, described, MemoryCatalogue, memberOf, openSite, sha256 } from '../../test/property/core.ts'
import { removeDir, tempDir } from '../../test/support/host.ts'
import { Random } from '../../test/support/random.ts'
import type { LandingLocation } from '../catalogue/ports.ts'
import { segmentPath } from '../landing/files.ts'
import { Landing } from '../landing/landing.ts'
import { END_OF_SEGMENT, MEMBER_HEADER_BYTES } from '../landing/tar.ts'

const COUNT = 4
const optionsOf = (n: number): DicomOptions => ({ seed: `replay/${n}`, rows: 0 })
const files = Array.from({ length: COUNT }, (_, n) => dicomFile(optionsOf(n)))
const digests = files.map(sha256)
const memberBytes = files.map((file) => MEMBER_HEADER_BYTES + Math.ceil(file.length / 512) * 512)
/** Where each member starts, and where the last one ends. */
const starts = [0]
for (const bytes of memberBytes) starts.push((starts.at(-1) as number) + bytes)
const end = starts[COUNT] as number

/** A folder whose only segment is these bytes. */
function folderWith(segment: Buffer): string {
  const folder = join(tempDir('replay'), 'landing')
  mkdirSync(folder)
  writeFileSync(segmentPath(folder, 1), segment)
  return folder
}

async function replayOnce(folder: string, catalogue = new MemoryCatalogue()) {
  const site = await openSite(folder, catalogue)
  await site.landing.close()
  return site
}

describe('replay of a landing', () => {
  let segment: Buffer

  before(async () => {
    const folder = tempDir('replay')
    const landing = await Landing.open({ folder, lanes: 1, segmentBytes: 1 << 24, reserveBytes: 0 })
    await Promise.all(files.map((file, n) => landing.append(memberOf(file, optionsOf(n)), [file])))
    await landing.close()
    segment = readFileSync(segmentPath(folder, 1))
    assert.equal(segment.length, end + END_OF_SEGMENT.length)
    removeDir(folder)
  })

  test('finds everything, reads it back, and marks the segment complete', async () => {
    const folder = folderWith(segment)
    const { report, catalogue, landing } = await openSite(folder, new MemoryCatalogue())
    assert.deepEqual(report, {
      segments: 1,
      instances: 4,
      replayed: 4,
      tornTails: 0,
      damaged: 0,
      refused: 0,
    })
    for (const [n, file] of files.entries()) {
      const [copy] = catalogue.copies.get(identifiers(optionsOf(n)).sopInstanceUid) ?? []
      assert.ok(copy)
      assert.equal(copy.sha256, digests[n])
      assert.deepEqual(copy.source, { protocol: 'stow', name: 'tester', address: '127.0.0.1' })
      assert.ok((await bytesOf(landing.read(copy.location as LandingLocation, 0, copy.sizeBytes))).equals(file))
    }
    assert.deepEqual([...catalogue.complete], [1])
    assert.ok(readFileSync(segmentPath(folder, 1)).equals(segment))
    await landing.close()
    const second = await replayOnce(folder, catalogue)
    assert.deepEqual(second.report, {
      segments: 0,
      instances: 0,
      replayed: 0,
      tornTails: 0,
      damaged: 0,
      refused: 0,
    })
  })

  test('cut at any byte: everything before is found, nothing half is visible, a second replay changes nothing', async () => {
    const random = new Random(20_261_122)
    const cuts = new Set<number>([0, 1, end - 1, end, end + 1, end + 511, end + 512, end + 1023])
    for (let at = starts[2] as number; at < end; at += 512) for (const near of [-1, 0, 1]) cuts.add(at + near)
    for (let n = 0; n < 60; n++) cuts.add(random.below(end))
    for (const cut of cuts) {
      const folder = folderWith(segment.subarray(0, cut))
      // The data of a member counts, not its padding: a crash may leave either, and neither was acknowledged.
      const whole = files.filter((file, n) => (starts[n] as number) + MEMBER_HEADER_BYTES + file.length <= cut).length
      const first = await replayOnce(folder)
      const expected = digests.slice(0, whole).sort()
      assert.deepEqual(first.catalogue.digestsKnown.sort(), expected, `cut at ${cut}`)
      assert.equal(first.report.damaged, 0, `cut at ${cut}`)
      assert.deepEqual([...first.catalogue.complete], [1], `cut at ${cut}`)
      const kept = readFileSync(segmentPath(folder, 1))
      const good = Math.min(cut, starts[whole] as number)
      assert.ok(kept.subarray(0, good).equals(segment.subarray(0, good)), `cut at ${cut}`)
      const second = await replayOnce(folder)
      assert.deepEqual(second.catalogue.digestsKnown.sort(), expected, `second replay, cut at ${cut}`)
      assert.deepEqual([second.report.tornTails, second.report.damaged], [0, 0], `second replay, cut at ${cut}`)
      assert.ok(readFileSync(segmentPath(folder, 1)).equals(kept), `second replay, cut at ${cut}`)
      if (whole > 0 && first.report.tornTails > 0) {
        execFileSync('tar', ['-tf', segmentPath(folder, 1)], { stdio: 'pipe' })
      }
      removeDir(join(folder, '..'))
    }
  })

  test('a flipped bit in the middle: damage is reported, all others are found, no byte is changed', async () => {
    const random = new Random(42)
    const from = starts[1] as number
    const dataFrom = from + MEMBER_HEADER_BYTES
    const dataEnd = dataFrom + (files[1] as Buffer).length
    // Name, size, checksum and type of both headers, the digest in the note, and the data.
    const inUstar = [0, 10, 124, 134, 148, 156, 257].flatMap((at) => [from + at, from + 1536 + at])
    const digestAt = segment.indexOf(digests[1] as string, from)
    const inData = Array.from({ length: 12 }, () => random.between(dataFrom, dataEnd - 1))
    for (const at of [...inUstar, digestAt, ...inData, dataFrom, dataEnd - 1]) {
      const damaged = Buffer.from(segment)
      damaged[at] = (damaged[at] as number) ^ (1 << random.below(7))
      const folder = folderWith(damaged)
      const { catalogue, report, warnings } = await replayOnce(folder)
      const others = digests.filter((_, n) => n !== 1)
      assert.deepEqual(catalogue.digestsKnown.sort(), others.sort(), `flip at ${at - from} of the member`)
      assert.equal(report.damaged, 1, `flip at ${at - from}`)
      assert.equal(report.tornTails, 0, `flip at ${at - from}`)
      assert.equal(warnings.filter((text) => text.includes('damaged')).length, 1)
      assert.equal(catalogue.complete.size, 0, 'a damaged segment is looked at again')
      assert.ok(readFileSync(segmentPath(folder, 1)).equals(damaged))
      removeDir(join(folder, '..'))
    }
  })

  test('a torn tail behind damage is cut off, the damage stays', async () => {
    const damaged = Buffer.from(segment.subarray(0, end - 600))
    damaged[starts[1] as number] = 0xff
    const folder = folderWith(damaged)
    const { catalogue, report } = await replayOnce(folder)
    assert.deepEqual(catalogue.digestsKnown.sort(), [digests[0], digests[2]].sort())
    assert.deepEqual([report.damaged, report.tornTails], [1, 1])
    const kept = readFileSync(segmentPath(folder, 1))
    assert.ok(kept.subarray(0, starts[3]).equals(damaged.subarray(0, starts[3])))
  })

  test('reads no data of instances that the catalogue has, and records only the others', async () => {
    const folder = folderWith(segment)
    const first = await replayOnce(folder)
    first.catalogue.complete.clear()
    first.catalogue.copies.delete(identifiers(optionsOf(2)).sopInstanceUid)
    const { report, catalogue } = await replayOnce(folder, first.catalogue)
    assert.deepEqual([report.instances, report.replayed], [4, 1])
    assert.equal(catalogue.digestsKnown.length, 4)
  })

  test('a damaged last member of an ended segment is damage, and of any segment where the catalogue knows it', async () => {
    const last = starts[COUNT - 1] as number
    const damaged = Buffer.from(segment)
    damaged[last + 1546] = (damaged[last + 1546] as number) ^ 1
    for (const bytes of [damaged, damaged.subarray(0, end)]) {
      const folder = folderWith(bytes)
      const known = new MemoryCatalogue()
      if (bytes.length === end)
        await known.record(described(optionsOf(3), { location: { segment: 1, offset: last + 2048 } }))
      const { report, catalogue } = await replayOnce(folder, known)
      assert.deepEqual([report.damaged, report.tornTails], [1, 0])
      assert.equal(catalogue.complete.size, 0)
      assert.ok(readFileSync(segmentPath(folder, 1)).equals(bytes), 'not a byte is cut')
    }
  })

  test('of copies with other bytes the one that came first is served, wherever they are', async () => {
    const folder = join(tempDir('replay'), 'landing')
    mkdirSync(folder)
    const same = optionsOf(0)
    const copies = ['2026-01-02', '2026-01-01', '2026-01-03'].map((day, n) => {
      const file = dicomFile({ ...same, rows: 8 + n })
      const member = memberOf(file, same)
      return { file, member: { ...member, note: { ...member.note, received: `${day}T00:00:00.000Z` } } }
    })
    for (const { file, member } of copies) {
      const landing = await Landing.open({ folder, lanes: 1, segmentBytes: 1 << 24, reserveBytes: 0 })
      await landing.append(member, [file])
      await landing.close()
    }
    const { catalogue } = await replayOnce(folder)
    const found = catalogue.copies.get(identifiers(same).sopInstanceUid) ?? []
    assert.deepEqual(
      found.map(({ receivedAt }) => receivedAt.slice(0, 10)),
      ['2026-01-01', '2026-01-02', '2026-01-03'],
    )
  })

  test("an instance that cannot be recorded stands in no other's way and is tried again", async () => {
    const folder = folderWith(segment)
    const refusing = new MemoryCatalogue()
    const record = refusing.record.bind(refusing)
    const bad = identifiers(optionsOf(1)).sopInstanceUid
    refusing.record = async (one) => {
      if (one.sopInstanceUid === bad) throw new Error('no such text')
      return record(one)
    }
    const first = await replayOnce(folder, refusing)
    assert.deepEqual([first.report.replayed, first.report.refused, first.catalogue.complete.size], [3, 1, 0])
    refusing.record = record
    const second = await replayOnce(folder, refusing)
    assert.deepEqual([second.report.replayed, second.report.refused, second.catalogue.complete.size], [1, 0, 1])
  })

  test('an unfinished stream is no instance, whatever is in it', async () => {
    const folder = folderWith(segment)
    writeFileSync(`${segmentPath(folder, 2)}.partial`, segment)
    const { report } = await replayOnce(folder)
    assert.equal(report.instances, COUNT)
    assert.deepEqual(readdirSync(folder), ['0000000001.tar'])
  })
})

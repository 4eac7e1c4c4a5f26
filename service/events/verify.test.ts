import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { appendFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { eventsOf, linesIn, makeLog, openLog, SITE, segmentsIn, stored } from '../../test/property/events.ts'
import { tempDir } from '../../test/support/host.ts'
import { newSeed, Random } from '../../test/support/random.ts'
import { canonical } from './canonical.ts'
import { type Head, SYSTEM } from './event.ts'
import { peerFolder } from './files.ts'
import type { Damage } from './line.ts'
import { PeerLog } from './peer-log.ts'
import { type Broken, type LogReport, verifyLog } from './verify.ts'

const COUNT = 8

/** A log of eight events in three files. */
async function madeLog(): Promise<{ folder: string; heads: Head[] }> {
  const folder = tempDir('events')
  const heads = await makeLog(folder, COUNT)
  assert.equal(segmentsIn(folder).length, 3)
  return { folder, heads }
}

/** Writes lines to the files in which they were, the same number to each but the last. */
function writeLines(folder: string, lines: readonly string[]): void {
  for (const [index, name] of segmentsIn(folder).entries()) {
    writeFileSync(join(folder, name), lines.slice(index * 3, index < 2 ? index * 3 + 3 : undefined).join(''))
  }
}

async function brokenOf(folder: string): Promise<Broken> {
  const { intact, chains } = await verifyLog(folder)
  const broken = chains.find((chain) => chain.broken)?.broken
  assert.ok(!intact && broken, 'nothing was found')
  return broken
}

/** The damage and the number of the line where it was found, counted through all files from 1. */
async function found(folder: string): Promise<[Damage, number]> {
  const { damage, file, line } = await brokenOf(folder)
  return [damage, Number.parseInt(basename(file), 10) - 1 + line]
}

/** An event as a forger makes it, who knows the format: with a hash that is its own. */
function forged(line: string, change: object): string {
  const { hash: _, ...rest } = { ...JSON.parse(line), ...change }
  return `${canonical({ ...rest, hash: createHash('sha256').update(canonical(rest)).digest('hex') })}\n`
}

const heldBy = ({ anchors }: LogReport): boolean[] => anchors.map(({ held }) => held)

describe('verification of the event log', () => {
  test('says what an intact one holds', async () => {
    const { folder, heads } = await madeLog()
    const { intact, chains, anchors } = await verifyLog(folder)
    const [{ from, until, ...report } = assert.fail()] = chains
    const bytes = linesIn(folder).reduce((sum, line) => sum + Buffer.byteLength(line), 0)
    assert.deepEqual(report, {
      ...{ folder, site: SITE, segments: 3, events: COUNT, bytes, head: heads.at(-1) },
      ...{ kinds: { 'instance.stored': COUNT }, broken: undefined, setAside: [] },
    })
    assert.ok(from && until && from <= until)
    assert.deepEqual([intact, chains.length, anchors], [true, 1, []])
  })

  test('any single byte that is changed is found, in the line where it is', async () => {
    const { folder } = await madeLog()
    const random = new Random(newSeed())
    for (const name of segmentsIn(folder)) {
      const path = join(folder, name)
      const bytes = readFileSync(path)
      const places = [0, bytes.length - 2, bytes.length - 1, bytes.indexOf('\n'), bytes.indexOf('\n') + 1]
      for (let tries = 0; tries < 60; tries++) places.push(random.below(bytes.length))
      for (const at of places) {
        const changed = Buffer.from(bytes)
        changed.writeUInt8(bytes.readUInt8(at) ^ random.between(1, 255), at)
        writeFileSync(path, changed)
        const { file, line } = await brokenOf(folder)
        const before = bytes.subarray(0, at).filter((byte) => byte === 0x0a).length
        assert.equal(file, path, `seed ${random.seed}, byte ${at}`)
        // A newline within a line makes two of it.
        assert.equal(line, before + 1, `seed ${random.seed}, byte ${at}`)
      }
      writeFileSync(path, bytes)
    }
    assert.ok((await verifyLog(folder)).intact)
  })

  test('any line that is removed is found, but for the last', async () => {
    const { folder } = await madeLog()
    const lines = linesIn(folder)
    for (let at = 0; at < COUNT - 1; at++) {
      writeLines(folder, lines.toSpliced(at, 1))
      const [damage, line] = await found(folder)
      assert.equal(damage, 'removed')
      assert.ok(line === at + 1)
    }
  })

  test('any two neighbours that are swapped, and a line that is moved, are found', async () => {
    const { folder } = await madeLog()
    const lines = linesIn(folder)
    for (let at = 0; at < COUNT - 1; at++) {
      const swapped = lines.toSpliced(at, 2, lines[at + 1] as string, lines[at] as string)
      writeLines(folder, swapped)
      const [damage, line] = await found(folder)
      assert.equal(line, at + 1)
      // Across two files only the first of them is looked at.
      assert.equal(damage, at % 3 === 2 ? 'removed' : 'reordered')
    }
    writeLines(folder, [...lines.slice(1, 3), lines[0] as string, ...lines.slice(3)])
    assert.deepEqual(await found(folder), ['reordered', 1])
  })

  test('any line that is there twice, or comes from elsewhere, is found', async () => {
    const { folder } = await madeLog()
    const other = tempDir('events')
    await makeLog(other, COUNT, { site: 'site-b' })
    const lines = linesIn(folder)
    for (let at = 0; at < COUNT; at++) {
      writeLines(folder, lines.toSpliced(at, 0, lines[at] as string))
      assert.deepEqual(await found(folder), ['inserted', at + 2])
      writeLines(folder, lines.toSpliced(at, 1, linesIn(other)[at] as string))
      const [damage, line] = await found(folder)
      assert.ok(damage === 'altered' || damage === 'inserted', damage)
      // The first line of another site's log is a good one; the second doesn't follow it.
      assert.equal(line, at === 0 ? 2 : at + 1)
    }
  })

  test('a forged line with a hash of its own is found, and the line that was there before behind it', async () => {
    const { folder } = await madeLog()
    const lines = linesIn(folder)
    for (let at = 0; at < COUNT - 1; at++) {
      const line = lines[at] as string
      writeLines(folder, lines.toSpliced(at, 1, forged(line, { at: '2020-01-01T00:00:00.000Z' })))
      assert.deepEqual(await found(folder), ['altered', at + 2])
      writeLines(folder, lines.toSpliced(at, 0, forged(line, { kind: 'hold.released' })))
      assert.deepEqual(await found(folder), ['inserted', at + 2])
    }
  })

  test('what is no canonical line is found though its hash is right', async () => {
    const { folder } = await madeLog()
    const lines = linesIn(folder)
    const event = JSON.parse(lines[0] as string)
    const { hash: _, ...rest } = event
    const changes = [{ data: { x: 0.5 } }, { more: 1 }, { kind: 'Nonsense' }, { seq: 0 }, { actor: { name: 'x' } }]
    for (const change of changes) {
      const text = JSON.stringify({ ...rest, ...change })
      const hash = createHash('sha256').update(text).digest('hex')
      writeLines(folder, lines.toSpliced(0, 1, `${JSON.stringify({ hash, ...rest, ...change })}\n`))
      assert.deepEqual(await found(folder), ['altered', 1])
    }
  })

  test('a line that could be read in two ways is found though its hash is right', async () => {
    const { folder } = await madeLog()
    const lines = linesIn(folder)
    const { hash: _, ...rest } = JSON.parse(lines[0] as string)
    const given = `"data":${canonical(rest.data)}`
    for (const data of [
      '{"x":0.5}',
      '{"x":1.0}',
      '{"b":1,"a":2}',
      '{"a":1,"a":1}',
      '{"a": 1}',
      '{"a":"\\u0041"}',
      '{"2":1}',
    ]) {
      const text = canonical(rest).replace(given, `"data":${data}`)
      const hash = createHash('sha256').update(text).digest('hex')
      writeLines(folder, lines.toSpliced(0, 1, `${text.replace('"kind"', `"hash":"${hash}","kind"`)}\n`))
      const { why } = await brokenOf(folder)
      assert.equal(why, 'it is not canonical JSON', data)
    }
  })

  test('a byte of a character that is none, changed to another that is none, is found', async () => {
    const folder = tempDir('events')
    const log = await openLog(folder)
    await log.append({ ...stored(1), actor: { name: 'a\ufffdb', role: '', from: '' } })
    await log.close()
    const path = join(folder, segmentsIn(folder)[0] as string)
    const bytes = readFileSync(path)
    bytes.writeUInt8(0xf0, bytes.indexOf(Buffer.from('\ufffd')))
    assert.equal(bytes.toString('utf8'), readFileSync(path, 'utf8'), 'a lenient decoder sees no difference')
    writeFileSync(path, bytes)
    assert.deepEqual(await found(folder), ['altered', 1])
  })

  test('a file that is missing, misnamed, or there under two names is found', async () => {
    const { folder } = await madeLog()
    const copy = tempDir('events')
    const [first = '', second = '', third = ''] = segmentsIn(folder)
    for (const gone of [first, second]) {
      cpSync(folder, copy, { recursive: true })
      rmSync(join(copy, gone))
      assert.equal((await found(copy))[0], 'removed')
    }
    cpSync(folder, copy, { recursive: true })
    renameSync(join(copy, second), join(copy, '0000000005.jsonl'))
    assert.equal((await found(copy))[0], 'removed')
    rmSync(join(copy, '0000000005.jsonl'))
    cpSync(folder, copy, { recursive: true })
    cpSync(join(copy, second), join(copy, '0000000005.jsonl'))
    assert.equal((await found(copy))[0], 'inserted')
    rmSync(join(copy, '0000000005.jsonl'))
    writeFileSync(join(copy, second), '')
    assert.equal((await found(copy))[0], 'removed')
    cpSync(folder, copy, { recursive: true })
    writeFileSync(join(copy, third), '')
    assert.ok((await verifyLog(copy)).intact, 'an empty last file is what a crash leaves before the first line')
  })

  test('lines that are missing at the end show against a head that was remembered, and only so', async () => {
    const { folder, heads } = await madeLog()
    writeLines(folder, linesIn(folder).slice(0, -1))
    assert.ok((await verifyLog(folder)).intact)
    const [, second, , , , , seventh, last] = heads as [Head, Head, Head, Head, Head, Head, Head, Head]
    const report = await verifyLog(folder, [second, seventh, last, { seq: 2, hash: seventh.hash }])
    assert.deepEqual(heldBy(report), [true, true, false, false])
    assert.ok(!report.intact)
  })

  test('a head before the damage is still held, and one behind it is not', async () => {
    const folder = tempDir('events')
    const heads = await makeLog(folder, 400, { segmentBytes: 1 << 20 })
    const path = join(folder, segmentsIn(folder)[0] as string)
    const bytes = readFileSync(path)
    bytes.write('#', bytes.length / 2)
    writeFileSync(path, bytes)
    const report = await verifyLog(
      folder,
      [10, 150, 390].map((seq) => heads[seq - 1] as Head),
    )
    assert.deepEqual(heldBy(report), [true, true, false])
  })

  test('the pieces of a torn line are reported, and given time to become whole', async () => {
    const { folder } = await madeLog()
    const path = join(folder, segmentsIn(folder).at(-1) as string)
    const bytes = readFileSync(path)
    writeFileSync(path, bytes.subarray(0, -10))
    assert.deepEqual(await found(folder), ['truncated', 8])
    const verifying = verifyLog(folder)
    setTimeout(() => appendFileSync(path, bytes.subarray(-10)), 120)
    const { intact, chains } = await verifying
    assert.ok(intact)
    assert.equal(chains[0]?.events, COUNT)
  })

  test('a line without end needs no memory', async () => {
    const { folder } = await madeLog()
    writeFileSync(join(folder, segmentsIn(folder)[1] as string), Buffer.alloc(40 << 20, 'x'))
    const { damage, why } = await brokenOf(folder)
    assert.deepEqual([damage, why], ['altered', 'the line is longer than any event'])
  })

  test('kinds of a newer version are followed and counted', async () => {
    const { folder } = await madeLog()
    const last = JSON.parse(linesIn(folder).at(-1) as string)
    const change = { kind: 'future.happened', data: { deep: [{ x: 'ä' }] }, seq: COUNT + 1, prev: last.hash }
    appendFileSync(join(folder, segmentsIn(folder).at(-1) as string), forged(JSON.stringify(last), change))
    const { intact, chains } = await verifyLog(folder)
    assert.ok(intact)
    assert.deepEqual(chains[0]?.kinds, { 'instance.stored': COUNT, 'future.happened': 1 })
    const log = await openLog(folder)
    assert.equal(log.trouble, undefined)
    assert.equal((await eventsOf(log)).at(-1)?.kind, 'future.happened')
    await log.append(stored(10))
    await log.close()
    assert.ok((await verifyLog(folder)).intact)
  })

  test("the other site's log remembers heads of this one", async () => {
    const { folder, heads } = await madeLog()
    const other = tempDir('events')
    const head = heads[5] as Head
    const log = await openLog(other, { site: 'site-b' })
    await log.append({ kind: 'site.head', actor: SYSTEM, subject: { site: SITE }, data: head })
    const copy = peerFolder(folder, 'site-b')
    mkdirSync(copy)
    const peer = await PeerLog.open({ folder: copy, site: 'site-b' })
    await peer.import(await log.lines(0))
    await log.close()
    await peer.close()
    const report = await verifyLog(folder)
    assert.deepEqual(report.anchors, [{ site: SITE, head, by: 'site-b', held: true }])
    assert.ok(report.intact)
    rmSync(join(folder, '0000000007.jsonl'))
    assert.ok((await verifyLog(folder)).intact, 'what nobody has remembered yet')
    rmSync(join(folder, '0000000004.jsonl'))
    assert.deepEqual(heldBy(await verifyLog(folder)), [false])
    rmSync(join(folder, '0000000001.jsonl'))
    assert.deepEqual(heldBy(await verifyLog(folder)), [false], 'nor does an empty log hide it')
  })
})

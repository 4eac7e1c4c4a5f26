import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { linesIn, makeLog, openLog, segmentsIn, started } from '../../test/property/events.ts'
import { firnCommand } from '../../test/support/firn.ts'
import { tempDir } from '../../test/support/host.ts'

async function made() {
  const data = tempDir('events')
  const files = join(data, 'events')
  mkdirSync(files)
  const heads = await makeLog(files, 5)
  const log = await openLog(files)
  heads.push(...(await log.append(started)))
  await log.close()
  const head = heads.map(({ seq, hash }) => `${seq}:${hash}`)
  return { data, files, head }
}

describe('firn events', () => {
  test('verify says what there is, its head, and that nothing was remembered elsewhere', async () => {
    const { data, files, head } = await made()
    for (const where of [
      ['--data', data],
      ['--files', files],
    ]) {
      const { code, stdout, stderr } = await firnCommand(['events', 'verify', ...where])
      assert.equal(code, 0, stderr)
      assert.match(stdout, /events: 6 events of site site-a in 3 files/)
      assert.ok(stdout.includes(`head ${head[5]}`))
      assert.match(stdout, /^intact$[\s\S]*--head/m)
    }
    const held = await firnCommand([
      'events',
      'verify',
      '--files',
      files,
      '--head',
      head[1] ?? '',
      '--head',
      head[5] ?? '',
    ])
    assert.deepEqual([held.code, held.stdout.match(/held/g)?.length], [0, 2])
  })

  test('verify names the file, the line and the reason, as words and as JSON', async () => {
    const { files, head } = await made()
    const path = join(files, segmentsIn(files)[1] as string)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace('"sizeBytes":5', '"sizeBytes":6'))
    const { code, stdout } = await firnCommand(['events', 'verify', '--files', files])
    assert.equal(code, 1)
    assert.match(stdout, /0000000004[.]jsonl, line 2 \(byte \d+\): altered: its hash says/)
    assert.match(stdout, /^BROKEN$/m)
    const json = await firnCommand(['events', 'verify', '--files', files, '--json'])
    const [chain] = JSON.parse(json.stdout).chains
    assert.deepEqual([chain.events, chain.broken.line, chain.broken.damage], [4, 2, 'altered'])
    writeFileSync(path, text)
    const other = await firnCommand(['events', 'verify', '--files', files, '--head', `6:${head[4]?.slice(2)}`])
    assert.equal(other.code, 1)
    assert.match(other.stdout, /MISSING: event 6/)
  })

  test('list prints events, since a number, of a kind, as lines or as they are', async () => {
    const { data, files } = await made()
    const list = async (...args: string[]) => (await firnCommand(['events', 'list', '--files', files, ...args])).stdout
    assert.equal(await list('--json'), linesIn(files).join(''))
    assert.deepEqual((await list('--since', '3')).match(/^\d+/gm), ['4', '5', '6'])
    assert.equal(await list('--kind', 'site', '--json'), linesIn(files)[5])
    assert.equal(await list('--kind', 'instance.stored', '--since', '4', '--json'), linesIn(files)[4])
    assert.equal(await list('--kind', 'sit'), '')
    const byData = await firnCommand(['events', 'list', '--data', data])
    assert.match(
      byData.stdout,
      /^1 {2}\S+Z {2}instance[.]stored {2}CT "1" ä\S+ \(send\) 10[.]0[.]0[.]7 {2}\{"instance":"1[.]2[.]3/,
    )
  })

  test('list prints what is before the damage, and fails', async () => {
    const { files } = await made()
    const path = join(files, segmentsIn(files)[1] as string)
    writeFileSync(path, readFileSync(path, 'utf8').replace('"sizeBytes":5', '"sizeBytes":6'))
    const { code, stdout, stderr } = await firnCommand(['events', 'list', '--files', files])
    assert.equal(code, 1)
    assert.match(stdout, /^4 /m)
    assert.match(stderr, /0000000004[.]jsonl: after event 4/)
  })

  test('wrong usage is told from a broken log', async () => {
    const empty = tempDir('events')
    for (const args of [
      ['verify', '--files', join(empty, 'nothing')],
      ['verify', '--files', empty],
      ['verify', '--files', empty, '--head', '1:abc'],
      ['list', '--files', empty, '--since', '-1'],
      ['list', '--data', empty],
      ['rewrite'],
    ]) {
      assert.equal((await firnCommand(['events', ...args])).code, 2, args.join(' '))
    }
  })
})

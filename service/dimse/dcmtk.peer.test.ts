import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { encodePart10Header } from '../dicom/fileMeta.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import { CT, JPEG_BASELINE, type Running, sampleDataSet, startServer, until } from './fakes.test.ts'

/** DCMTK's tools against the real server over a fake archive. FIRN_NO_SKIP=1 forbids that they are missing. */
const isInstalled = (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'storescu')))
const options = { skip: !isInstalled && process.env.FIRN_NO_SKIP !== '1' && 'storescu is not on PATH' }

const run = promisify(execFile)

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'firn-dimse-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Runs a tool against the server; its output, both streams. */
async function tool(name: string, running: Running, args: string[], more: string[] = []): Promise<string> {
  const { stdout, stderr } = await run(name, [...args, '127.0.0.1', String(running.port), ...more], { timeout: 20_000 })
  return stdout + stderr
}

function part10(sopInstanceUid: string, transferSyntaxUid: string, dataSet: Buffer): Buffer {
  return Buffer.concat([encodePart10Header({ sopClassUid: CT, sopInstanceUid, transferSyntaxUid }), dataSet])
}

/** An encapsulated image: an empty offset table and one fragment. */
function encapsulated(sopInstanceUid: string): Buffer {
  const header = Buffer.from('e07f10004f420000fffffffffeff00e000000000feff00e010000000', 'hex')
  return Buffer.concat([
    sampleDataSet(sopInstanceUid),
    header,
    Buffer.alloc(16, 7),
    Buffer.from('feffdde000000000', 'hex'),
  ])
}

test('echoscu', options, async (t) => {
  const running = await startServer(t)
  await tool('echoscu', running, ['-aet', 'DCMTK', '-aec', 'FIRN'])
  await until(() => running.metrics.closed === 1)
  assert.deepEqual(running.metrics.operations, ['C-ECHO 0'])
})

test('storescu: data sets arrive byte for byte, several on one association', options, async (t) => {
  const running = await startServer(t)
  const path = await folder(t)
  const explicit = sampleDataSet('1.2.1')
  const pixels = Buffer.concat([explicit, Buffer.from('e07f10004f57000080841e00', 'hex'), Buffer.alloc(2_000_000, 5)])
  await writeFile(join(path, 'a.dcm'), part10('1.2.1', EXPLICIT_LITTLE_ENDIAN, pixels))
  await writeFile(join(path, 'b.dcm'), part10('1.2.2', JPEG_BASELINE, encapsulated('1.2.2')))
  await tool('storescu', running, ['-R', '-xy'], [join(path, 'a.dcm'), join(path, 'b.dcm')])
  assert.deepEqual(running.archive.dataSetOf('1.2.1'), pixels)
  assert.deepEqual(running.archive.dataSetOf('1.2.2', JPEG_BASELINE), encapsulated('1.2.2'))
  assert.equal(running.metrics.opened, 1)
})

test('findscu reads the answers, and a missing level is refused', options, async (t) => {
  const running = await startServer(t)
  running.archive.found = ['1.2.3', '1.2.4'].map((uid) => ({
    '0020000D': { vr: 'UI', Value: [uid] },
    '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Grün^Ä' }] },
  }))
  const path = await folder(t)
  const keys = ['-k', 'StudyInstanceUID', '-k', 'PatientName=gr*']
  await tool('findscu', running, ['-S', '-X', '-od', path, '-k', 'QueryRetrieveLevel=STUDY', ...keys])
  const files = (await readdir(path)).sort()
  assert.equal(files.length, 2)
  const answer = await readFile(join(path, files[0] ?? ''))
  assert.ok(answer.includes('Grün^Ä') && answer.includes('ISO_IR 192') && answer.includes('1.2.3'))
  assert.deepEqual(running.archive.queries[0]?.match, [{ path: ['00100010'], value: 'gr*' }])
  const refused = await tool('findscu', running, ['-v', '-S', ...keys]).catch((error) => String(error.stderr))
  assert.match(refused, /0xa900|MatchesSOPClass|SOP ?Class/i)
})

function keepThree(running: Running): Map<string, Buffer> {
  running.archive.keep('1.2.1', EXPLICIT_LITTLE_ENDIAN, sampleDataSet('1.2.1'))
  running.archive.keep('1.2.2', IMPLICIT_LITTLE_ENDIAN, sampleDataSet('1.2.2', IMPLICIT_LITTLE_ENDIAN))
  running.archive.keep('1.2.3', EXPLICIT_LITTLE_ENDIAN, sampleDataSet('1.2.3'))
  return new Map(['1.2.1', '1.2.3'].map((uid) => [uid, sampleDataSet(uid)]))
}

async function dataSetsIn(path: string): Promise<string[]> {
  const files = await readdir(path)
  return Promise.all(files.map(async (file) => (await readFile(join(path, file))).toString('latin1')))
}

const level = ['-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID=1.2.3']

test('getscu gets what is stored in a syntax it takes', options, async (t) => {
  const running = await startServer(t)
  keepThree(running)
  const path = await folder(t)
  await tool('getscu', running, ['-S', '+B', '-od', path, ...level])
  const got = await dataSetsIn(path)
  // getscu offers implicit VR beside explicit, and Firn takes that, since it can send both uncompressed forms in it.
  assert.equal(got.length, 3)
  for (const uid of ['1.2.1', '1.2.2', '1.2.3'])
    assert.ok(
      got.some((each) => each.includes(uid)),
      uid,
    )
})

/** A storescp on a free port of its own; resolves when it accepts connections. */
async function storescp(t: TestContext, path: string, args: string[]): Promise<number> {
  const probe = await startServer(t)
  await probe.server.close(0)
  const child = spawn('storescp', [...args, '-od', path, String(probe.port)], { stdio: 'ignore' })
  t.after(() => child.kill())
  for (let n = 0; n < 100; n++) {
    const ready = await run('echoscu', ['127.0.0.1', String(probe.port)]).then(
      () => true,
      () => false,
    )
    if (ready) return probe.port
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('storescp does not start')
}

for (const [what, args] of [
  ['as stored', ['+xa', '+B']],
  ['in implicit VR little endian', ['+xi', '+B']],
] as const) {
  test(`movescu makes Firn send to storescp ${what}`, options, async (t) => {
    const path = join(await folder(t), 'received')
    await mkdir(path)
    const port = await storescp(t, path, [...args])
    const running = await startServer(t, { destinations: [{ aeTitle: 'STORESCP', host: '127.0.0.1', port }] })
    keepThree(running)
    await tool('movescu', running, ['-S', '-aem', 'STORESCP', ...level])
    const got = await dataSetsIn(path)
    assert.equal(got.length, 3)
    const syntax = args[0] === '+xi' ? IMPLICIT_LITTLE_ENDIAN : EXPLICIT_LITTLE_ENDIAN
    for (const uid of ['1.2.1', '1.2.3']) {
      const bytes = sampleDataSet(uid, syntax).toString('latin1')
      assert.ok(
        got.some((each) => each.includes(bytes)),
        `${uid} differs`,
      )
    }
  })
}

test('storescu reports a refusal and Firn goes on', options, async (t) => {
  const running = await startServer(t, { allowedCallingAeTitles: ['FRIEND'] })
  const path = join(await folder(t), 'a.dcm')
  await writeFile(path, part10('1.2.1', EXPLICIT_LITTLE_ENDIAN, sampleDataSet('1.2.1')))
  await assert.rejects(tool('storescu', running, ['-aet', 'STRANGER'], [path]), /Calling AE Title Not Recognized/)
  await tool('storescu', running, ['-aet', 'FRIEND'], [path])
  assert.equal(running.archive.files.size, 1)
})

import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type LoggedEvent, logFiles, logged, requestsIn, sumOf } from '../support/audit.ts'
import { dcmtkInstalled, findscu, getscu, movescu, storescu } from '../support/dcmtk.ts'
import { Association, VERIFICATION } from '../support/dimse.ts'
import { Firn, firnCommand } from '../support/firn.ts'
import { freePort, skipUnless, tempDir } from '../support/host.ts'
import { makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, send, stow } from '../support/web.ts'

const random = new Random(newSeed())
const PATIENT = 'Geheimrat^Kunigunde'
const AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'

async function createToken(dataDir: string, role: string, name: string): Promise<{ id: string; token: string }> {
  const ended = await firnCommand(['token', 'create', '--role', role, '--name', name, '--data', dataDir, '--json'])
  assert.equal(ended.code, 0, ended.stderr)
  return JSON.parse(ended.stdout)
}

interface Page {
  events: (LoggedEvent & { at: string; site: string })[]
  next: string | null
}

describe(`the audit trail (seed ${random.seed})`, () => {
  let firn: Firn
  let movePort: number
  const dataDir = tempDir('data')
  const tokens = new Map<string, { id: string; token: string }>()
  const study = [0, 1, 2].map((n) => ({ n }))
  const studyUid = random.uid()
  const seriesUid = random.uid()
  const instances = study.map(({ n }) =>
    makeInstance(random, { studyUid, seriesUid, instanceNumber: n + 1, patientName: PATIENT }),
  )
  const bearer = (role: string) => ({ authorization: `Bearer ${tokens.get(role)?.token}` })
  const events = (kind: string, is: (event: LoggedEvent) => boolean = () => true) => logged(dataDir, kind).filter(is)
  const eventually = (kind: string, is: (event: LoggedEvent) => boolean, count = 1) =>
    until(`${count} events ${kind}`, () => {
      const found = events(kind, is)
      return found.length >= count && found
    })

  before(async () => {
    for (const role of ['send', 'read', 'records', 'admin']) {
      tokens.set(role, await createToken(dataDir, role, `the ${role}er`))
    }
    movePort = await freePort()
    const config = {
      auth: { required: true },
      dimse: {
        allowedCallingAeTitles: ['STORESCU', 'FINDSCU', 'MOVESCU', 'GETSCU'],
        destinations: [{ aeTitle: 'MOVESCU', host: '127.0.0.1', port: movePort }],
      },
      audit: { sumSeconds: 2 },
    }
    firn = await Firn.start({ dataDir, config })
  })
  after(async () => {
    await firn?.kill()
  })

  it('tells who sent what, once for a request and study', async () => {
    const files = [...instances, makeInstance(random)].map(({ file }) => file)
    assert.equal((await stow(firn.dicomWeb, files, { headers: bearer('send') })).status, 200)
    const told = await eventually('study.received', ({ subject }) => subject.study === studyUid)
    assert.equal(told.length, 1)
    const [{ actor, data }] = told as [LoggedEvent]
    assert.deepEqual(actor, { name: 'the sender', role: 'send', from: '127.0.0.1' })
    const bytes = instances.reduce((sum, { file }) => sum + file.length, 0)
    assert.deepEqual(
      [data.service, data.instances, data.bytes, data.duplicates, data.complete, data.token],
      ['stow-rs', 3, bytes, 0, true, tokens.get('send')?.id],
    )
    assert.equal(events('study.received').length, 2)
  })

  it('tells of each way to read, and how much went out', async () => {
    const at = `${firn.dicomWeb}/studies/${studyUid}`
    const [one] = instances as [(typeof instances)[0]]
    const wado = new URLSearchParams({
      requestType: 'WADO',
      studyUID: studyUid,
      seriesUID: seriesUid,
      objectUID: one.sopInstanceUid,
      contentType: 'application/dicom',
    })
    const ways: [string, string, string][] = [
      ['wado-rs', at, AS_STORED],
      ['zip', at, 'application/zip'],
      ['metadata', `${at}/metadata`, 'application/dicom+json'],
      ['frames', `${firn.dicomWeb}${instancePath(one)}/frames/1`, 'multipart/related; type="application/octet-stream"'],
      ['wado-uri', `${firn.url}/wado?${wado}`, '*/*'],
    ]
    for (const [service, url, accept] of ways) {
      const answer = await get(url, accept, bearer('read'))
      assert.equal(answer.status, 200, service)
      const [told] = await eventually('access.read', ({ data }) => data.service === service)
      assert.equal(told?.subject.study, studyUid, service)
      assert.equal(told?.actor.name, 'the reader')
      const wanted = ['wado-rs', 'zip', 'metadata'].includes(service) ? 3 : 1
      assert.deepEqual([told?.data.instances, told?.data.complete], [wanted, true], service)
      // Text goes out compressed.
      const least = service === 'metadata' ? 200 : answer.bytes.length
      assert.ok(Number(told?.data.bytes) >= least, `${service}: ${told?.data.bytes} bytes`)
    }
  })

  it('adds up what a viewer asks again and again, and loses no count', async () => {
    const [one] = instances as [(typeof instances)[0]]
    const of = (name: string) =>
      events('access.read', ({ data, actor }) => data.service === 'bulkdata' && actor.name === name)
    const url = `${firn.dicomWeb}${instancePath(one)}/bulkdata/7FE00010`
    for (const role of ['read', 'records']) {
      const answers = await Promise.all(Array.from({ length: 60 }, () => get(url, '*/*', bearer(role))))
      assert.ok(answers.every(({ status }) => status === 200))
    }
    for (const name of ['the reader', 'the recordser']) {
      await until('the sum', () => requestsIn(of(name)) === 60, 15_000)
      assert.equal(sumOf(of(name), 'instances'), 60)
      assert.ok(of(name).length <= 6, `${of(name).length} events for 60 requests`)
    }
  })

  it('tells of queries by their keys, and never of names', async () => {
    const url = `${firn.dicomWeb}/studies?PatientName=${encodeURIComponent('Geheimrat*')}&PatientID=P*`
    assert.equal((await get(url, 'application/dicom+json', bearer('read'))).status, 200)
    const [told] = await eventually('access.query', ({ data }) => data.service === 'qido-rs')
    assert.deepEqual([told?.data.level, told?.data.keys, told?.data.matches], ['study', ['00100010', '00100020'], 1])
  })

  it('tells who was turned away', async () => {
    assert.equal((await get(`${firn.dicomWeb}/studies`)).status, 401)
    const claimed = `Bearer firn_${tokens.get('read')?.id}_${'x'.repeat(43)}`
    assert.equal((await get(`${firn.dicomWeb}/studies`, undefined, { authorization: claimed })).status, 401)
    assert.equal((await get(`${firn.dicomWeb}/studies/${studyUid}`, AS_STORED, bearer('send'))).status, 403)
    await assert.rejects(
      Association.open(firn.dimsePort, [{ sopClassUid: VERIFICATION, transferSyntaxUids: ['1.2.840.10008.1.2'] }], {
        calling: 'STRANGER',
      }),
    )
    await eventually('access.denied', ({ data }) => data.reason === 'no token')
    const [bad] = await eventually('access.denied', ({ data }) => data.reason === 'no valid token')
    assert.deepEqual([bad?.data.token, bad?.actor.name], [tokens.get('read')?.id, ''])
    const [forbidden] = await eventually('access.denied', ({ data }) => data.reason === 'the token has not the role')
    assert.equal(forbidden?.actor.name, 'the sender')
    const [stranger] = await eventually('access.denied', ({ actor }) => actor.name === 'STRANGER')
    assert.equal(stranger?.data.service, 'dimse')
  })

  it('counts a flood of bad tokens, and writes few lines for it', async () => {
    const before = requestsIn(events('access.denied'))
    for (let n = 0; n < 300; n += 50) {
      const ids = Array.from({ length: 50 }, (_, i) => (n + i).toString(16).padStart(12, '0'))
      await Promise.all(
        ids.map((id) =>
          get(`${firn.dicomWeb}/studies`, undefined, { authorization: `Bearer firn_${id}_${'x'.repeat(43)}` }),
        ),
      )
    }
    await eventually('access.denied', ({ data }) => String(data.reason).startsWith('too many to tell'))
    assert.ok(events('access.denied').length < 70 + before)
  })

  it('tells of tokens, their makers, and of a file that was edited', async () => {
    const made = await eventually('token.created', () => true, 4)
    assert.deepEqual(made.map(({ data }) => data.name).sort(), [...tokens.keys()].map((role) => `the ${role}er`).sort())
    assert.equal(made[0]?.actor.from, 'local')
    const spare = await createToken(dataDir, 'read', 'spare')
    const second = await createToken(dataDir, 'read', 'second')
    await eventually('token.created', ({ data }) => data.token === second.id)
    assert.equal((await firnCommand(['token', 'revoke', spare.id, '--data', dataDir])).code, 0)
    const [revoked] = await eventually('token.revoked', ({ data }) => data.token === spare.id)
    assert.equal(revoked?.data.edited, undefined)
    const file = join(dataDir, 'tokens.json')
    const left = (JSON.parse(readFileSync(file, 'utf8')) as { id: string }[]).filter(({ id }) => id !== second.id)
    writeFileSync(file, JSON.stringify(left))
    const [edited] = await eventually('token.revoked', ({ data }) => data.token === second.id)
    assert.equal(edited?.data.edited, true)
  })

  it('tells what an administrator does, and what he may not', async () => {
    const url = `${firn.url}/api/v1/studies/${studyUid}/seal`
    assert.equal((await send(url, { method: 'POST', headers: bearer('admin') })).status, 200)
    const [called] = await eventually('admin.called', ({ subject }) => subject.study === studyUid)
    assert.deepEqual([called?.actor.name, called?.data.route], ['the adminer', '/studies/{studyUid}/seal'])
    assert.equal(
      (await send(`${firn.url}/api/v1/stores/nowhere/drain`, { method: 'POST', headers: bearer('admin') })).status,
      404,
    )
    const [failed] = await eventually('admin.called', ({ subject }) => subject.store === 'nowhere')
    assert.equal(failed?.data.status, 404)
  })

  const skip = skipUnless(dcmtkInstalled, 'dcmtk is not installed')
  it('tells of C-STORE, C-FIND, C-MOVE and C-GET', { skip }, async () => {
    const dir = tempDir('send')
    const some = [0, 1].map(() => makeInstance(random, { studyUid: random.uid(), patientName: PATIENT }))
    const paths = some.map((one, n) => {
      const path = join(dir, `${n}.dcm`)
      writeFileSync(path, one.file)
      return { path, transferSyntaxUid: one.transferSyntaxUid }
    })
    assert.equal((await storescu(firn.dimsePort, paths)).sent, 2)
    const sent = await eventually('study.received', ({ data }) => data.service === 'c-store', 2)
    assert.deepEqual(sent.map(({ subject }) => subject.study).sort(), some.map((one) => one.studyUid).sort())
    assert.deepEqual(sent[0]?.actor, { name: 'STORESCU', role: 'dimse', from: '127.0.0.1' })

    assert.equal((await findscu(firn.dimsePort, { QueryRetrieveLevel: 'STUDY', PatientName: 'Geheimrat*' })).length, 3)
    const [asked] = await eventually('access.query', ({ data }) => data.service === 'c-find')
    assert.deepEqual([asked?.data.keys, asked?.data.matches, asked?.actor.name], [['00100010'], 3, 'FINDSCU'])

    const keys = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: studyUid }
    assert.equal((await movescu(firn.dimsePort, movePort, keys)).files.length, 3)
    const [began] = await eventually('access.began', ({ data }) => data.service === 'c-move')
    const [moved] = await eventually('access.read', ({ data }) => data.service === 'c-move')
    assert.deepEqual([began?.data.instances, began?.data.destination], [3, 'MOVESCU'])
    assert.deepEqual(
      [moved?.subject.study, moved?.data.instances, moved?.data.destination, moved?.data.complete],
      [studyUid, 3, 'MOVESCU', true],
    )
    await getscu(firn.dimsePort, '+xe', keys)
    const [got] = await eventually('access.read', ({ data }) => data.service === 'c-get')
    assert.deepEqual([got?.actor.name, got?.data.instances], ['GETSCU', 3])
  })

  async function ask(query: string, role = 'records'): Promise<Page> {
    const answer = await get(`${firn.url}/api/v1/audit?${query}`, undefined, bearer(role))
    assert.equal(answer.status, 200, answer.bytes.toString())
    return json<Page>(answer)
  }

  it('answers records officers by study, person, kind and time, page by page, and nobody else', async () => {
    for (const role of ['read', 'send']) {
      assert.equal((await get(`${firn.url}/api/v1/audit`, undefined, bearer(role))).status, 403)
    }
    const log = logged(dataDir)
    const seqs = (page: Page) => page.events.map(({ seq }) => seq)
    const wanted = (is: (event: LoggedEvent) => boolean) =>
      log
        .filter((event) => !/^(pack|site[.]head|instance)/.test(event.kind) && is(event))
        .map(({ seq }) => seq)
        .reverse()
    await until('the index', async () => seqs(await ask('limit=1000')).includes(log.at(-1)?.seq ?? 0))
    const until_ = (page: Page) => seqs(page).filter((seq) => seq <= (log.at(-1)?.seq ?? 0))
    const bySeq = (a: number, b: number) => b - a
    assert.deepEqual(
      until_(await ask(`study=${studyUid}&limit=1000`)).sort(bySeq),
      wanted(({ subject }) => subject.study === studyUid),
    )
    assert.deepEqual(
      until_(await ask('actor=the%20reader&kind=access.read&limit=1000')).sort(bySeq),
      wanted(({ actor, kind }) => actor.name === 'the reader' && kind === 'access.read'),
    )
    assert.deepEqual(
      until_(await ask('kind=token&limit=1000')).sort(bySeq),
      wanted(({ kind }) => kind.startsWith('token.')),
    )
    assert.deepEqual((await ask('to=2001-01-01')).events, [])
    const paged: number[] = []
    let cursor = ''
    do {
      const page = await ask(`study=${studyUid}&limit=2${cursor}`)
      assert.ok(page.events.length <= 2)
      paged.push(...seqs(page))
      cursor = page.next === null ? '' : `&cursor=${page.next}`
    } while (cursor !== '')
    assert.deepEqual(paged, seqs(await ask(`study=${studyUid}&limit=1000`)))
    assert.equal((await get(`${firn.url}/api/v1/audit?cursor=nonsense`, undefined, bearer('records'))).status, 400)
    const [read] = await eventually('audit.read', ({ actor }) => actor.name === 'the recordser')
    assert.equal(read?.data.service, 'api')
  })

  it('is exported as CSV, JSON lines and to be printed', async () => {
    const env = { FIRN_TOKEN: tokens.get('records')?.token ?? '' }
    const exported = async (format: string) => {
      const args = ['audit', 'export', '--format', format, '--study', studyUid, '--url', firn.url, '--data', dataDir]
      const ended = await firnCommand(args, { env })
      assert.equal(ended.code, 0, ended.stderr)
      return ended.stdout
    }
    const { events: all } = await ask(`study=${studyUid}&limit=1000`)
    const lines = (await exported('jsonl'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LoggedEvent)
    assert.deepEqual(
      lines.map(({ seq }) => seq),
      all.map(({ seq }) => seq),
    )
    const csv = (await exported('csv')).trim().split('\r\n')
    assert.match(csv[0] ?? '', /^at,kind,actor,role,address,study,/)
    assert.equal(csv.length, all.length + 1)
    assert.equal((await exported('html')).match(/<tr><td>/g)?.length, all.length)
    const listed = await firnCommand(['audit', 'list', '--limit', '3', '--url', firn.url, '--data', dataDir], { env })
    assert.equal(listed.stdout.trim().split('\n').length, 3)
  })

  it('tells of a configuration that has changed, by its keys', async () => {
    assert.equal((await firn.stop()).code, 0)
    const changed = await Firn.start({ dataDir, config: { auth: { required: true }, audit: { sumSeconds: 3 } } })
    try {
      const all = await eventually('config.changed', () => true, 2)
      const keys = all.at(-1)?.data.keys as string[]
      assert.ok(keys.includes('audit.sumSeconds') && keys.includes('dimse.destinations'), keys.join())
    } finally {
      await changed.kill()
    }
  })

  it('has no patient in it', () => {
    const text = logFiles(dataDir)
      .map((file) => readFileSync(file, 'utf8'))
      .join('')
    assert.doesNotMatch(text, /geheimrat|kunigunde/i)
    assert.ok(text.includes(studyUid))
  })
})

describe('an event log that can not be written', () => {
  /** A whole line that is no event is damage: the log opens for reading only. */
  async function damaged(): Promise<string> {
    const dir = tempDir('data')
    const firn = await Firn.start({ dataDir: dir })
    assert.equal((await firn.stop()).code, 0)
    appendFileSync(logFiles(dir).at(-1) as string, '{"forged":true}\n')
    return dir
  }

  for (const [whenUnwritable, status] of [
    ['serve', 200],
    ['refuse', 503],
  ] as const) {
    it(`is said to be so, and reading gets ${status} with audit.whenUnwritable ${whenUnwritable}`, async () => {
      const firn = await Firn.start({ dataDir: await damaged(), config: { audit: { whenUnwritable } } })
      try {
        const instance = makeInstance(random)
        assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200, 'receiving goes on')
        const degraded = async () =>
          ((await (await firn.get('/health/ready')).json()) as { degraded: string[] }).degraded.find((reason) =>
            reason.includes("accesses can't be recorded"),
          )
        assert.match(await until('degraded', degraded), /1 events wait/)
        assert.equal((await get(`${firn.dicomWeb}${instancePath(instance)}`, AS_STORED)).status, status)
        assert.equal(
          (await get(`${firn.dicomWeb}/studies?PatientID=${instance.studyUid}`)).status,
          status === 200 ? 204 : 503,
        )
      } finally {
        await firn.kill()
      }
    })
  }
})

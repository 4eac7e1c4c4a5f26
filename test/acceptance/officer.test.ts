import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize, makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, send, stow } from '../support/web.ts'

const random = new Random(newSeed())

interface Disposition {
  id: string
  state: string
  steps: { to: string; by: string; reason: string | null; blocks: string[] }[]
}

interface Certificate {
  digest: string
  certificate: {
    subject: { studyUid: string; instances: number }
    reviewedBy: string
    approvedBy: string[]
    receipts: object[]
  }
}

/** Two records officers, an administrator, a viewer and a modality; ten years from the study date and no more. */
describe(`a records officer (seed ${random.seed})`, () => {
  const stores = [tempDir('store'), tempDir('store')]
  const config = {
    auth: { required: true },
    stores: stores.map((folder, n) => ({ id: `disk-${n}`, type: 'file', folder })),
    sealing: { quietSeconds: 1, landingSeconds: 3600, copies: 2 },
    landing: { segmentBytes: 1024 * 1024, lanes: 2 },
    retention: {
      volumes: {
        default: {
          id: 'house',
          version: '7',
          timeZone: 'Europe/Berlin',
          rules: [{ id: 'ten-years', class: 'any', years: 10, anchor: 'study-date', suspendOn: 'claim' }],
          houseMinimum: { years: 0, from: 'study-date' },
        },
      },
    },
  }
  const tokens = new Map<string, string>()
  const studies = new Map<string, Instance[]>()
  let firn: Firn

  const uidOf = (name: string): string => studies.get(name)?.[0]?.studyUid ?? assert.fail(name)
  const as = (who: string) => ({ authorization: `Bearer ${tokens.get(who) ?? assert.fail(who)}` })

  /** The command line with somebody's token. */
  async function firnAs<T>(who: string, ...args: string[]): Promise<{ code: number; value: T; stderr: string }> {
    const env = { FIRN_TOKEN: tokens.get(who) ?? assert.fail(who) }
    const { code, stdout, stderr } = await firnCommand([...args, '--data', firn.dataDir, '--json'], { env })
    return { code: code ?? -1, value: (stdout === '' ? undefined : JSON.parse(stdout)) as T, stderr }
  }

  async function post(who: string, path: string, body?: object) {
    const init = {
      method: 'POST',
      headers: { ...as(who), 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    }
    const answer = await send(`${firn.url}/api/v1${path}`, init)
    return { status: answer.status, body: json<Record<string, unknown>>(answer) }
  }

  const explained = async (name: string) =>
    (
      await firnAs<{ retainUntil: string; blocks: string[]; text: string[] }>(
        'anna',
        'retention',
        'explain',
        uidOf(name),
      )
    ).value

  async function receive(name: string, studyDate: string, count = 3): Promise<void> {
    const studyUid = random.uid()
    const made = Array.from({ length: count }, (_, n) =>
      instanceOfSize(random, 20_000, { studyUid, studyDate, instanceNumber: n, modality: 'CT' }),
    )
    studies.set(name, made)
    const files = made.map(({ file }) => file)
    assert.equal((await stow(firn.dicomWeb, files, { headers: as('ct') })).status, 200)
  }

  /** Up to the approval by the second person. */
  async function approved(name: string): Promise<string> {
    const { value, code, stderr } = await firnAs<Disposition>('anna', 'disposition', 'nominate', uidOf(name))
    assert.equal(code, 0, stderr)
    assert.equal((await firnAs('anna', 'disposition', 'review', value.id, '--reason', 'of no interest')).code, 0)
    assert.equal((await firnAs('bert', 'disposition', 'approve', value.id, '--reason', 'agreed')).code, 0)
    return value.id
  }

  before(async () => {
    const dataDir = tempDir('data')
    for (const [name, role] of Object.entries({
      ...{ anna: 'records', bert: 'records', adam: 'admin', vera: 'read', ct: 'send' },
    })) {
      const made = await firnCommand(['token', 'create', '--role', role, '--name', name, '--data', dataDir, '--json'])
      tokens.set(name, (JSON.parse(made.stdout) as { token: string }).token)
    }
    firn = await Firn.start({ dataDir, config })
    for (const name of ['old', 'held', 'claimed', 'kept', 'changed', 'shared']) await receive(name, '20080229')
    await receive('young', '20240101')
  })
  after(async () => {
    await firn?.kill()
  })

  it('is told why each study is kept and until when, in two languages', async () => {
    const all = [...studies.values()].flat().length
    await until(
      'everything to be sealed',
      async () => {
        const { packs } = json<{ packs: { instances: number }[] }>(
          await get(`${firn.url}/api/v1/packs`, undefined, as('vera')),
        )
        return packs.reduce((sum, { instances }) => sum + instances, 0) === all
      },
      60_000,
    )
    assert.equal((await firnAs('anna', 'retention', 'evaluate')).code, 0)
    // Ten years from 29 February end with 1 March where no source was read that says otherwise.
    assert.equal((await explained('old')).retainUntil, '2018-03-01')
    assert.deepEqual([(await explained('old')).blocks, (await explained('young')).blocks], [[], ['in_retention']])
    const german = await firnCommand(
      ['retention', 'explain', uidOf('young'), '--language', 'de', '--data', firn.dataDir],
      { env: { FIRN_TOKEN: tokens.get('anna') ?? '' } },
    )
    assert.match(german.stdout, /01\.01\.2034[\s\S]*ten-years/)
    const listed = await get(
      `${firn.url}/api/v1/retention/expiring?from=2018-01-01&to=2018-12-31`,
      undefined,
      as('anna'),
    )
    const { studies: expiring } = json<{ studies: { studyUid: string; rule: string }[] }>(listed)
    assert.equal(expiring.length, 6)
    assert.ok(expiring.every(({ rule }) => rule === 'ten-years'))
  })

  it('reads a report of everything as a table and as a page', async () => {
    const csv = await get(`${firn.url}/api/v1/retention/report?format=csv`, undefined, as('anna'))
    const lines = csv.bytes.toString().trimEnd().split('\r\n')
    assert.equal(lines.length, 1 + studies.size)
    assert.ok(
      lines.some((line) => line.startsWith(`${uidOf('young')},`) && line.includes(',2034-01-01,ten-years,house')),
    )
    const html = (await get(`${firn.url}/api/v1/retention/report?format=html`, undefined, as('anna'))).bytes.toString()
    assert.match(html, /^<!doctype html>[\s\S]*7 studies/)
  })

  it('tries another policy before it is applied', async () => {
    const file = join(tempDir('policy'), 'policy.yaml')
    writeFileSync(file, 'id: house\nversion: "8"\nrules: [{ id: twenty, class: any, years: 20, anchor: study-date }]\n')
    const { value, code } = await firnAs<Record<string, number>>('anna', 'retention', 'plan', file)
    assert.deepEqual([code, value?.studies, value?.longer], [0, 7, 7])
    assert.equal((await explained('old')).retainUntil, '2018-03-01', 'nothing was changed')
    writeFileSync(file, 'version: "9"\npresets: [atlantis]\n')
    assert.notEqual((await firnAs('anna', 'retention', 'plan', file)).code, 0)
  })

  it('fails to dispose of five studies for five reasons', async () => {
    const refused = async (name: string, block: RegExp) => {
      const { code, stderr } = await firnAs('anna', 'disposition', 'nominate', uidOf(name))
      assert.notEqual(code, 0)
      assert.match(stderr, block)
    }
    // 1. Its time is not over.
    await refused('young', /in_retention/)
    // 2. It is held, which takes one person; the release takes two.
    const hold = await firnAs<{ id: string; assurance: string }>(
      ...(['bert', 'hold', 'place', '--study', uidOf('held')] as const),
      ...['--case', '4 O 17/26', '--reason', 'claim announced', '--holder', 'regional court'],
    )
    assert.deepEqual([hold.code, hold.value.assurance], [0, 'guaranteed'], hold.stderr)
    await refused('held', /on_hold/)
    const released = await firnAs<{ state: string }>('bert', 'hold', 'release', hold.value.id, '--reason', 'settled')
    assert.equal(released.value.state, 'active')
    assert.notEqual((await firnAs('bert', 'hold', 'release', hold.value.id, '--reason', 'settled')).code, 0)
    await refused('held', /on_hold/)
    // 3. A claim stops the period.
    const claim = await post('anna', '/retention/notes', {
      studyUid: uidOf('claimed'),
      kind: 'claim',
      reason: 'letter of today',
    })
    assert.equal(claim.status, 200)
    await refused('claimed', /suspended/)
    // 4. A second person is not there: neither the reviewer, nor an administrator, nor anybody else can approve.
    const { value } = await firnAs<Disposition>('anna', 'disposition', 'nominate', uidOf('shared'))
    assert.equal((await firnAs('anna', 'disposition', 'review', value.id, '--reason', 'of no interest')).code, 0)
    for (const who of ['anna', 'adam', 'vera', 'ct']) {
      const path = `/dispositions/${value.id}/approve`
      assert.equal((await post(who, path, { reason: 'agreed' })).status, 403, who)
      assert.notEqual((await post(who, `/dispositions/${value.id}/destroy`)).status, 200, who)
    }
    // 5. Something came after it was approved.
    const id = await approved('changed')
    const late = makeInstance(random, { studyUid: uidOf('changed'), studyDate: '20080229' })
    assert.equal((await stow(firn.dicomWeb, [late.file], { headers: as('ct') })).status, 200)
    const aborted = await firnAs<Disposition>('anna', 'disposition', 'destroy', id, '--yes')
    assert.equal(aborted.value.state, 'aborted')
    assert.ok(aborted.value.steps.at(-1)?.blocks.includes('instances_changed'))
    for (const name of studies.keys()) {
      const there = await found(`/studies?StudyInstanceUID=${uidOf(name)}`)
      assert.equal(there, 1, `${name} is still there`)
    }
  })

  async function found(path: string): Promise<number> {
    const answer = await get(firn.dicomWeb + path, 'application/dicom+json', as('vera'))
    return answer.status === 204 ? 0 : json<unknown[]>(answer).length
  }

  it('sees that DELETE by DICOMweb frees nothing, whatever the state, whoever asks', async (t) => {
    let asked = 0
    for (const [name, [one]] of studies) {
      assert.ok(one)
      const { studyUid, seriesUid } = one
      const levels = [`/studies/${studyUid}`, `/studies/${studyUid}/series/${seriesUid}`, instancePath(one)]
      for (const level of levels) {
        for (const who of tokens.keys()) {
          asked += 1
          const { status } = await send(firn.dicomWeb + level, { method: 'DELETE', headers: as(who) })
          assert.equal(status, 405, `${name}, ${who}`)
        }
      }
      assert.equal(await found(`/studies?StudyInstanceUID=${studyUid}`), 1)
    }
    t.diagnostic(`${asked} requests, 0 bypasses`)
  })

  it('keeps a candidate that somebody would rather keep', async () => {
    const { value } = await firnAs<Disposition>('anna', 'disposition', 'nominate', uidOf('kept'))
    const kept = await firnAs<Disposition>('anna', 'disposition', 'keep', value.id, '--reason', 'a rare case')
    assert.equal(kept.value.state, 'rejected')
  })

  it('disposes of one study with a second person, and nothing of it is left anywhere', async () => {
    const [one] = studies.get('old') ?? []
    assert.ok(one)
    // A cache has it too.
    assert.equal((await get(`${firn.dicomWeb}/studies/${one.studyUid}/metadata`, undefined, as('vera'))).status, 200)
    const folders = [firn.dataDir, ...stores]
    const pixels = (studies.get('old') ?? []).map(({ file }) => file.subarray(file.length - 8000, file.length - 4000))
    assert.ok(scan(folders, pixels).length >= 2 * pixels.length)
    const id = await approved('old')
    const { value, code, stderr } = await firnAs<Disposition>('anna', 'disposition', 'destroy', id, '--yes')
    assert.deepEqual([code, value?.state], [0, 'certified'], stderr)
    assert.deepEqual(scan(folders, pixels), [])
    assert.deepEqual(named(folders, one.studyUid), [])
    assert.equal(await found(`/studies?StudyInstanceUID=${one.studyUid}`), 0)
    assert.equal((await get(firn.dicomWeb + instancePath(one), undefined, as('vera'))).status, 404)
    const { certificate, digest } = (await firnAs<Certificate>('bert', 'disposition', 'certificate', id)).value
    assert.equal(certificate.subject.studyUid, one.studyUid)
    assert.deepEqual(
      [certificate.reviewedBy, certificate.approvedBy, certificate.receipts.length],
      ['anna', ['bert'], 1],
    )
    assert.equal(createHash('sha256').update(canonical(certificate)).digest('hex'), digest)
    for (const [name, instances] of studies) {
      if (name === 'old') continue
      for (const { file } of instances) {
        const middle = file.subarray(file.length - 8000, file.length - 4000)
        assert.ok(scan(stores, [middle]).length >= 2, `${name} is in both stores as before`)
      }
    }
  })

  it('sees that what was destroyed does not come back', async () => {
    const [one] = studies.get('old') ?? []
    assert.ok(one)
    const again = await stow(firn.dicomWeb, [one.file], { headers: as('ct') })
    assert.deepEqual([again.status, again.failed[0]?.reason], [409, 0x0124])
    const why = await get(`${firn.url}/api/v1/retention/destroyed/${one.sopInstanceUid}`, undefined, as('adam'))
    assert.equal(json<{ studyUid: string }>(why).studyUid, one.studyUid)
    await firn.stop()
    for (const name of readdirSync(firn.dataDir)) {
      if (name.startsWith('catalogue.sqlite')) rmSync(join(firn.dataDir, name))
    }
    const env = { FIRN_STORES: JSON.stringify(config.stores) }
    const rebuilt = await firnCommand(['rebuild', '--data', firn.dataDir], { env })
    assert.equal(rebuilt.code, 0, rebuilt.stdout + rebuilt.stderr)
    await firn.start()
    assert.equal(await found(`/studies?StudyInstanceUID=${one.studyUid}`), 0)
    assert.equal((await stow(firn.dicomWeb, [one.file], { headers: as('ct') })).status, 409)
    // Holds, decisions and certificates are in the log, and back.
    assert.deepEqual((await explained('held')).blocks, ['on_hold'])
    assert.deepEqual((await explained('claimed')).blocks, ['suspended'])
    assert.equal((await firnAs<Disposition[]>('anna', 'disposition', 'list', '--state', 'certified')).value.length, 1)
  })

  it('gives the event log to an auditor, who finds a forged line', async () => {
    const files = join(tempDir('auditor'), 'events')
    cpSync(join(firn.dataDir, 'events'), files, { recursive: true })
    const verified = await firnCommand(['events', 'verify', '--files', files])
    assert.equal(verified.code, 0, verified.stdout)
    const forged = readdirSync(files)
      .map((name) => join(files, name))
      .find((path) => statSync(path).isFile() && readFileSync(path, 'utf8').includes('"name":"bert"'))
    assert.ok(forged)
    writeFileSync(forged, readFileSync(forged, 'utf8').replace('"name":"bert"', '"name":"anna"'))
    const found = await firnCommand(['events', 'verify', '--files', files])
    assert.equal(found.code, 1)
    assert.match(found.stdout, /altered/)
  })

  it('is needed: without named persons nobody holds or destroys anything', async () => {
    const open = await Firn.start({ dataDir: tempDir('open') })
    const answer = await send(`${open.url}/api/v1/holds`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ patient: { patientId: 'X' }, case: 'C', reason: 'R', holder: 'H' }),
    })
    await open.stop()
    assert.equal(answer.status, 403)
    assert.match(answer.bytes.toString(), /firn token create --role records/)
  })
})

/** Every file below the folders that holds any of these bytes. */
function scan(folders: readonly string[], wanted: readonly Buffer[]): string[] {
  return files(folders).flatMap((path) => {
    const bytes = readFileSync(path)
    return wanted.filter((some) => bytes.includes(some)).map(() => path)
  })
}

/** Files that a study has given its name, apart from the log of what happened. */
const named = (folders: readonly string[], uid: string): string[] => files(folders).filter((path) => path.includes(uid))

const files = (folders: readonly string[]): string[] =>
  folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile()),
  )

/** JSON with sorted keys, as docs/retention.md says of certificates. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

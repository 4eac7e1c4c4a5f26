import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { logged } from '../support/audit.ts'
import { elements, parseXml, schemaFaults } from '../support/audit-schema.ts'
import { issue } from '../support/certificates.ts'
import { Firn } from '../support/firn.ts'
import { freePort, installed, skipUnless, tempDir } from '../support/host.ts'
import { makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { AuditRepository } from '../support/syslog.ts'
import { until } from '../support/until.ts'
import { get, instancePath, send, stow } from '../support/web.ts'

const random = new Random(newSeed())
const skip = skipUnless(installed('openssl'), 'openssl is not installed')
const AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
/** Kinds that DICOM has messages for. */
const TOLD = /^(site\.st|access\.|study\.received|audit\.|admin\.|token\.|config\.)/

describe(`audit messages to a repository (seed ${random.seed})`, { skip }, () => {
  const dir = tempDir('certificates')
  const dataDir = tempDir('data')
  const instances = Array.from({ length: 12 }, () => makeInstance(random, { patientName: 'Müller^<Ärztin> & "Söhne"' }))
  let server: { key: string; cert: string }
  let client: { key: string; cert: string }
  let port: number
  let repository: AuditRepository
  let firn: Firn

  before(async () => {
    await issue(dir, 'ca')
    server = await issue(dir, 'server')
    client = await issue(dir, 'client')
    port = await freePort()
    repository = new AuditRepository({ ...server, ca: `${dir}/ca.pem`, port })
    await repository.start()
    const syslog = { host: '127.0.0.1', port, ca: `${dir}/ca.pem`, ...client, enterpriseSiteId: 'Haus 3' }
    // Each access is an event of its own.
    firn = await Firn.start({ dataDir, config: { audit: { sumSeconds: 0.001, syslog } } })
  })
  after(async () => {
    await firn?.kill()
    await repository?.crash()
  })

  const toTell = () =>
    logged(dataDir)
      .filter(({ kind }) => TOLD.test(kind))
      .map(({ seq }) => seq)

  /** All that was there at this moment has come, at least once each. */
  async function allCome(ms = 40_000): Promise<void> {
    // What was asked for last may still be gathering.
    await new Promise((resolve) => setTimeout(resolve, 300))
    const wanted = toTell()
    await until(
      'all messages',
      () => {
        const come = new Set(repository.events)
        const first = repository.events[0] ?? 0
        return wanted.filter((seq) => seq >= first).every((seq) => come.has(seq)) && come.size > 0
      },
      ms,
    )
  }

  async function accesses(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const one = instances[n % instances.length] as (typeof instances)[0]
      assert.equal((await get(`${firn.dicomWeb}${instancePath(one)}`, AS_STORED)).status, 200)
    }
  }

  it('come in order, framed and dated as the RFCs say, and valid by the schema', async () => {
    assert.equal(
      (
        await stow(
          firn.dicomWeb,
          instances.map(({ file }) => file),
        )
      ).status,
      200,
    )
    await accesses(12)
    const [one] = instances as [(typeof instances)[0]]
    for (const path of [
      `${instancePath(one)}/metadata`,
      `/studies/${one.studyUid}`,
      '/studies?PatientName=M*',
      '/studies/1.2.3',
    ]) {
      await get(firn.dicomWeb + path, path.endsWith('metadata') || path.includes('?') ? undefined : 'application/zip')
    }
    await get(`${firn.dicomWeb}/studies`, undefined, {
      authorization: 'Bearer firn_0123456789ab_wrong-wrong-wrong-wrong',
    })
    await send(`${firn.url}/api/v1/studies/${one.studyUid}/seal`, { method: 'POST' })
    await get(`${firn.url}/api/v1/audit`)
    await allCome()
    for (const { pri, app, messageId, at, event, xml } of repository.messages) {
      assert.ok(pri === 85 || pri === 84)
      assert.deepEqual([app, messageId], ['firn', 'DICOM+RFC3881'])
      assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.match(event, /^\d+:[0-9a-f]{64}$/)
      assert.deepEqual(schemaFaults(parseXml(xml)), [], xml)
    }
    const { events } = repository
    assert.deepEqual(
      events,
      [...events].sort((a, b) => a - b),
    )
  })

  it('name the patient, the study, and who has it from whom', () => {
    const [one] = instances as [(typeof instances)[0]]
    const transferred = repository
      .of('110104')
      .map(({ xml }) => parseXml(xml))
      .filter((message) =>
        elements(message, 'ParticipantObjectIdentification').some(
          (object) => object.attributes.ParticipantObjectID === one.studyUid,
        ),
      )
    const [received, ...sent] = transferred
    assert.ok(received && sent.length > 0)
    assert.equal(elements(received, 'EventIdentification')[0]?.attributes.EventActionCode, 'C')
    assert.equal(elements(sent[0] as typeof received, 'EventIdentification')[0]?.attributes.EventActionCode, 'R')
    const objects = elements(received, 'ParticipantObjectIdentification')
    const patient = objects.find(({ attributes }) => attributes.ParticipantObjectTypeCodeRole === '1')
    assert.equal(patient?.attributes.ParticipantObjectID, `P${one.studyUid.slice(-12)}`)
    assert.equal(elements(patient as typeof received, 'ParticipantObjectName')[0]?.text, 'Müller^<Ärztin> & "Söhne"')
    const roles = elements(received, 'RoleIDCode').map(({ attributes }) => attributes['csd-code'])
    assert.deepEqual(roles, ['110153', '110152'])
    assert.equal(elements(received, 'AuditSourceIdentification')[0]?.attributes.AuditEnterpriseSiteID, 'Haus 3')
    // Accessed, exported, query, login, alert for the seal, log used, configuration.
    for (const code of ['110103', '110106', '110112', '110114', '110113', '110101']) {
      assert.ok(repository.of(code).length > 0, code)
    }
  })

  it('wait in the log while the repository is away, also over a kill of the node, and then come', async () => {
    await repository.crash()
    await accesses(30)
    const degraded = async () => {
      const { degraded } = (await (await firn.get('/health/ready')).json()) as { degraded: string[] }
      return degraded.find((reason) => reason.includes('audit messages'))
    }
    const reason = await until('degraded', degraded, 40_000)
    assert.match(reason, /127\.0\.0\.1:\d+.*ECONNREFUSED.*events wait/)
    await firn.kill()
    await firn.start()
    await accesses(5)
    await repository.start()
    await allCome()
    await until('well again', async () => (await degraded()) === undefined, 40_000)
  })

  it('come again when the repository breaks off in the middle: none is missing', async () => {
    await accesses(1)
    await allCome()
    repository.breakAfter = repository.messages.length + 7
    await accesses(25)
    await until('the break', () => repository.messages.length >= repository.breakAfter)
    await new Promise((resolve) => setTimeout(resolve, 500))
    repository.breakAfter = Number.POSITIVE_INFINITY
    await allCome()
    const again = repository.messages.length - new Set(repository.messages.map(({ event, xml }) => event + xml)).size
    assert.ok(again > 0, 'what was not confirmed is sent again')
  })

  it('do not delay answers when the repository is slow', async () => {
    repository.delayMs = 400
    const began = Date.now()
    await accesses(20)
    assert.ok(Date.now() - began < 8000)
    await allCome()
    repository.delayMs = 0
  })

  it('are not told to a repository whose certificate nobody known has signed', async () => {
    const other = tempDir('other')
    await issue(other, 'ca')
    const imposter = new AuditRepository({ ...(await issue(other, 'server')), port })
    await repository.crash()
    await imposter.start()
    try {
      await accesses(5)
      await until('refused handshakes', () => imposter.connections + imposter.handshakesFailed > 0, 60_000)
      await new Promise((resolve) => setTimeout(resolve, 1000))
      assert.equal(imposter.messages.length, 0)
    } finally {
      await imposter.crash()
    }
    await repository.start()
    await allCome(90_000)
  })

  it('hold a head of the log that the auditor can compare', async () => {
    const heads = repository.messages.map(({ event }) => event)
    const lines = new Map(logged(dataDir).map(({ seq, hash }) => [seq, hash]))
    for (const head of heads) {
      const [seq, hash] = head.split(':')
      assert.equal(lines.get(Number(seq)), hash)
    }
  })
})

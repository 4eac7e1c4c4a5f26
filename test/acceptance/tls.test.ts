import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { get as httpsGet } from 'node:https'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { connect } from 'node:tls'
import { transferSyntaxes } from '../fixtures/dicom.ts'
import { issue } from '../support/certificates.ts'
import { associateRq, PDU, VERIFICATION } from '../support/dimse.ts'
import { Firn } from '../support/firn.ts'
import { installed, skipUnless, tempDir } from '../support/host.ts'
import { until, within } from '../support/until.ts'

const skip = skipUnless(installed('openssl'), 'openssl is not installed')

describe('TLS', { skip }, () => {
  const dir = tempDir('tls')
  let firn: Firn
  let client: { key: string; cert: string }
  before(async () => {
    const ca = await issue(dir, 'ca')
    const server = await issue(dir, 'server')
    client = await issue(dir, 'client')
    const config = { http: { tls: server }, dimse: { tls: { ...server, ca: ca.cert } } }
    firn = await Firn.start({ config, secure: true })
  })
  after(async () => {
    await firn?.kill()
  })

  const ca = () => readFileSync(join(dir, 'ca.pem'))
  const pair = () => ({ key: readFileSync(client.key), cert: readFileSync(client.cert) })

  function statusOf(options: object): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = httpsGet(
        `https://127.0.0.1:${firn.httpPort}/health/ready`,
        { ...options, agent: false },
        (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        },
      )
      request.on('error', reject)
    })
  }

  it('serves HTTPS with the configured certificate', async () => {
    await until('readiness', async () => (await statusOf({ ca: ca() })) === 200)
    await assert.rejects(statusOf({}), /certificate/)
    await assert.rejects(fetch(`http://127.0.0.1:${firn.httpPort}/health/live`))
  })

  /** The type of the PDU that answers an association request; 0 when the connection ends instead. */
  function associate(options: object): Promise<number> {
    const proposals = [{ sopClassUid: VERIFICATION, transferSyntaxUids: [transferSyntaxes.implicitLittle] }]
    const answer = new Promise<number>((resolve) => {
      const socket = connect({ port: firn.dimsePort, host: '127.0.0.1', ca: ca(), ...options })
      socket.on('secureConnect', () => socket.write(associateRq(proposals)))
      const end = (type: number) => {
        socket.destroy()
        resolve(type)
      }
      socket.on('data', (bytes) => end(bytes.readUInt8(0)))
      socket.on('error', () => end(0))
      socket.on('close', () => end(0))
    })
    return within('an answer', 20_000, answer)
  }

  it('serves DIMSE over TLS, to clients with a certificate of the authority only', async () => {
    assert.equal(await associate(pair()), PDU.associateAc)
    assert.equal(await associate({}), 0)
  })

  it('refuses key files that cannot be read, and names them', async () => {
    const missing = { key: join(dir, 'nowhere.key'), cert: join(dir, 'server.pem') }
    for (const config of [{ http: { tls: missing } }, { dimse: { tls: missing } }]) {
      const ended = await (await Firn.prepare({ config })).startExpectingEnd()
      assert.equal(ended.code, 3)
      assert.match(ended.stderr, /nowhere\.key/)
    }
  })
})

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { CT, context, isAssociationError, sampleDataSet, startServer, store } from './fakes.test.ts'

/** Certificates are made by openssl. FIRN_NO_SKIP=1 forbids that it is missing. */
const isInstalled = (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'openssl')))
const options = { skip: !isInstalled && process.env.FIRN_NO_SKIP !== '1' && 'openssl is not on PATH' }

async function certificate(t: TestContext): Promise<{ key: string; cert: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'firn-tls-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=firn test', '-addext', 'subjectAltName=IP:127.0.0.1']
  await promisify(execFile)('openssl', ['req', ...kind, ...names, '-keyout', key, '-out', cert])
  return { key, cert }
}

test('DICOM over TLS, with and without client certificates', options, async (t) => {
  const own = await certificate(t)
  const client = await certificate(t)
  for (const ca of [undefined, client.cert]) {
    const running = await startServer(t, { tls: ca === undefined ? own : { ...own, ca } })
    const peer = { aeTitle: 'FIRN', host: '127.0.0.1', port: running.port }
    const association = await running.associate([context(CT)], { peer: { ...peer, tls: { ...client, ca: own.cert } } })
    const big = Buffer.concat([sampleDataSet('1.2'), Buffer.alloc(3_000_000, 3)])
    assert.equal((await store(association, '1.2', big)).status, 0)
    assert.deepEqual(running.archive.dataSetOf('1.2'), big)
    await association.release()
    const strangers = [{ ...peer }, { ...peer, tls: {} }]
    if (ca !== undefined) strangers.push({ ...peer, tls: { ca: own.cert } })
    for (const stranger of strangers) {
      const failed = (error: unknown) =>
        ['unreachable', 'closed', 'aborted', 'timeout'].some((kind) => isAssociationError(kind as 'closed')(error))
      await assert.rejects(running.associate([context(CT)], { peer: stranger }), failed)
    }
  }
})

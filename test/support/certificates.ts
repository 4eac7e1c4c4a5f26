import assert from 'node:assert/strict'
import { join } from 'node:path'
import { run } from './host.ts'

/** An authority (`ca`), or a key and certificate of `name` for 127.0.0.1 that it has signed. Needs openssl. */
export async function issue(dir: string, name: string): Promise<{ key: string; cert: string }> {
  const at = (file: string) => join(dir, file)
  const openssl = async (...args: string[]) => {
    const ended = await run('openssl', args, { cwd: dir })
    assert.equal(ended.code, 0, ended.stderr)
  }
  const [key, cert] = [at(`${name}.key`), at(`${name}.pem`)]
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  if (name === 'ca') {
    await openssl('req', '-x509', ...ec, '-days', '2', '-subj', '/CN=Test CA', '-keyout', key, '-out', cert)
    return { key, cert }
  }
  const extension = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  await openssl('req', ...ec, '-subj', `/CN=${name}`, ...extension, '-keyout', key, '-out', at(`${name}.csr`))
  const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-copy_extensions', 'copy']
  await openssl('x509', '-req', '-in', at(`${name}.csr`), ...by, '-days', '2', '-out', cert)
  return { key, cert }
}

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Firn } from './firn.ts'
import { freePort, installed, run, tempDir } from './host.ts'
import type { Instance } from './instances.ts'
import { send } from './web.ts'

const PEER = fileURLToPath(new URL('../peers/orthanc.sh', import.meta.url))
export const orthancInstalled = installed('Orthanc') || existsSync('/usr/sbin/Orthanc')

/** A real Orthanc as the old archive, filled by its REST API. */
export class OldOrthanc {
  readonly httpPort: number
  readonly dimsePort: number
  readonly url: string
  readonly #dir = tempDir('orthanc')

  private constructor(httpPort: number, dimsePort: number) {
    this.httpPort = httpPort
    this.dimsePort = dimsePort
    this.url = `http://127.0.0.1:${httpPort}`
  }

  static async prepare(): Promise<OldOrthanc> {
    return new OldOrthanc(await freePort(), await freePort())
  }

  async start(firn: Firn): Promise<void> {
    const env = { FIRN_URL: `${firn.dicomWeb}/`, FIRN_DIMSE: `127.0.0.1:${firn.dimsePort}` }
    const args = [PEER, 'start', this.#dir, String(this.httpPort), String(this.dimsePort)]
    const started = await run('bash', args, { env })
    assert.equal(started.code, 0, started.stderr)
    process.once('exit', () => this.stop())
  }

  stop(): void {
    spawnSync('bash', [PEER, 'stop', this.#dir])
  }

  /** From now on C-MOVE to FIRN goes there. */
  async reach(firn: Firn): Promise<void> {
    const modality = { AET: 'FIRN', Host: '127.0.0.1', Port: firn.dimsePort, AllowFind: true, AllowGet: true }
    const body = JSON.stringify(modality)
    const { status } = await send(`${this.url}/modalities/firn`, { method: 'PUT', body })
    assert.equal(status, 200)
  }

  async upload(instances: readonly Instance[]): Promise<void> {
    for (const { file } of instances) {
      const { status } = await send(`${this.url}/instances`, { method: 'POST', body: file })
      assert.equal(status, 200)
    }
  }

  /** Takes one instance away, so that a listing that was made before says more than there is. */
  async remove(sopInstanceUid: string): Promise<void> {
    const found = await send(`${this.url}/tools/lookup`, { method: 'POST', body: sopInstanceUid })
    const [{ ID }] = JSON.parse(found.bytes.toString()) as [{ ID: string }]
    assert.equal((await send(`${this.url}/instances/${ID}`, { method: 'DELETE' })).status, 200)
  }
}

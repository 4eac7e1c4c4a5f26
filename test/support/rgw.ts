import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { freePort, installed, removeDir, run, tempDir } from './host.ts'

/** A real Ceph RADOS Gateway (S3) as a peer; see test/peers/rgw.sh. */
export const rgwInstalled = ['radosgw', 'ceph-mon', 'ceph-osd', 'python3'].every(installed)

const SCRIPT = fileURLToPath(new URL('../peers/rgw.sh', import.meta.url))

export interface Gateway {
  endpoint: string
  accessKey: string
  secretKey: string
  /** `radosgw-admin` on this cluster: what its owner may do. */
  admin(...args: string[]): Promise<string>
  /** `start` and `stop` of the gateway alone; its data stays. */
  stopGateway(): Promise<void>
  resumeGateway(): Promise<void>
  /** Ends everything and removes the data. */
  stop(): Promise<void>
}

/** Starts a new, empty cluster: 6 to 8 s. It is stopped when the process ends, if not before. */
export async function startGateway(): Promise<Gateway> {
  const dir = tempDir('rgw')
  const [accessKey, secretKey] = ['archive', 'archive-secret']
  const script = async (...args: string[]) => {
    const ended = await run('bash', [SCRIPT, ...args], { timeoutMs: 90_000 })
    if (ended.code !== 0) throw new Error(`rgw.sh ${args[0]}: ${ended.stderr}`)
    return ended.stdout.trim()
  }
  const stopAtExit = () => spawnSync('bash', [SCRIPT, 'stop', dir])
  process.prependListener('exit', stopAtExit)
  const endpoint = await script('start', dir, String(await freePort()))
  return {
    endpoint,
    accessKey,
    secretKey,
    admin: (...args) => script('admin', dir, ...args),
    stopGateway: async () => void (await script('stop', dir, 'rgw')),
    resumeGateway: async () => void (await script('resume', dir)),
    async stop() {
      process.removeListener('exit', stopAtExit)
      await script('stop', dir)
      removeDir(dir)
    },
  }
}

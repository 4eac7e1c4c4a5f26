/** C-STORE as a modality does it: dcmtk's storescu, one process for each association. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { RunningServer } from './servers.ts'

export interface StoreSettings {
  /** TCP_NODELAY=1 and PDUs of 128 KiB; otherwise as storescu is by itself. */
  tuned: boolean
}

/** Sends each group of paths over an association of its own, side by side; resolves with the seconds it took. */
export async function storescu(
  server: RunningServer,
  groups: readonly (readonly string[])[],
  { tuned }: StoreSettings,
): Promise<number> {
  const started = performance.now()
  await Promise.all(groups.map((paths) => associate(server, paths, tuned)))
  return (performance.now() - started) / 1000
}

async function associate(server: RunningServer, paths: readonly string[], tuned: boolean): Promise<void> {
  const pdu = tuned ? ['-pdu', '131072', '--max-send-pdu', '131072'] : []
  const address = ['-aet', 'BENCH', '-aec', server.aeTitle, '127.0.0.1', `${server.dimsePort}`]
  const child = spawn('storescu', [...pdu, '-R', '+sd', '+r', ...address, ...paths], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: tuned ? { ...process.env, TCP_NODELAY: '1' } : process.env,
  })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-2000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const [code] = await once(child, 'close')
  if (code !== 0 || /^E:/m.test(output)) throw new Error(`storescu to ${server.name} (${code}): ${output}`)
}

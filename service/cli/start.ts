import type { Command } from 'commander'
import { Node, type NodeAddresses } from '../main.ts'
import { type ConfigOptions, configOf, type Done, withConfig } from './options.ts'

export function addStart(program: Command, done: Done): void {
  withConfig(program.command('start'))
    .description('run a node until SIGTERM or SIGINT')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--http-port <port>', 'DICOMweb and API (default: 8080)')
    .option('--dimse-port <port>', 'DICOM (default: 11112)')
    .option('--json', 'print the ready line as JSON')
    .action(async (options: ConfigOptions & { json?: boolean }) => {
      const node = new Node(configOf(options))
      const stopped = stopOnSignal(node)
      const addresses = await Promise.race([node.start(), stopped.then(() => undefined)])
      if (addresses) console.log(options.json ? JSON.stringify({ ready: true, ...addresses }) : readyText(addresses))
      await stopped
      done(0)
    })
}

const SAME_SIGNAL_MS = 300

/** The first signal stops in order; the second one at once. */
function stopOnSignal(node: Node): Promise<void> {
  return new Promise((resolve, reject) => {
    let stoppingSince: number | undefined
    const onSignal = (): void => {
      // Ctrl-C reaches this process from the terminal and from npm: one and the same wish.
      if (stoppingSince !== undefined && performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(130)
      if (stoppingSince !== undefined) return
      stoppingSince = performance.now()
      node.stop().then(resolve, reject)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

function readyText({ http, dimse }: NodeAddresses): string {
  const dicomWeb = `${http}/dicom-web`
  const lines = [`firn ready: DICOMweb ${dicomWeb}  API ${http}/api/v1  ${dimseText(dimse)}`]
  if (dimse) lines.push(`  send a file:  storescu -aec ${dimse.aeTitle} ${dimse.host} ${dimse.port} image.dcm`)
  lines.push(
    `  or:           curl -F 'file=@image.dcm;type=application/dicom' -H 'Content-Type: multipart/related; type="application/dicom"' ${dicomWeb}/studies`,
    `  find it:      curl '${dicomWeb}/studies?limit=10'`,
  )
  return lines.join('\n')
}

function dimseText(dimse: NodeAddresses['dimse']): string {
  return dimse ? `DIMSE ${dimse.aeTitle}@${dimse.host}:${dimse.port}` : 'DIMSE off'
}

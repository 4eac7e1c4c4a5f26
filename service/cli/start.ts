import type { Command } from 'commander'
import type { Config } from '../config/schema.ts'
import { Node } from '../main.ts'
import { EXIT, Failure } from './exit.ts'
import { type ConfigOptions, configOf, type Done, withConfig } from './options.ts'
import { readyText } from './ready.ts'
import { startTwoSites } from './two-sites.ts'

type StartOptions = ConfigOptions & { json?: boolean; sites: string }

export function addStart(program: Command, done: Done): void {
  withConfig(program.command('start'))
    .description('run a node until SIGTERM or SIGINT')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--http-port <port>', 'DICOMweb and API (default: 8080)')
    .option('--dimse-port <port>', 'DICOM (default: 11112)')
    .option('--sites <number>', '2: two sites on this machine that mirror each other, the second one port higher', '1')
    .option('--json', 'print the ready line as JSON')
    .action(async (options: StartOptions) => {
      if (options.sites !== '1' && options.sites !== '2') throw new Failure(EXIT.usage, '--sites is 1 or 2')
      if (options.sites === '2') await startTwoSites(options)
      else await runNode(configOf(options), options.json ?? false)
      done(0)
    })
}

/** Until a signal. A node that has to rejoin the other site starts again by itself. */
async function runNode(config: Config, json: boolean): Promise<void> {
  let node = new Node(config)
  const stopped = stopOnSignal(() => node.stop())
  for (;;) {
    const addresses = await Promise.race([node.start(), stopped.then(() => undefined)])
    if (addresses) console.log(json ? JSON.stringify({ ready: true, ...addresses }) : readyText(addresses))
    const fenced = await Promise.race([node.fenced.then(() => true), stopped.then(() => false)])
    if (!fenced) return
    await node.stop()
    node = new Node(config)
  }
}

const SAME_SIGNAL_MS = 300

/** The first signal stops in order; the second one at once. The end of the process that watches over this one does too. */
function stopOnSignal(stop: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let stoppingSince: number | undefined
    const onSignal = (): void => {
      // Ctrl-C reaches this process from the terminal and from npm: one and the same wish.
      if (stoppingSince !== undefined && performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(130)
      if (stoppingSince !== undefined) return
      stoppingSince = performance.now()
      stop().then(resolve, reject)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
    process.on('disconnect', onSignal)
  })
}

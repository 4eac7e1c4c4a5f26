import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeAddresses } from '../main.ts'
import { EXIT, Failure } from './exit.ts'
import { type ConfigOptions, configOf } from './options.ts'
import { readyText } from './ready.ts'

interface Site {
  letter: 'a' | 'b'
  httpPort: number
  dimsePort: number
  peerPort: number
}

/** Between the ports of DICOMweb and those on which the sites speak to each other. */
const PEER_PORT_ABOVE = 100
const RESTART_MS = 1000
const PAIRED_MS_MAX = 15_000

/**
 * Two equal sites on this machine, each a process of its own, as `npm start` shows them. One that dies is started again.
 * Resolves when both have ended after the signal.
 */
export async function startTwoSites(options: ConfigOptions & { json?: boolean }): Promise<void> {
  const { dataDir, http, dimse } = configOf(options)
  if (existsSync(join(dataDir, 'firn.json'))) {
    const message = `${dataDir} holds the archive of a single site: give --sites 1, or another --data`
    throw new Failure(EXIT.usage, message)
  }
  const a = await portsOf('a', http.port, dimse.port)
  const b = await portsOf('b', http.port === 0 ? 0 : http.port + 1, dimse.port === 0 ? 0 : dimse.port + 1)
  const stopping = new AbortController()
  const children = [
    new SiteProcess(a, b, dataDir, options, stopping.signal),
    new SiteProcess(b, a, dataDir, options, stopping.signal),
  ]
  const stop = (signal: NodeJS.Signals): void => {
    stopping.abort()
    for (const child of children) child.signal(signal)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  const ended = Promise.all(children.map((child) => child.run()))
  const ready = Promise.all(children.map((child) => child.ready))
  const addresses = await Promise.race([ready, ended.then(() => undefined)])
  if (addresses && !stopping.signal.aborted) {
    const paired = await arePaired(addresses[0] as NodeAddresses, stopping.signal)
    if (options.json) console.log(JSON.stringify({ ready: true, sites: addresses, paired }))
    else {
      for (const [index, one] of addresses.entries()) console.log(readyText(one, `site ${'ab'[index]}`, index === 0))
      console.log(
        paired
          ? 'firn ready: both sites mirror each other; what either acknowledges, both hold'
          : 'firn ready, but the sites have not found each other yet: see `firn site status`',
      )
    }
  }
  await ended
}

async function portsOf(letter: Site['letter'], http: number, dimse: number): Promise<Site> {
  const httpPort = http || (await freePort())
  const peerPort = http === 0 ? await freePort() : http + PEER_PORT_ABOVE
  return { letter, httpPort, dimsePort: dimse || (await freePort()), peerPort }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

class SiteProcess {
  readonly ready: Promise<NodeAddresses>
  readonly #command: string[]
  readonly #env: NodeJS.ProcessEnv
  readonly #stopping: AbortSignal
  readonly #letter: string
  #child: ChildProcess | undefined
  #isReady: (addresses: NodeAddresses) => void = () => undefined

  constructor(site: Site, other: Site, dataDir: string, { config, host }: ConfigOptions, stopping: AbortSignal) {
    const { letter, httpPort, dimsePort, peerPort } = site
    this.#stopping = stopping
    this.#letter = letter
    this.#command = [process.argv[1] as string, 'start', '--json', '--data', join(dataDir, `site-${letter}`)]
    this.#command.push('--http-port', String(httpPort), '--dimse-port', String(dimsePort))
    if (config !== undefined) this.#command.push('--config', config)
    if (host !== undefined) this.#command.push('--host', host)
    this.#env = {
      ...process.env,
      FIRN_DIMSE_AE_TITLE: `FIRN_${letter.toUpperCase()}`,
      FIRN_PEER_NAME: letter,
      FIRN_PEER_LISTEN_PORT: String(peerPort),
      FIRN_PEER_ADDRESSES: JSON.stringify([`http://127.0.0.1:${other.peerPort}`]),
    }
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve
    })
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** Keeps it running until it is told to stop. Throws Failure when it can't even start. */
  async run(): Promise<void> {
    let wasReady = false
    this.ready.then(() => {
      wasReady = true
    })
    while (!this.#stopping.aborted) {
      const code = await this.#once()
      if (this.#stopping.aborted) return
      if (!wasReady) throw new Failure(code ?? EXIT.failed, `site ${this.#letter} could not start; see above`)
      console.error(`firn: site ${this.#letter} ended; starting it again`)
      await sleep(RESTART_MS)
    }
  }

  async #once(): Promise<number | null> {
    // Over the channel it notices when this process is killed, and ends too.
    const stdio = ['ignore', 'pipe', 'inherit', 'ipc'] as const
    const child = spawn(process.execPath, this.#command, { env: this.#env, stdio: [...stdio] })
    this.#child = child
    if (child.stdout) {
      createInterface(child.stdout).on('line', (line) => {
        if (line.startsWith('{"ready"')) this.#isReady(JSON.parse(line) as NodeAddresses)
      })
    }
    return new Promise((resolve) => child.once('exit', resolve))
  }
}

/** True as soon as the first site says that the other one is there. */
async function arePaired({ http }: NodeAddresses, signal: AbortSignal): Promise<boolean> {
  for (const deadline = Date.now() + PAIRED_MS_MAX; Date.now() < deadline && !signal.aborted; await sleep(200)) {
    const health = await fetch(`${http}/health/ready`).then(
      (response) => response.json() as Promise<{ degraded?: string[] }>,
      () => undefined,
    )
    if (health?.degraded?.every((reason) => !reason.startsWith('the other site'))) return true
  }
  return false
}

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Ended, freePort, run, tempDir } from './host.ts'
import { until, within } from './until.ts'

export const FIRN_BIN = fileURLToPath(new URL('../../bin/firn.cjs', import.meta.url))
const LOG_CHARS_MAX = 8_000_000

export interface FirnOptions {
  /** Default: a new empty folder. */
  dataDir?: string
  /** Written as the configuration file. */
  config?: Record<string, unknown>
  args?: readonly string[]
  env?: Record<string, string>
  httpPort?: number
  dimsePort?: number
  /** HTTP is HTTPS, with a certificate that only the test knows. */
  secure?: boolean
  /** The disk may be full, which is a reason not to be ready for all kinds of work. */
  mayBeFull?: boolean
}

/** The `firn` command run to its end, as a user would. */
export function firnCommand(
  args: readonly string[],
  options: { env?: Record<string, string>; timeoutMs?: number } = {},
) {
  return run(process.execPath, [FIRN_BIN, ...args], options)
}

const running = new Set<ChildProcess>()
// An interrupted test run must not leave servers behind; the default action of these signals skips 'exit'.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))
process.prependListener('exit', () => {
  for (const child of running) if (child.pid !== undefined) killGroup(child.pid, 'SIGKILL')
})

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // Already gone.
  }
}

/** The real program as a child process in a process group of its own, known only by its sockets, output and exit status. */
export class Firn {
  readonly dataDir: string
  readonly httpPort: number
  readonly dimsePort: number
  readonly url: string
  /** Root of the DICOMweb services. */
  readonly dicomWeb: string
  /** What all incarnations have printed. */
  log = ''
  readonly #options: FirnOptions
  #child: ChildProcess | undefined
  #ended: Promise<Ended> | undefined

  private constructor(options: FirnOptions, httpPort: number, dimsePort: number) {
    this.#options = options
    this.dataDir = options.dataDir ?? tempDir('data')
    this.httpPort = httpPort
    this.dimsePort = dimsePort
    this.url = `http://127.0.0.1:${httpPort}`
    this.dicomWeb = `${this.url}/dicom-web`
  }

  static async start(options: FirnOptions = {}): Promise<Firn> {
    const firn = await Firn.prepare(options)
    await firn.start()
    return firn
  }

  static async prepare(options: FirnOptions = {}): Promise<Firn> {
    return new Firn(options, options.httpPort ?? (await freePort()), options.dimsePort ?? (await freePort()))
  }

  /** Starts the process and resolves when it says that it is ready and its health says so too. */
  async start(readyMs = 60_000): Promise<void> {
    const child = this.#spawn()
    const from = this.log.length
    const ended = () => child.exitCode !== null || child.signalCode !== null
    const step = async (what: string, done: () => boolean | Promise<boolean>, ms: number) => {
      const outcome = await until(what, async () => (ended() ? 'ended' : await done()), ms)
      if (outcome === 'ended') throw new Error(`firn ended before it was ready:\n${this.log.slice(from)}`)
    }
    await step('the line "firn ready"', () => /^firn ready/m.test(this.log.slice(from)), readyMs)
    const { mayBeFull, secure } = this.#options
    if (mayBeFull || secure) return
    await step('/health/ready', async () => (await this.get('/health/ready')).status === 200, 10_000)
  }

  /** Starts a process that is expected to end by itself. */
  startExpectingEnd(ms = 60_000): Promise<Ended> {
    this.#spawn()
    return within('firn ending by itself', ms, this.ended())
  }

  #spawn(): ChildProcess {
    const args = ['start', '--data', this.dataDir]
    args.push('--http-port', String(this.httpPort), '--dimse-port', String(this.dimsePort))
    if (this.#options.config !== undefined) {
      const file = join(tempDir('config'), 'firn.json')
      writeFileSync(file, JSON.stringify(this.#options.config))
      args.push('--config', file)
    }
    const child = spawn(process.execPath, [FIRN_BIN, ...args, ...(this.#options.args ?? [])], {
      detached: true,
      env: { ...process.env, ...this.#options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    this.#child = child
    this.#ended = this.#collect(child)
    return child
  }

  #collect(child: ChildProcess): Promise<Ended> {
    let stdout = ''
    let stderr = ''
    const keep = (text: string) => {
      this.log = (this.log + text).slice(-LOG_CHARS_MAX)
    }
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-LOG_CHARS_MAX)
      keep(text)
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-LOG_CHARS_MAX)
      keep(text)
    })
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        running.delete(child)
        resolve({ code, signal, stdout, stderr })
      })
    })
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('firn was not started')
    return pid
  }

  get alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  ended(): Promise<Ended> {
    if (this.#ended === undefined) throw new Error('firn was not started')
    return this.#ended
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** SIGTERM, and what became of it; fails when the process takes more than `ms`. */
  async stop(ms = 15_000): Promise<Ended> {
    this.signal('SIGTERM')
    return await within('stopping', ms, this.ended())
  }

  /** kill -9 of the whole process group; resolves when it is gone. */
  async kill(): Promise<void> {
    if (!this.alive) return
    killGroup(this.pid, 'SIGKILL')
    await this.ended()
  }

  /** Highest resident memory of the process since it started, in bytes (Linux). */
  residentPeakBytes(): number {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))
    if (line?.[1] === undefined) throw new Error('no VmHWM in /proc')
    return Number(line[1]) * 1024
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return await fetch(this.url + path, { headers })
  }
}

export const RESIDENT_BYTES_MAX = 350 * 1024 * 1024

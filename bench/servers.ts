/** Firn and its peer as real processes on a folder of their own, started anew for each measurement. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const root = path.join(import.meta.dirname, '..')
const orthancScript = path.join(root, 'test/peers/orthanc.sh')

export type ServerName = 'firn' | 'orthanc'

export interface RunningServer {
  name: ServerName
  pid: number
  dicomWeb: string
  dimsePort: number
  aeTitle: string
  /** Forgets the highest resident size so far. */
  resetPeak(): void
  /** Highest resident size since the start or `resetPeak`, in bytes. */
  peakBytes(): number
  /** Ends the process and removes its folder. */
  stop(): Promise<void>
}

export function peerInstalled(): boolean {
  return spawnSync('sh', ['-c', 'command -v Orthanc || test -x /usr/sbin/Orthanc']).status === 0
}

export function storescuInstalled(): boolean {
  return spawnSync('storescu', ['--version']).status === 0
}

export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export interface StartOptions {
  /** Orthanc only: whether it syncs files; Firn always does. */
  sync?: boolean
  /** Orthanc only: without, its answers to C-STORE wait for the sender's delayed acknowledgement, about 40 ms each. */
  noDelay?: boolean
  /** Firn only: the built clone that is started; default this one. */
  root?: string
}

export async function startServer(
  name: ServerName,
  folder: string,
  options: StartOptions = {},
): Promise<RunningServer> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const httpPort = await freePort()
  const dimsePort = await freePort()
  return name === 'firn'
    ? startFirn(folder, httpPort, dimsePort, options.root ?? root)
    : startOrthanc(folder, httpPort, dimsePort, options)
}

/** Children that an interrupted benchmark must not leave behind. */
const running = new Set<ChildProcess>()
const stopScripts = new Set<string>()
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
  for (const folder of stopScripts) spawnSync(orthancScript, ['stop', folder])
}

async function startFirn(folder: string, httpPort: number, dimsePort: number, cwd: string): Promise<RunningServer> {
  const ports = ['--http-port', `${httpPort}`, '--dimse-port', `${dimsePort}`]
  const child = spawn(process.execPath, ['bin/firn.cjs', 'start', '--data', path.join(folder, 'data'), ...ports], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NODE_OPTIONS: process.env.FIRN_BENCH_NODE_OPTIONS ?? '',
    },
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  let output = ''
  let ready = false
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4000)
    ready ||= /^firn ready/m.test(output)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const url = `http://127.0.0.1:${httpPort}`
  const deadline = Date.now() + 30_000
  while (!(ready && (await answers(`${url}/health/ready`)))) {
    if (child.exitCode !== null) throw new Error(`Firn ended with ${child.exitCode}:\n${output}`)
    if (Date.now() > deadline) throw new Error(`Firn isn't ready after 30 s:\n${output}`)
    await sleep(50)
  }
  return {
    name: 'firn',
    pid: child.pid as number,
    dicomWeb: `${url}/dicom-web`,
    dimsePort,
    aeTitle: 'FIRN',
    ...memoryOf(child.pid as number),
    stop: async () => {
      const ended = once(child, 'exit')
      if (child.exitCode === null) {
        child.kill('SIGTERM')
        const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
        await ended
        clearTimeout(timer)
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function startOrthanc(
  folder: string,
  httpPort: number,
  dimsePort: number,
  { sync = true, noDelay = true }: StartOptions,
): Promise<RunningServer> {
  stopScripts.add(folder)
  const env = { ...process.env, ORTHANC_SYNC: `${sync}`, ...(noDelay ? { TCP_NODELAY: '1' } : {}) }
  execFileSync(orthancScript, ['start', folder, `${httpPort}`, `${dimsePort}`], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pid = Number(readFileSync(path.join(folder, 'orthanc.pid'), 'utf8'))
  return {
    name: 'orthanc',
    pid,
    dicomWeb: `http://127.0.0.1:${httpPort}/dicom-web`,
    dimsePort,
    aeTitle: 'ORTHANC',
    ...memoryOf(pid),
    stop: async () => {
      // Its orderly end takes 3 s, for data that is thrown away.
      process.kill(pid, 'SIGKILL')
      while (existsSync(`/proc/${pid}/cwd`)) await sleep(20)
      stopScripts.delete(folder)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

function memoryOf(pid: number): Pick<RunningServer, 'peakBytes' | 'resetPeak'> {
  const proc = `/proc/${pid}`
  return {
    resetPeak: () => {
      if (existsSync(proc)) writeFileSync(`${proc}/clear_refs`, '5')
    },
    peakBytes: () => {
      if (!existsSync(`${proc}/status`)) return Number.NaN
      const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]
      return kib === undefined ? Number.NaN : Number(kib) * 1024
    },
  }
}

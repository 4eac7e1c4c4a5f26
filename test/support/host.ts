import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PORT_FIRST = 22_000
const PORT_COUNT = 1_000
const given = new Set<number>()

/** A loopback port that nobody listens on, from a range below the system's ephemeral ports; never the same twice. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_COUNT; tries++) {
    const port = PORT_FIRST + Math.floor(Math.random() * PORT_COUNT)
    if (given.has(port)) continue
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer()
        .once('error', () => resolve(false))
        .listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) {
      given.add(port)
      return port
    }
  }
  throw new Error(`no free port from ${PORT_FIRST} to ${PORT_FIRST + PORT_COUNT - 1}`)
}

const dirs = new Set<string>()
process.on('exit', () => {
  if (process.env.FIRN_TEST_KEEP === '1') return
  for (const dir of dirs) {
    try {
      rmSync(dir, { recursive: true, force: true })
    } catch {
      // A file system is mounted there, or a process that has just been killed still writes; other handlers must run.
    }
  }
})

/** A new empty folder, removed when the test process ends (kept with FIRN_TEST_KEEP=1). */
export function tempDir(name: string): string {
  const dir = mkdtempSync(join(tmpdir(), `firn-${name}-`))
  dirs.add(dir)
  return dir
}

/** Removes a folder early, for tests that would otherwise fill the disk. */
export function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true })
  dirs.delete(dir)
}

/** Whether a program is on the path. */
export function installed(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v "${program}"`]).status === 0
}

/**
 * The `skip` option of node:test: a reason when `possible` is false, else false. With FIRN_NO_SKIP=1 nothing is
 * skipped, so that the test fails where its means are missing (CI never passes by skipping).
 */
export function skipUnless(possible: boolean, reason: string): string | false {
  return possible || process.env.FIRN_NO_SKIP === '1' ? false : reason
}

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** Runs a program to its end and collects what it printed; kills it when it takes longer than `timeoutMs`. */
export function run(
  program: string,
  args: readonly string[],
  options: { timeoutMs?: number; env?: Record<string, string>; cwd?: string; input?: string } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 120_000)
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin.on('error', () => {})
    child.stdin.end(options.input)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
  })
}

// Starting other processes: hand-on with signals and exit status kept, and capture with progress.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')

/** An error that the user can mend: shown without a stack. */
export function expected(message) {
  return Object.assign(new Error(message), { expected: true })
}

export function hostsNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 17)) {
    throw expected(`Node.js 20.17 or newer is needed; this is ${process.versions.node} (${process.execPath})`)
  }
}

/**
 * Runs Node with `args` in the repository's root in place of this process: its standard streams, its signals, its exit
 * status. A terminal sends Ctrl-C to every process of its foreground group, so that SIGINT isn't forwarded a second
 * time; other signals are forwarded once, though npm and a process group may both have delivered them here.
 */
export async function run(args, env = {}) {
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  const forwardedAt = {}
  const forward = (signal) => {
    if (signal === 'SIGINT' && process.stdin.isTTY) return
    const now = Date.now()
    if (now - (forwardedAt[signal] ?? 0) < 500) return
    forwardedAt[signal] = now
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, forward)
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (...how) => resolve(how))
  })
  for (const name of signals) process.off(name, forward)
  if (signal) process.kill(process.pid, signal)
  return code ?? 1
}

/**
 * Runs a command quietly, with a line of progress (rewritten on a terminal, every 30 s elsewhere).
 * Resolves with its exit code and what it printed.
 */
export async function runWithProgress(title, command, args) {
  const started = Date.now()
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`
  const tty = process.stderr.isTTY
  if (!tty) process.stderr.write(`${title}\n`)
  const timer = setInterval(
    () => process.stderr.write(tty ? `\r${title} ${seconds()} ` : `  ... ${seconds()}\n`),
    tty ? 1000 : 30_000,
  )
  try {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = []
    child.stdout.on('data', (chunk) => output.push(chunk))
    child.stderr.on('data', (chunk) => output.push(chunk))
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    process.stderr.write(`${tty ? `\r${title}` : '  '} ${code === 0 ? 'done' : 'failed'} in ${seconds()}\n`)
    return { code: code ?? 1, output: Buffer.concat(output).toString() }
  } finally {
    clearInterval(timer)
  }
}

/** Whether a program of this name is on the PATH. */
export function hasProgram(...names) {
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  return names.some((name) => folders.some((folder) => existsSync(path.join(folder, name))))
}

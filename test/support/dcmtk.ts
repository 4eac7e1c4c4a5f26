import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PduSocket } from './dimse.ts'
import { type Ended, freePort, installed, run, tempDir } from './host.ts'
import { until } from './until.ts'

/** dcmtk's command line tools as peers. */
export const dcmtkInstalled = ['storescu', 'storescp', 'findscu', 'movescu', 'getscu'].every(installed)

/** storescu's option that proposes a transfer syntax; it can't send the others. */
const PROPOSE = new Map([
  ['1.2.840.10008.1.2', '-xi'],
  ['1.2.840.10008.1.2.1', '-xe'],
  ['1.2.840.10008.1.2.2', '-xb'],
  ['1.2.840.10008.1.2.1.99', '-xd'],
  ['1.2.840.10008.1.2.4.50', '-xy'],
  ['1.2.840.10008.1.2.4.51', '-xx'],
  ['1.2.840.10008.1.2.4.70', '-xs'],
  ['1.2.840.10008.1.2.4.80', '-xt'],
  ['1.2.840.10008.1.2.4.81', '-xu'],
  ['1.2.840.10008.1.2.4.90', '-xv'],
  ['1.2.840.10008.1.2.4.91', '-xw'],
  ['1.2.840.10008.1.2.5', '-xr'],
])

/** Whether dcmtk's tools can carry a transfer syntax at all. */
export function dcmtkKnows(transferSyntaxUid: string): boolean {
  return PROPOSE.has(transferSyntaxUid)
}

/**
 * getscu's option to receive instances that are stored in a transfer syntax. Without one it offers the uncompressed ones
 * together; its `+xi` offers explicit VR only, which is a fault of dcmtk 3.6.7.
 */
export function getscuOption(transferSyntaxUid: string): string | undefined {
  const option = PROPOSE.get(transferSyntaxUid)
  return option === '-xi' || option === '-xe' ? '+x=' : option?.replace('-', '+')
}

export interface FileToSend {
  path: string
  transferSyntaxUid: string
}

/** Sends the files by storescu, one run for each transfer syntax; the answers are its responses in order. */
export async function storescu(port: number, files: readonly FileToSend[]): Promise<{ sent: number; output: string }> {
  let output = ''
  const groups = new Map<string, string[]>()
  for (const { path, transferSyntaxUid } of files) {
    const option = PROPOSE.get(transferSyntaxUid)
    if (option !== undefined) groups.set(option, [...(groups.get(option) ?? []), path])
  }
  for (const [option, paths] of groups) {
    const args = ['-v', '-nh', '-R', option, '-aec', 'FIRN', '127.0.0.1', String(port), ...paths]
    const ended = await run('storescu', args)
    output += ended.stdout + ended.stderr
  }
  return { sent: output.match(/Received Store Response \(Success\)/g)?.length ?? 0, output }
}

/** dcmtk's own receiver, which writes each data set exactly as it came: the reference for what storescu sends. */
export class Storescp {
  readonly port: number
  readonly dir: string
  readonly #child: ChildProcess

  private constructor(port: number, dir: string, child: ChildProcess) {
    this.port = port
    this.dir = dir
    this.#child = child
  }

  static async start(): Promise<Storescp> {
    const [port, dir] = [await freePort(), tempDir('storescp')]
    const child = spawn('storescp', ['+xa', '+B', '+uf', '-od', dir, String(port)], { stdio: 'ignore' })
    process.once('exit', () => child.kill('SIGKILL'))
    await until('storescp', async () => {
      const probe = await PduSocket.open(port)
      probe.destroy()
      return true
    })
    return new Storescp(port, dir, child)
  }

  files(): Buffer[] {
    return filesIn(this.dir)
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.kill('SIGKILL')
    await closed
  }
}

export function filesIn(dir: string): Buffer[] {
  return readdirSync(dir).map((name) => readFileSync(join(dir, name)))
}

function keyArgs(keys: Record<string, string>): string[] {
  return Object.entries(keys).flatMap(([key, value]) => ['-k', value === '' ? key : `${key}=${value}`])
}

/** C-FIND; each answer as a map of tags (eight upper-case digits) to text. */
export async function findscu(
  port: number,
  keys: Record<string, string>,
  options: readonly string[] = ['-S'],
): Promise<Map<string, string>[]> {
  const out = join(tempDir('find'), 'found.xml')
  const ended = await run('findscu', [
    ...options,
    '-aec',
    'FIRN',
    '-Xs',
    out,
    ...keyArgs(keys),
    '127.0.0.1',
    String(port),
  ])
  if (ended.code !== 0 || / Failed|Refused|Abort/i.test(ended.stderr))
    throw new Error(`findscu: ${ended.code} ${ended.stderr}`)
  return readFileSync(out, 'latin1')
    .split('<data-set')
    .slice(1)
    .map((block) => {
      const found = new Map<string, string>()
      for (const [, tag, value] of block.matchAll(/<element tag="([0-9a-f,]{9})"[^>]*>([^<]*)</g)) {
        if (tag !== undefined) found.set(tag.replace(',', '').toUpperCase(), value ?? '')
      }
      return found
    })
}

export interface Received {
  files: Buffer[]
  ended: Ended
}

// With +B, which keeps the bytes as they came, both tools write to the working folder whatever -od says.

/** C-MOVE to movescu itself, which listens on `receivePort` as AE title MOVESCU. */
export async function movescu(port: number, receivePort: number, keys: Record<string, string>): Promise<Received> {
  const dir = tempDir('move')
  const args = ['-v', '-S', '+xa', '+B', '-aec', 'FIRN', '-aem', 'MOVESCU', '+P', String(receivePort)]
  const ended = await run('movescu', [...args, ...keyArgs(keys), '127.0.0.1', String(port)], { cwd: dir })
  return { files: filesIn(dir), ended }
}

/** C-GET, preferring the given transfer syntax. */
export async function getscu(port: number, prefer: string, keys: Record<string, string>): Promise<Received> {
  const dir = tempDir('get')
  const args = ['-v', '-S', prefer, '+B', '-aec', 'FIRN']
  const ended = await run('getscu', [...args, ...keyArgs(keys), '127.0.0.1', String(port)], { cwd: dir })
  return { files: filesIn(dir), ended }
}

import type { Command } from 'commander'
import { runningNode } from '../data-folder.ts'
import { EXIT, Failure } from './exit.ts'
import { type ConfigOptions, configOf, type Done, print, withConfig } from './options.ts'

type Options = ConfigOptions & { url?: string; json?: boolean }

interface Status {
  version: string
  startedAt: string
  ready: boolean
  degraded: string[]
  catalogue: { dialect: string; studies: number; series: number; instances: number; conflicts: number; bytes: number }
  landing: { bytesFree: number; bytesTotal: number; reserveBytes: number }
}

interface StoreRow {
  id: string
  trouble: string | null
  bytesTotal: number | null
  bytesFree: number | null
  packs: number
  bytes: number
}

interface Sealed {
  packs: { key: string; stores: string[]; instances: number; sizeBytes: number }[]
  leftOut: string[]
}

export function addStatusVerbs(program: Command, done: Done): void {
  withConfig(program.command('status'))
    .description('how the node is and what it holds; exit status 1 when it cannot do all its work')
    .option('--url <url>', 'of the node; default: the one that runs on the data folder. Its token: FIRN_TOKEN')
    .option('--json', 'print as JSON')
    .action(async (options: Options) => {
      const status = (await ask(options, '/api/v1/status')) as Status
      const { stores } = (await ask(options, '/api/v1/capacity')) as { stores: StoreRow[] }
      print(options.json, { ...status, stores }, () => table(status, stores))
      done(status.ready && status.degraded.length === 0 ? EXIT.yes : EXIT.no)
    })
  addSeal(program, done)
}

function addSeal(program: Command, done: Done): void {
  withConfig(program.command('seal'))
    .description('seal what is in no pack of a study, now; exit status 1 when damaged instances had to be left out')
    .argument('<study>', 'Study Instance UID')
    .option('--url <url>', 'of the node; default: the one that runs on the data folder. Its token: FIRN_TOKEN')
    .option('--json', 'print as JSON')
    .action(async (study: string, options: Options) => {
      const sealed = (await ask(options, `/api/v1/studies/${encodeURIComponent(study)}/seal`, 'POST')) as Sealed
      print(options.json, sealed, () => {
        const lines = sealed.packs.map(
          ({ key, stores, instances, sizeBytes }) =>
            `${key}: ${instances} instances, ${size(sizeBytes)}, in ${stores.join(', ')}`,
        )
        const left = sealed.leftOut.map((digest) => `damaged, stays in the landing: SHA-256 ${digest}`)
        return [...lines, ...left].join('\n') || 'nothing of this study waits to be sealed'
      })
      done(sealed.leftOut.length === 0 ? EXIT.yes : EXIT.no)
    })
}

/** Sealing a large study takes as long as writing and reading it. */
const TIMEOUT_MS = { GET: 10_000, POST: 30 * 60_000 }

/** Asks a running node. Throws Failure when there is none. */
async function ask(options: Options, path: string, method: 'GET' | 'POST' = 'GET'): Promise<unknown> {
  const { dataDir } = configOf(options)
  const running = options.url === undefined ? await runningNode(dataDir) : undefined
  const url = options.url ?? running?.url
  if (url === undefined) {
    throw new Failure(EXIT.no, `no node runs on the data folder ${dataDir}; start one, or give --data or --url`)
  }
  const token = process.env.FIRN_TOKEN ?? running?.token
  const response = await fetch(new URL(path, url), {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(TIMEOUT_MS[method]),
  }).catch((error: Error) => {
    throw new Failure(EXIT.failed, `the node at ${url} does not answer: ${error.message}`)
  })
  if (response.ok) return response.json()
  throw new Failure(EXIT.failed, `the node at ${url} says ${response.status}: ${await response.text()}`)
}

function table({ version, startedAt, degraded, catalogue, landing }: Status, stores: readonly StoreRow[]): string {
  const share = Math.round((100 * landing.bytesFree) / Math.max(1, landing.bytesTotal))
  const rows: [string, string][] = [
    ['node', `${degraded.length === 0 ? 'ready' : degraded.join('; ')}, version ${version}, since ${startedAt}`],
    ['holds', `${catalogue.studies} studies, ${catalogue.series} series, ${catalogue.instances} instances`],
    ['bytes', size(catalogue.bytes)],
    ['conflicts', `${catalogue.conflicts} copies with other bytes under the same UID`],
    ['catalogue', catalogue.dialect],
    ['landing', `${size(landing.bytesFree)} free (${share} %), ${size(landing.reserveBytes)} of it in reserve`],
  ]
  for (const { id, trouble, bytesTotal, bytesFree, packs, bytes } of stores) {
    const room = bytesFree === null || bytesTotal === null ? '' : `, ${size(bytesFree)} of ${size(bytesTotal)} free`
    rows.push([`store ${id}`, trouble ?? `${packs} packs, ${size(bytes)}${room}`])
  }
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  return rows.map(([name, text]) => `${name.padEnd(width)}${text}`).join('\n')
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}

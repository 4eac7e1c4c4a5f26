import type { Command } from 'commander'
import { runningNode } from '../data-folder.ts'
import { EXIT, Failure } from './exit.ts'
import { type ConfigOptions, configOf, withConfig } from './options.ts'

/** Options of verbs that ask a running node. */
export type WithNode = ConfigOptions & { url?: string; json?: boolean }

export function withNode(command: Command): Command {
  return withConfig(command)
    .option('--url <url>', 'of the node; default: the one that runs on the data folder. Its token: FIRN_TOKEN')
    .option('--json', 'print as JSON')
}

/** Sealing a large study takes as long as writing and reading it. */
const TIMEOUT_MS = { GET: 10_000, POST: 30 * 60_000, DELETE: 10_000 }

/** Asks a running node. Throws Failure when there is none. */
export async function ask(
  options: WithNode,
  path: string,
  method: keyof typeof TIMEOUT_MS = 'GET',
  body?: unknown,
): Promise<unknown> {
  return (await request(options, path, method, body)).json()
}

/** The answer itself, for what is long. */
export async function request(
  options: WithNode,
  path: string,
  method: keyof typeof TIMEOUT_MS,
  body?: unknown,
  timeoutMs = TIMEOUT_MS[method],
): Promise<Response> {
  const { dataDir } = configOf(options)
  const running = options.url === undefined ? await runningNode(dataDir) : undefined
  const url = options.url ?? running?.url
  if (url === undefined) {
    throw new Failure(EXIT.no, `no node runs on the data folder ${dataDir}; start one, or give --data or --url`)
  }
  const token = process.env.FIRN_TOKEN ?? running?.token
  const response = await fetch(new URL(path, url), {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: Error) => {
    throw new Failure(EXIT.failed, `the node at ${url} does not answer: ${error.message}`)
  })
  if (response.ok) return response
  throw new Failure(EXIT.failed, `the node at ${url} says: ${messageOf(await response.text())}`)
}

export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}

/** The API's errors have a message for people. */
function messageOf(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? text)
  } catch {
    return text
  }
}

import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { type Config, configSchema } from './schema.ts'

/** A configuration that can't be used; the message has one line per fault, each with the key and what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export interface ConfigSources {
  /** Path of a YAML or JSON file. */
  file?: string | undefined
  /** Usually process.env: `FIRN_HTTP_PORT` is `http.port`, `FIRN_DIMSE_AE_TITLE` is `dimse.aeTitle`. */
  env?: NodeJS.ProcessEnv
  /** Command line, by dotted key: the last word. */
  flags?: Record<string, unknown>
}

type Tree = { [key: string]: unknown }

/** Variables that belong to Firn's tests and launcher, not to its configuration. */
const FOREIGN_ENV = /^FIRN_(TEST_.*|NO_SKIP|CORPUS|CONFIG|TOKEN|URL|BENCH_.*)$/

/** Defaults, then the file, then the environment, then the flags: one frozen object. Throws ConfigError. */
export function loadConfig({ file, env = {}, flags = {} }: ConfigSources): Config {
  const tree = file === undefined ? {} : readTree(file)
  const names = envNames(configSchema)
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('FIRN_') || FOREIGN_ENV.test(name) || text === undefined) continue
    const path = names.get(name)
    if (!path) throw new ConfigError(`unknown environment variable ${name}; ${nearest(name, [...names.keys()])}`)
    setPath(tree, path, fromEnv(text))
  }
  for (const [key, value] of Object.entries(flags)) if (value !== undefined) setPath(tree, key.split('.'), value)
  const parsed = configSchema.safeParse(tree)
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap(explain).join('\n'))
  refuseOpenDoors(parsed.data)
  return deepFreeze(parsed.data)
}

function readTree(file: string): Tree {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`can't read the configuration file ${file}: ${(error as Error).message}`)
  }
  let tree: unknown
  try {
    tree = parseYaml(text) ?? {}
  } catch (error) {
    throw new ConfigError(`${file}: ${(error as Error).message}`)
  }
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) {
    throw new ConfigError(`${file}: expected keys and values`)
  }
  return tree as Tree
}

/** Every leaf of the schema by its environment name. */
export function envNames(schema: z.ZodType, path: string[] = []): Map<string, string[]> {
  const names = new Map<string, string[]>()
  const inner = unwrap(schema)
  if (!(inner instanceof z.ZodObject)) {
    return names.set(`FIRN_${path.map(screamingSnake).join('_')}`, path)
  }
  for (const [key, child] of Object.entries(inner.shape)) {
    for (const [name, found] of envNames(child as z.ZodType, [...path, key])) names.set(name, found)
  }
  return names
}

function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap() as z.ZodType
  }
  return inner
}

const screamingSnake = (key: string): string => key.replace(/([A-Z])/g, '_$1').toUpperCase()

/** Numbers, booleans and JSON as such, everything else as text. */
function fromEnv(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function setPath(tree: Tree, path: readonly string[], value: unknown): void {
  let at = tree
  for (const key of path.slice(0, -1)) {
    if (typeof at[key] !== 'object' || at[key] === null) at[key] = {}
    at = at[key] as Tree
  }
  at[path.at(-1) as string] = value
}

function explain(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.join('.')
  if (issue.code !== 'unrecognized_keys') return [`${at}: ${issue.message}`]
  const known = keysAt(issue.path)
  return issue.keys.map((key) => `unknown key ${at ? `${at}.` : ''}${key}; ${nearest(key, known)}`)
}

function keysAt(path: readonly PropertyKey[]): string[] {
  let schema = unwrap(configSchema)
  for (const key of path) {
    if (schema instanceof z.ZodObject) schema = unwrap(schema.shape[key as string] as z.ZodType)
    else if (schema instanceof z.ZodArray) schema = unwrap(schema.element as z.ZodType)
  }
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
}

function nearest(word: string, candidates: readonly string[]): string {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  return ranked[0] ? `did you mean ${ranked[0].candidate}?` : 'no key is expected there'
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Safe by default: what others can reach needs to know who they are. */
function refuseOpenDoors(config: Config): void {
  const { http, dimse, auth } = config
  if (!isLoopback(http.host) && !auth.required) {
    throw new ConfigError(
      `http.host ${http.host} is open to others, but nobody has to say who they are: set auth.required to true ` +
        '(FIRN_AUTH_REQUIRED=true) and make tokens with `firn token create`, or bind to 127.0.0.1',
    )
  }
  const { peer } = config
  const isAllLocal = peer?.addresses.every((address) => isLoopback(new URL(address).hostname.replace(/^\[|\]$/g, '')))
  if (peer && !peer.tls && !(isLoopback(peer.listen.host) && isAllLocal)) {
    throw new ConfigError(
      'the other site is not on this machine, and nothing proves who it is: make keys with `firn pair` and set peer.tls',
    )
  }
  if (peer?.tls && peer.addresses.some((address) => !address.startsWith('https:'))) {
    throw new ConfigError('peer.addresses: with peer.tls they begin with https:')
  }
  const dimseHost = dimse.host ?? http.host
  const guarded = dimse.allowedCallingAeTitles.length > 0 || dimse.tls?.ca !== undefined
  if (dimse.enabled && !isLoopback(dimseHost) && !guarded) {
    throw new ConfigError(
      `DIMSE on ${dimseHost} is open to others: set dimse.allowedCallingAeTitles to the AE titles that may connect ` +
        '(FIRN_DIMSE_ALLOWED_CALLING_AE_TITLES=\'["PACS"]\'), or dimse.tls with ca for client certificates, ' +
        'or dimse.host to 127.0.0.1, or dimse.enabled to false',
    )
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) deepFreeze(child)
  return Object.freeze(value)
}

import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { isIP, isIPv6 } from 'node:net'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { peerConfig } from '../config/peer.ts'
import type { SiteKeys, SiteOfPair } from '../peer/pair-keys.ts'
import { EXIT, Failure } from './exit.ts'
import { type Done, print } from './options.ts'

interface PairVerb {
  names: string
  hosts: string[]
  port: string
  folder: string
  out: string
  json?: boolean
}

type Two<T> = [T, T]

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/

/** `firn pair`: what two sites need to know each other, made once on any machine. */
export function addPairVerb(program: Command, done: Done): void {
  program
    .command('pair')
    .description('make keys, certificates and configuration for two sites that mirror each other')
    .requiredOption('--names <one,other>', 'what people call the two sites: north,south')
    .requiredOption(
      '--hosts <hosts...>',
      'for each site, in the same order, the names and IP addresses under which the other one reaches it, the best ' +
        'first: archive.north.example.org,10.1.0.5 archive.south.example.org,10.2.0.5',
    )
    .option('--port <port>', 'on which each site answers the other', '8180')
    .option('--folder <dir>', 'where the files will be on the machine of each site', '/etc/firn/pair')
    .requiredOption('--out <dir>', 'new folder for the two folders of files')
    .option('--json', 'print as JSON')
    .action(async (options: PairVerb) => {
      const sites = sitesOf(options)
      const port = portOf(options.port)
      const out = resolve(options.out)
      if (existsSync(out)) throw new Failure(EXIT.usage, `${out} is there already; nothing was changed in it`)
      // Loaded here alone: no other verb has a use for it.
      const { makePairKeys } = await import('../peer/pair-keys.ts')
      const keys = await makePairKeys(sites)
      mkdirSync(out, { recursive: true, mode: 0o700 })
      for (const [index, site] of sites.entries()) {
        const other = sites[1 - index] as SiteOfPair
        writeSite(join(out, site.name), keys[index] as SiteKeys, peerYaml(site, other, port, options.folder))
      }
      print(options.json, { folders: sites.map(({ name }) => join(out, name)) }, () => next(out, sites, port, options))
      done(EXIT.yes)
    })
}

function sitesOf({ names: text, hosts: texts }: PairVerb): Two<SiteOfPair> {
  const names = text.split(',').map((name) => name.trim())
  if (names.length !== 2 || names[0] === names[1]) throw wrong('--names takes two different names: north,south')
  for (const name of names) {
    if (!peerConfig.shape.name.safeParse(name).success) throw wrong(`--names: ${name}: use letters, digits and hyphens`)
  }
  if (texts.length !== 2) throw wrong('--hosts takes the hosts of the one site, a space, and those of the other')
  const sites = texts.map((hosts, index) => ({
    name: names[index] as string,
    hosts: hosts.split(',').map((host) => host.trim().replace(/^\[|\]$/g, '')),
  }))
  for (const host of sites.flatMap(({ hosts }) => hosts)) {
    if (isIP(host) === 0 && !HOST_NAME.test(host)) throw wrong(`--hosts: ${host} is neither a host name nor an address`)
  }
  return [sites[0] as SiteOfPair, sites[1] as SiteOfPair]
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65535) throw wrong('--port is a number from 1 to 65535')
  return port
}

const wrong = (message: string): Failure => new Failure(EXIT.usage, message)

function peerYaml({ name }: SiteOfPair, other: SiteOfPair, port: number, folder: string): string {
  const at = (file: string): string => join(folder, file)
  const addresses = other.hosts.map((host) => `https://${isIPv6(host) ? `[${host}]` : host}:${port}`)
  const tls = { key: at('key.pem'), cert: at('cert.pem'), ca: at('ca.pem') }
  return `# Part of the configuration of the site ${name}.\n${stringify({
    peer: { name, listen: { host: '0.0.0.0', port }, addresses, tls },
  })}`
}

function writeSite(folder: string, { key, cert, ca }: SiteKeys, yaml: string): void {
  mkdirSync(folder, { mode: 0o700 })
  const write = (file: string, text: string, mode: number): void => {
    const path = join(folder, file)
    writeFileSync(path, text, { mode, flag: 'wx' })
    chmodSync(path, mode)
  }
  write('key.pem', key, 0o600)
  write('cert.pem', cert, 0o644)
  write('ca.pem', ca, 0o644)
  write('peer.yaml', yaml, 0o644)
}

function next(out: string, sites: Two<SiteOfPair>, port: number, { folder }: PairVerb): string {
  const [one, other] = sites.map(({ name }) => name)
  return [
    `made ${join(out, one as string)} and ${join(out, other as string)}. At each site:`,
    `  1. move its folder, and only its own, to ${folder}; key.pem must be readable for Firn's user alone`,
    `  2. put the lines of ${folder}/peer.yaml into the configuration`,
    `  3. let the firewall pass TCP ${port} from the other site, and nobody else`,
    '  4. restart Firn; `firn site status` shows "in-sync" when both were compared and are equal',
    `Then delete ${out}: whoever has a key.pem is that site. The authority's key was thrown away; to change keys, make`,
    'new ones for both sites.',
  ].join('\n')
}

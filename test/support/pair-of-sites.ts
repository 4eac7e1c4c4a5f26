import { Firn, type FirnOptions, firnCommand } from './firn.ts'
import { freePort } from './host.ts'
import { until } from './until.ts'
import { get, json } from './web.ts'

export interface SiteStatus {
  site: string
  state: 'in-sync' | 'resyncing' | 'comparing' | 'away' | 'refused' | 'fenced'
  why: string
  owed: number
  peer: { site: string | null }
  resync: { looked: number; sent: number }
  lastComparison: { compared: number; equal: boolean } | null
}

export interface PairOptions {
  /** For both sites. */
  config?: Record<string, unknown>
  peer?: Record<string, unknown>
  /** Ports at which the sites believe each other to be; default: those at which they are. */
  wayToA?: string
  wayToB?: string
  dataDirs?: { a?: string; b?: string }
  /** Ports of the sites for each other; default: free ones. */
  ports?: { a: number; b: number }
  /** `peer` of one site, over everything else. */
  ofA?: Record<string, unknown>
  ofB?: Record<string, unknown>
}

/** Two sites on this machine, each a process that can be killed, stopped and started by itself. */
export class PairOfSites {
  readonly a: Firn
  readonly b: Firn

  private constructor(a: Firn, b: Firn) {
    this.a = a
    this.b = b
  }

  static async prepare(options: PairOptions = {}): Promise<PairOfSites> {
    const [portA, portB] = [options.ports?.a ?? (await freePort()), options.ports?.b ?? (await freePort())]
    const site = (name: 'a' | 'b', port: number, other: string, dataDir: string | undefined): Promise<Firn> => {
      const own = name === 'a' ? options.ofA : options.ofB
      const peer = { name, listen: { port }, addresses: [other], timeoutSeconds: 2, ...options.peer, ...own }
      const config = { ...options.config, peer }
      const prepared: FirnOptions = { config, ...(dataDir === undefined ? {} : { dataDir }) }
      return Firn.prepare(prepared)
    }
    const a = await site('a', portA, options.wayToB ?? `http://127.0.0.1:${portB}`, options.dataDirs?.a)
    const b = await site('b', portB, options.wayToA ?? `http://127.0.0.1:${portA}`, options.dataDirs?.b)
    return new PairOfSites(a, b)
  }

  static async start(options: PairOptions = {}): Promise<PairOfSites> {
    const pair = await PairOfSites.prepare(options)
    await Promise.all([pair.a.start(), pair.b.start()])
    await pair.inSync()
    return pair
  }

  /** Resolves when both sites say that they are proved equal. */
  async inSync(ms = 60_000): Promise<void> {
    for (const firn of [this.a, this.b]) {
      await until('both sites to be in sync', async () => (await siteStatus(firn)).state === 'in-sync', ms).catch(
        async (error) => {
          throw new Error(`${error.message}; ${JSON.stringify(await siteStatus(firn))}\n${firn.log.slice(-3000)}`)
        },
      )
    }
  }

  async kill(): Promise<void> {
    await Promise.all([this.a.kill(), this.b.kill()])
  }
}

export async function siteStatus(firn: Firn): Promise<SiteStatus> {
  return json<SiteStatus>(await get(`${firn.url}/api/v1/site`, 'application/json'))
}

/** The `firn site` command as somebody who has a token. */
export async function siteCommand(firn: Firn, token: string | undefined, ...args: string[]) {
  const env = token === undefined ? {} : { FIRN_TOKEN: token }
  return firnCommand(['site', ...args, '--data', firn.dataDir], { env })
}

/** A token of somebody's own. */
export async function tokenFor(firn: Firn, name: string, ...roles: string[]): Promise<string> {
  const made = await firnCommand(['token', 'create', '--data', firn.dataDir, '--name', name, '--role', ...roles])
  const token = /firn_[0-9a-f]{12}_[\w-]+/.exec(made.stdout)?.[0]
  if (token === undefined) throw new Error(`no token: ${made.stdout}${made.stderr}`)
  return token
}

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Pair, type PairNotice } from '../replication/pair.ts'
import type { Clock } from '../replication/ports.ts'
import type { KnexCatalogue } from './catalogue/knex/catalogue.ts'
import type { PeerConfig } from './config/peer.ts'
import type { Records } from './corrections/records.ts'
import type { DataFolder } from './data-folder.ts'
import { SYSTEM } from './events/event.ts'
import { peerFolder } from './events/files.ts'
import type { KnownEvent } from './events/kinds.ts'
import type { EventLog } from './events/log.ts'
import { PeerLog } from './events/peer-log.ts'
import type { Projector } from './events/projector.ts'
import type { MirrorPort, Receive } from './ingest/ports.ts'
import { type ConfirmHoldsOptions, confirmHolds } from './peer/confirm-holds.ts'
import { fetchRecords } from './peer/fetch-records.ts'
import { HttpLink } from './peer/http-link.ts'
import { localCopies } from './peer/local-copies.ts'
import { PeerMemory } from './peer/memory.ts'
import { mirrorPort } from './peer/mirror-port.ts'
import { rejoinIfOld } from './peer/rejoin.ts'
import { PeerServer } from './peer/server.ts'
import type { StoredInstances } from './retrieve/open-instance.ts'
import { VERSION } from './version.ts'

/** Senders count as being served for so long after the last instance. */
const BUSY_MS = 1000
const RECORDS_MS = 1000
const VERIFIED_AT_ONCE = 50

/** The way to the other site, opened before anything else of this one is. */
export interface PeerAccess {
  config: PeerConfig
  memory: PeerMemory
  link: HttpLink
  tls: { key: Buffer; cert: Buffer; ca: Buffer } | undefined
}

export async function openPeerAccess(config: PeerConfig, folder: DataFolder): Promise<PeerAccess> {
  const { tls: files } = config
  const tls = files && { key: readFileSync(files.key), cert: readFileSync(files.cert), ca: readFileSync(files.ca) }
  const link = new HttpLink({
    addresses: config.addresses,
    site: folder.archiveId,
    tls,
    timeoutMs: config.timeoutSeconds * 1000,
    connectionsMax: config.connections,
  })
  return { config, memory: await PeerMemory.open(folder.path), link, tls }
}

/** See rejoin.ts. What was written since the storage went back, and says something about the archive, is to be said anew. */
export async function rejoin(
  { config, memory, link }: PeerAccess,
  folder: DataFolder,
  log: Logger,
): Promise<{ again: KnownEvent[]; common: number } | undefined> {
  const { events: eventsFolder, archiveId: site } = folder
  const info = (message: string, details: object): void => log.warn(details, message)
  const rejoined = await rejoinIfOld({ eventsFolder, site, name: config.name, memory, link, info })
  if (!rejoined) return undefined
  const again = rejoined.setAside
    .filter(({ kind }) => !/^(site|access|pack|landing|store)[.]/.test(kind))
    .map(({ kind, actor, subject, data }) => ({ kind, actor, subject, data }) as KnownEvent)
  const generation = memory.generation ?? site
  const said: KnownEvent = { kind: 'site.rejoined', actor: SYSTEM, subject: { site }, data: { generation } }
  return { again: [said, ...again], common: rejoined.common }
}

export interface Peering {
  pair: Pair
  mirror: MirrorPort
  memory: PeerMemory
  /** Which of these bytes the other site holds too: it has read and hashed them for this. None while not in sync. */
  confirmed(sha256s: readonly string[]): Promise<ReadonlySet<string>>
  /** Answers the other site from here on, and begins to greet it. Resolves with the port. */
  start(receive: Receive): Promise<number>
  stop(): Promise<void>
}

export interface PeeringOptions {
  access: PeerAccess
  folder: DataFolder
  catalogue: KnexCatalogue
  instances: StoredInstances
  events: EventLog
  projector: Projector
  records: Records
  log: Logger
  /** This site has to stop serving, and start again. */
  onFenced(): void
}

/** This site's half of the pair, put together. */
export function openPeering(options: PeeringOptions): Peering {
  const { access, folder, catalogue, instances, events, projector, records, log, onFenced } = options
  const { config, memory, link, tls } = access
  const warn = (message: string, details: object): void => log.warn(details, message)
  const local = localCopies(catalogue.replication, instances)
  const peerLogs = new Map<string, Promise<PeerLog>>()
  const following: Promise<void>[] = []
  const stopping = new AbortController()
  const confirming = (peer: string): ConfirmHoldsOptions => ({
    site: folder.archiveId,
    generation: memory.generation ?? folder.archiveId,
    catalogue: catalogue.retention,
    events,
    cursor: {
      get seq() {
        return memory.holdsSeen
      },
      save: (seq) => memory.sawHolds(seq),
    },
    projected: (seq) => projector.upTo(peer, seq),
    warn,
    signal: stopping.signal,
  })
  const openPeerChain = (site: string): Promise<PeerLog> => {
    const known = peerLogs.get(site)
    if (known) return known
    const opened = PeerLog.open({ folder: peerFolder(folder.events, site), site })
    peerLogs.set(site, opened)
    // What the other site has decided counts here too.
    opened
      .then((peerLog) => {
        projector.follow(peerLog)
        following.push(confirmHolds(peerLog, confirming(site)))
      })
      .catch(() => peerLogs.delete(site))
    return opened
  }
  let lastArrival = Number.NEGATIVE_INFINITY
  const pair = new Pair({
    mine: {
      site: folder.archiveId,
      name: config.name,
      version: VERSION,
      generation: memory.generation ?? folder.archiveId,
      session: randomUUID(),
      chain: events,
    },
    memory,
    link,
    local,
    openPeerChain,
    clock,
    isStrict: (source) => isStrict(config, source),
    isBusy: () => performance.now() - lastArrival < BUSY_MS,
    resyncBytesPerSecond: config.resyncBytesPerSecond,
    notify: (notice) => {
      log.warn(notice, 'the other site')
      events
        .append(eventOf(notice, memory.site ?? ''))
        .catch((error: Error) => warn('not in the event log', { ...notice, reason: error.message }))
    },
    onFenced: () => {
      // Not even a restart while the other site is away may make this one serve what is old.
      memory
        .setFenced(true)
        .catch((error: Error) => warn('the fence could not be kept', { reason: error.message }))
        .finally(onFenced)
    },
    warn,
  })
  const arrived = (): void => {
    lastArrival = performance.now()
  }
  const mirror = mirrorPort({ pair, link, catalogue: catalogue.replication, arrived })
  /** Corrections of the other site change nothing here before their records have come. */
  const bringRecords = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.sleep(RECORDS_MS, stopping.signal)
      if (!pair.health.up) continue
      await fetchRecords({ catalogue: catalogue.corrections, records, link }).catch((error: Error) =>
        warn('records of corrections could not be fetched', { reason: error.message }),
      )
    }
  }
  let server: PeerServer | undefined
  return {
    pair,
    mirror,
    memory,
    confirmed: async (sha256s) => {
      const confirmed = new Set<string>()
      for (let at = 0; at < sha256s.length && pair.inSync; at += VERIFIED_AT_ONCE) {
        const some = sha256s.slice(at, at + VERIFIED_AT_ONCE)
        const answers = await link.verified(some)
        for (const [index, sha256] of some.entries()) if (answers[index]) confirmed.add(sha256)
      }
      return confirmed
    },
    start: async (receive) => {
      const { host, port } = config.listen
      const peerEvents = async (): Promise<PeerLog | undefined> =>
        memory.site === undefined ? undefined : openPeerChain(memory.site)
      server = new PeerServer({
        host,
        port,
        tls,
        pair,
        receive,
        catalogue,
        instances,
        isIntact: (record) => instances.isIntact(record),
        local,
        events,
        records,
        peerEvents,
        warn,
      })
      const bound = await server.listen()
      pair.start()
      following.push(bringRecords())
      return bound
    },
    stop: async () => {
      stopping.abort()
      const stopped = Promise.all([pair.stop(), server?.close(), ...following])
      // A call that the other site never answers must not keep this one from stopping.
      link.close()
      await stopped
      for (const opened of peerLogs.values()) await (await opened).close()
    },
  }
}

function isStrict({ policy, strictSources, degradedSources }: PeerConfig, source: string): boolean {
  return policy === 'strict' ? !degradedSources.includes(source) : strictSources.includes(source)
}

function eventOf({ notice, detail }: PairNotice, site: string): KnownEvent {
  const base = { actor: SYSTEM, subject: { site } }
  switch (notice) {
    case 'paired':
      return { ...base, kind: 'site.paired', data: {} }
    case 'lost':
      return { ...base, kind: 'site.lost', data: { reason: detail } }
    case 'back':
      return { ...base, kind: 'site.back', data: {} }
    case 'in-sync':
      return { ...base, kind: 'site.in-sync', data: { compared: Number(detail) } }
    case 'fenced':
      return { ...base, kind: 'site.fenced', data: { reason: detail } }
  }
}

const clock: Clock = {
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    await wait(ms, undefined, { signal, ref: false }).catch(() => undefined)
  },
}

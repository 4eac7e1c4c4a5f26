import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Observation } from '../storage-adapters/wrap/metrics.ts'
import { KnexCatalogue } from './catalogue/knex/catalogue.ts'
import type { RejectionPolicy } from './catalogue/knex/overlay/visibility.ts'
import { type InstanceRecord, isPacked, type NewInstance } from './catalogue/ports.ts'
import type { Config } from './config/schema.ts'
import { QUALITY } from './corrections/codes.ts'
import { recoverRecords } from './corrections/record-copies.ts'
import { Records } from './corrections/records.ts'
import { fillMissing, withRecords } from './corrections/with-records.ts'
import type { DataFolder } from './data-folder.ts'
import { SYSTEM } from './events/event.ts'
import { listFiles, peerFolder } from './events/files.ts'
import type { KnownEvent } from './events/kinds.ts'
import { EventLog } from './events/log.ts'
import { Projector } from './events/projector.ts'
import { readLog } from './events/read.ts'
import { Ledger } from './ingest/ledger.ts'
import { Receiver } from './ingest/receive.ts'
import { type ReplayOptions, type ReplayReport, replay } from './ingest/replay.ts'
import { type PacksReport, replayPacks } from './ingest/replay-packs.ts'
import { listSegments } from './landing/files.ts'
import { Landing } from './landing/landing.ts'
import { healer } from './peer/heal.ts'
import { openPeerAccess, openPeering, type Peering, rejoin } from './peering.ts'
import { ComplianceClock } from './retention/clock.ts'
import { BlockCache } from './retrieve/block-cache.ts'
import { StoredInstances } from './retrieve/open-instance.ts'
import { PackReader } from './retrieve/pack-reader.ts'
import type { OpenInstances, ReadInstances } from './retrieve/ports.ts'
import { ReadAny } from './retrieve/read-any.ts'
import { type ChangingStores, openStores, type StoresOptions } from './stores/open.ts'
import type { Stores } from './stores/ports.ts'
import { VERSION } from './version.ts'

/** The data folder and its catalogue don't belong together. */
export class WrongCatalogue extends Error {
  override readonly name = 'WrongCatalogue'
}

/** Landing, catalogue and the ways into them: what every front door of a node shares. */
export interface Archive {
  catalogue: KnexCatalogue
  landing: Landing
  stores: ChangingStores
  packs: PackReader
  /** This site's storage alone. */
  instances: StoredInstances
  /** The same, and the other site where this one's storage fails. */
  reader: OpenInstances & ReadInstances
  events: EventLog
  projector: Projector
  clock: ComplianceClock
  /** What corrections say that may not stand in the event log. */
  records: Records
  ledger: Ledger
  receiver: Receiver
  /** Set by what works in the background, when it is there. */
  hooks: ArchiveHooks
  /** Undefined where there is one site. */
  peering: Peering | undefined
  /** Brings an instance back from the other site; rejects where that can't. */
  heal: ((record: InstanceRecord) => Promise<InstanceRecord>) | undefined
  /** What an administrator has to look into. */
  troubles(): string[]
  close(): Promise<void>
}

export interface ArchiveHooks {
  /** A client has read from this pack. */
  used(pack: number): void
  /** Throws where there is no room to seal new instances into. */
  admit(): void
}

/** Opens storage and catalogue, and replays into the catalogue what a crash kept from it. */
export async function openArchive(
  config: Config,
  folder: DataFolder,
  log: Logger,
  observe: (observation: Observation) => void = () => undefined,
  build?: StoresOptions['build'],
  onFenced: () => void = () => undefined,
): Promise<Archive> {
  const access = config.peer && (await openPeerAccess(config.peer, folder))
  // First of all: a site that went back to an earlier state writes and serves nothing before it has rejoined.
  const again = access ? await rejoin(access, folder, log) : []
  const catalogue = await KnexCatalogue.open({ url: config.catalogue.url, dataDir: folder.path })
  let opened: EventLog | undefined
  try {
    await assertBelongs(catalogue, folder)
    const events = await openEvents(folder, log, access?.memory.generation, again)
    opened = events
    const records = new Records(folder.records)
    await catalogue.corrections.setRejectionPolicy(policyOf(config.corrections))
    const projector = new Projector({
      catalogue: withRecords(catalogue, records),
      warn: (message, details) => log.error(details, message),
    })
    // What was destroyed must be known before storage is replayed.
    await projectAll(projector, events, folder).catch((error: Error) =>
      log.error({ reason: error.message }, 'the catalogue lacks events; the node starts all the same'),
    )
    const clock = await openClock(folder, catalogue, log)
    const knownOffsets = await offsetsOf(catalogue)
    const complete = await catalogue.completeSegments()
    const retired = await catalogue.retiredSegments()
    const spokenOf = new Set([...knownOffsets.keys(), ...complete])
    const missing = await missingSegments(folder, spokenOf)
    const lastSegment = [...spokenOf].reduce((last, segment) => Math.max(last, segment), await catalogue.lastSegment())
    const landing = await openLanding(config, folder, catalogue, log, lastSegment)
    const stores = await openStores({
      configs: config.stores,
      dataDir: folder.path,
      archiveId: folder.archiveId,
      observe,
      warn: (message, details) => log.warn(details, message),
      ...(build ? { build } : {}),
    })
    await recoverRecords(catalogue.corrections, records, stores)
    await fillMissing(catalogue.corrections, records)
    const packsReport = await fillFromPacks(catalogue, stores, log)
    const report = await replayInto(catalogue, landing, config, log, {
      skip: new Set([...complete, ...retired]),
      knownOffsets,
      owed: access !== undefined,
    })
    // What was lost of the catalogue may have been told to others already, under the same numbers.
    if (report.replayed > 0) await catalogue.newEpoch()
    const warn = (message: string, details: object): void => log.error(details, message)
    const { packBytes } = config.cache
    const cache =
      packBytes === 0
        ? undefined
        : await BlockCache.open({
            folder: join(folder.path, 'cache', 'packs'),
            bytesMax: packBytes,
            mayWrite: () => landing.space.bytesFree > 2 * landing.space.reserveBytes,
          })
    const packs = new PackReader({ catalogue, stores, cache, warn })
    const hooks: ArchiveHooks = { used: () => undefined, admit: () => undefined }
    const instances = new StoredInstances({ landing, packs, used: (pack) => hooks.used(pack) })
    const settled = ({ location }: NewInstance): void => {
      if (!isPacked(location)) landing.settled(location)
    }
    const ledger = new Ledger({ catalogue, settled, warn })
    const isIntact = (stored: InstanceRecord): Promise<boolean> => instances.isIntact(stored)
    const peering =
      access && openPeering({ access, folder, catalogue, instances, events, projector, records, log, onFenced })
    const bufferedBytesMax = config.limits.bufferedInstanceBytesMax
    const heal = access && healer({ link: access.link, landing, catalogue, bufferedBytesMax, warn })
    const reader = heal ? new ReadAny({ own: instances, heal }) : instances
    const receiver = new Receiver({
      landing,
      catalogue,
      ledger,
      isIntact,
      admit: () => hooks.admit(),
      limits: config.limits,
      ...(peering ? { mirror: peering.mirror } : {}),
      warn,
    })
    const troubles = (): string[] => [
      ...troublesOf(report, missing, ledger),
      ...troublesOfPacks(packsReport),
      ...troublesOfStores(stores),
      ...troublesOfEvents(events),
      ...projector.troubles,
      ...troublesOfPeer(peering),
    ]
    const close = async (): Promise<void> => {
      await peering?.stop()
      ledger.close()
      await landing.close()
      await ledger.idle()
      await stores.close()
      await clock.close()
      await closeEvents(events, log)
      await projector.close()
      await catalogue.close()
    }
    projector.follow(events)
    return {
      catalogue,
      landing,
      stores,
      packs,
      instances,
      reader,
      events: events,
      projector,
      clock,
      records,
      ledger,
      receiver,
      peering,
      heal,
      hooks,
      troubles,
      close,
    }
  } catch (error) {
    await opened?.close()
    await catalogue.close()
    throw error
  }
}

export function policyOf({ qualityRejected, rejectionNotes }: Config['corrections']): RejectionPolicy {
  return { shownCodes: qualityRejected === 'show' ? [QUALITY] : [], notesShown: rejectionNotes === 'show' }
}

/** A log that can't be written, on a full disk or because it is damaged, keeps nobody from reading images. */
async function openEvents(
  folder: DataFolder,
  log: Logger,
  generation = folder.archiveId,
  again: readonly KnownEvent[] = [],
): Promise<EventLog> {
  const events = await EventLog.open({ folder: folder.events, site: folder.archiveId, generation })
  // Of these none may get lost.
  for (const event of again) await events.append(event)
  await events
    .append({ kind: 'site.started', actor: SYSTEM, subject: {}, data: { version: VERSION } })
    .catch((error: Error) => log.error({ reason: error.message }, 'the start is not in the event log'))
  return events
}

async function openClock(folder: DataFolder, catalogue: KnexCatalogue, log: Logger): Promise<ComplianceClock> {
  return ComplianceClock.open({
    path: join(folder.path, 'compliance-clock.json'),
    site: folder.archiveId,
    remembered: await catalogue.retention.clock(folder.archiveId),
    warn: (message, details) => log.error(details, message),
  })
}

/** Fills the catalogue from the event logs, the other sites' too, as far as it hasn't got it. */
export async function projectAll(projector: Projector, events: EventLog, folder: DataFolder): Promise<void> {
  await projector.catchUp(events)
  for (const site of (await listFiles(folder.events)).peers) {
    await projector.take(site, (after) => readLog(peerFolder(folder.events, site), after))
  }
}

async function closeEvents(events: EventLog, log: Logger): Promise<void> {
  await events
    .append({ kind: 'site.stopped', actor: SYSTEM, subject: {}, data: {} })
    .catch((error: Error) => log.error({ reason: error.message }, 'the stop is not in the event log'))
  await events.close()
}

async function offsetsOf(catalogue: KnexCatalogue): Promise<Map<number, number>> {
  const offsets = new Map<number, number>()
  for await (const { segment, lastOffset } of catalogue.usedSegments()) offsets.set(segment, lastOffset)
  return offsets
}

/** Segments that the catalogue speaks of and the folder doesn't have: a wrong disk, an old snapshot, a lost file. */
async function missingSegments(folder: DataFolder, spokenOf: ReadonlySet<number>): Promise<number[]> {
  const there = new Set(await listSegments(folder.landing))
  return [...spokenOf].filter((segment) => !there.has(segment)).sort((a, b) => a - b)
}

function troublesOf(report: ReplayReport, missing: readonly number[], ledger: Ledger): string[] {
  const troubles: string[] = []
  if (ledger.trouble) troubles.push(`nothing can be stored: ${ledger.trouble}`)
  if (ledger.setAside > 0) troubles.push(`${ledger.setAside} instances in the landing are refused by the catalogue`)
  if (missing.length > 0) {
    troubles.push(
      `segments that the catalogue speaks of are missing from the landing: ${missing.slice(0, 10).join(', ')}`,
    )
  }
  if (report.damaged > 0) troubles.push(`${report.damaged} stretches of the landing are damaged; run \`firn verify\``)
  if (report.refused > 0) troubles.push(`${report.refused} instances in the landing could not be recorded; see the log`)
  return troubles
}

function troublesOfPacks(report: PacksReport | undefined): string[] {
  const troubles: string[] = []
  if (!report) return troubles
  const { unreadable, damaged } = report
  if (unreadable.length > 0) {
    troubles.push(
      `the catalogue lacks what only these stores hold: ${unreadable.join(', ')}; the next start reads them`,
    )
  }
  if (damaged > 0) troubles.push(`${damaged} copies of packs are damaged; run \`firn verify\``)
  return troubles
}

function troublesOfStores({ all }: Stores): string[] {
  return all.flatMap(({ id, trouble }) => (trouble === undefined ? [] : [`store ${id} can't be used: ${trouble}`]))
}

function troublesOfEvents({ trouble }: EventLog): string[] {
  return trouble === undefined ? [] : [`the event log can't be written: ${trouble}; run \`firn events verify\``]
}

function troublesOfPeer(peering: Peering | undefined): string[] {
  return peering?.pair.trouble === undefined ? [] : [`the other site: ${peering.pair.trouble}`]
}

async function openLanding(
  config: Config,
  folder: DataFolder,
  catalogue: KnexCatalogue,
  log: Logger,
  lastSegment: number,
): Promise<Landing> {
  return Landing.open({
    lastSegment,
    folder: folder.landing,
    ...config.landing,
    onComplete: (segment) => {
      catalogue
        .segmentComplete(segment)
        .catch((error: Error) =>
          log.warn({ segment, error: error.message }, 'a segment will be looked at again at start'),
        )
    },
  })
}

/** Storage is all there is of a new catalogue, and of one whose rebuild was broken off: as `firn rebuild` does it. */
async function fillFromPacks(catalogue: KnexCatalogue, stores: Stores, log: Logger): Promise<PacksReport | undefined> {
  if (await catalogue.isComplete()) return undefined
  const report = await replayPacks({ stores, catalogue, warn: (message, details) => log.warn(details, message) })
  if (report.packs > 0) log.warn(report, 'the catalogue was filled from packs')
  if (report.unreadable.length === 0) await catalogue.setComplete(true)
  return report
}

/** An empty catalogue is taken over and filled; another archive's is refused. */
async function assertBelongs(catalogue: KnexCatalogue, folder: DataFolder): Promise<void> {
  const archiveId = await catalogue.archiveId()
  if (archiveId === undefined) {
    await catalogue.setComplete(false)
    return catalogue.setArchiveId(folder.archiveId)
  }
  if (archiveId === folder.archiveId) return
  throw new WrongCatalogue(
    `the catalogue belongs to archive ${archiveId}, the data folder ${folder.path} to ${folder.archiveId}: ` +
      'set dataDir or catalogue.url right; `firn rebuild --force` makes this catalogue anew from this folder',
  )
}

export async function replayInto(
  catalogue: KnexCatalogue,
  landing: Landing,
  config: Config,
  log: Logger,
  options: Pick<ReplayOptions, 'skip' | 'knownOffsets' | 'progress' | 'owed'>,
): Promise<ReplayReport> {
  const report = await replay({
    folder: landing.folder,
    catalogue,
    read: (at, start, end) => landing.read(at, start, end),
    headerBytesMax: config.limits.headerBytesMax,
    warn: (message, details) => log.warn(details, message),
    ...options,
  })
  const { replayed, tornTails, damaged, refused } = report
  if (replayed + tornTails + damaged + refused > 0) log.warn(report, 'the landing was replayed')
  return report
}

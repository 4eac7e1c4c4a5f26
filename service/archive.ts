import type { Logger } from 'pino'
import { KnexCatalogue } from './catalogue/knex/catalogue.ts'
import type { NewInstance } from './catalogue/ports.ts'
import type { Config } from './config/schema.ts'
import type { DataFolder } from './data-folder.ts'
import { Ledger } from './ingest/ledger.ts'
import { Receiver } from './ingest/receive.ts'
import { type ReplayOptions, type ReplayReport, replay } from './ingest/replay.ts'
import { listSegments } from './landing/files.ts'
import { Landing } from './landing/landing.ts'

/** The data folder and its catalogue don't belong together. */
export class WrongCatalogue extends Error {
  override readonly name = 'WrongCatalogue'
}

/** Landing, catalogue and the ways into them: what every front door of a node shares. */
export interface Archive {
  catalogue: KnexCatalogue
  landing: Landing
  ledger: Ledger
  receiver: Receiver
  /** What an administrator has to look into. */
  troubles(): string[]
  close(): Promise<void>
}

/** Opens storage and catalogue, and replays into the catalogue what a crash kept from it. */
export async function openArchive(config: Config, folder: DataFolder, log: Logger): Promise<Archive> {
  const catalogue = await KnexCatalogue.open({ url: config.catalogue.url, dataDir: folder.path })
  try {
    await assertBelongs(catalogue, folder)
    const knownOffsets = await offsetsOf(catalogue)
    const complete = await catalogue.completeSegments()
    const spokenOf = new Set([...knownOffsets.keys(), ...complete])
    const missing = await missingSegments(folder, spokenOf)
    const lastSegment = [...spokenOf].reduce((last, segment) => Math.max(last, segment), 0)
    const landing = await openLanding(config, folder, catalogue, log, lastSegment)
    const report = await replayInto(catalogue, landing, config, log, { skip: complete, knownOffsets })
    // What was lost of the catalogue may have been told to others already, under the same numbers.
    if (report.replayed > 0) await catalogue.newEpoch()
    const warn = (message: string, details: object): void => log.error(details, message)
    const ledger = new Ledger({ catalogue, settled: ({ location }: NewInstance) => landing.settled(location), warn })
    const receiver = new Receiver({ landing, catalogue, ledger, limits: config.limits, warn })
    const troubles = (): string[] => troublesOf(report, missing, ledger)
    const close = async (): Promise<void> => {
      ledger.close()
      await landing.close()
      await ledger.idle()
      await catalogue.close()
    }
    return { catalogue, landing, ledger, receiver, troubles, close }
  } catch (error) {
    await catalogue.close()
    throw error
  }
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

/** An empty catalogue is taken over and filled; another archive's is refused. */
async function assertBelongs(catalogue: KnexCatalogue, folder: DataFolder): Promise<void> {
  const archiveId = await catalogue.archiveId()
  if (archiveId === undefined) return catalogue.setArchiveId(folder.archiveId)
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
  options: Pick<ReplayOptions, 'skip' | 'knownOffsets' | 'progress'>,
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

import type { Logger } from 'pino'
import { KnexCatalogue } from './catalogue/knex/catalogue.ts'
import type { NewInstance } from './catalogue/ports.ts'
import type { Config } from './config/schema.ts'
import type { DataFolder } from './data-folder.ts'
import { Ledger } from './ingest/ledger.ts'
import { Receiver } from './ingest/receive.ts'
import { type ReplayReport, replay } from './ingest/replay.ts'
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
  close(): Promise<void>
}

/** Opens storage and catalogue, and replays into the catalogue what a crash kept from it. */
export async function openArchive(config: Config, folder: DataFolder, log: Logger): Promise<Archive> {
  const catalogue = await KnexCatalogue.open({ url: config.catalogue.url, dataDir: folder.path })
  try {
    await assertBelongs(catalogue, folder)
    const landing = await openLanding(config, folder, catalogue, log)
    await replayInto(catalogue, landing, config, log, await catalogue.completeSegments())
    const ledger = new Ledger({
      catalogue,
      settled: ({ location }: NewInstance) => landing.settled(location),
      warn: (message, details) => log.error(details, message),
    })
    const receiver = new Receiver({ landing, catalogue, ledger, limits: config.limits })
    const close = async (): Promise<void> => {
      ledger.close()
      await landing.close()
      await catalogue.close()
    }
    return { catalogue, landing, ledger, receiver, close }
  } catch (error) {
    await catalogue.close()
    throw error
  }
}

async function openLanding(
  config: Config,
  folder: DataFolder,
  catalogue: KnexCatalogue,
  log: Logger,
): Promise<Landing> {
  return Landing.open({
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
  skip: ReadonlySet<number>,
  progress?: (done: ReplayReport, total: number) => void,
): Promise<ReplayReport> {
  const report = await replay({
    folder: landing.folder,
    catalogue,
    skip,
    read: (at, start, end) => landing.read(at, start, end),
    headerBytesMax: config.limits.headerBytesMax,
    warn: (message, details) => log.warn(details, message),
    ...(progress ? { progress } : {}),
  })
  if (report.replayed > 0 || report.tailsCut > 0 || report.damaged > 0) log.warn(report, 'the landing was replayed')
  return report
}

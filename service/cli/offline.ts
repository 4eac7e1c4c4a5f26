import type { Command } from 'commander'
import pino, { type Logger } from 'pino'
import { projectAll, replayInto } from '../archive.ts'
import { KnexCatalogue } from '../catalogue/knex/catalogue.ts'
import type { Config } from '../config/schema.ts'
import { recoverRecords } from '../corrections/record-copies.ts'
import { Records } from '../corrections/records.ts'
import { fillMissing, withRecords } from '../corrections/with-records.ts'
import { archiveIdOf, DataFolder, FolderInUse } from '../data-folder.ts'
import { EventLog } from '../events/log.ts'
import { Projector } from '../events/projector.ts'
import { replayPacks } from '../ingest/replay-packs.ts'
import { listSegments, segmentPath } from '../landing/files.ts'
import { Landing } from '../landing/landing.ts'
import { isIntact, scanSegment } from '../landing/scan.ts'
import { parsePackKey } from '../packing/keys.ts'
import { verifyPack } from '../packing/verify.ts'
import { openStores } from '../stores/open.ts'
import { EXIT, Failure } from './exit.ts'
import { type ConfigOptions, configOf, type Done, print, withConfig } from './options.ts'

type Options = ConfigOptions & { json?: boolean }

export function addOfflineVerbs(program: Command, done: Done): void {
  withConfig(program.command('rebuild'))
    .description('make the catalogue anew from what storage holds; the node must be stopped')
    .option('--force', 'also take over a catalogue that belongs to another archive')
    .option('--json', 'print as JSON')
    .action(async (options: Options & { force?: boolean }) => {
      const { packs, ...report } = await rebuild(configOf(options), options.force ?? false)
      print(options.json, { ...report, packs }, () =>
        [
          `rebuilt from ${packs.packs} packs: ${packs.instances} instances, ${packs.damaged} damaged packs`,
          ...packs.unreadable.map((store) => `store ${store} could not be read: what only it holds is missing`),
          `and from ${report.segments} segments: ${report.replayed} instances, ${report.damaged} damaged, ${report.refused} refused`,
        ].join('\n'),
      )
      const faults = report.damaged + report.refused + packs.damaged + packs.unreadable.length
      done(faults === 0 ? EXIT.yes : EXIT.no)
    })
  withConfig(program.command('verify'))
    .description('read everything in landing and stores again and compare digests; also while the node runs')
    .option('--json', 'print as JSON')
    .action(async (options: Options) => {
      const report = await verify(configOf(options))
      print(options.json, report, () =>
        [
          `${report.intact} instances in the landing and ${report.packs} packs intact, ${report.faults.length} faults`,
          ...report.faults,
        ].join('\n'),
      )
      done(report.faults.length === 0 ? EXIT.yes : EXIT.no)
    })
}

async function rebuild(config: Config, force: boolean) {
  const folder = await DataFolder.open(config.dataDir).catch((error) => {
    if (error instanceof FolderInUse) throw new Failure(EXIT.no, error.message)
    throw error
  })
  const log = pino({ level: config.log.level }, pino.destination(2))
  const catalogue = await KnexCatalogue.open({ url: config.catalogue.url, dataDir: folder.path })
  try {
    const archiveId = await catalogue.archiveId()
    if (archiveId !== undefined && archiveId !== folder.archiveId && !force) {
      throw new Failure(EXIT.no, `the catalogue belongs to archive ${archiveId}; --force makes it this folder's`)
    }
    const landing = await Landing.open({ folder: folder.landing, ...config.landing })
    await catalogue.clear()
    await catalogue.setArchiveId(folder.archiveId)
    await projectEvents(catalogue, folder, log)
    const stores = await storesOf(config, folder.path, folder.archiveId, log)
    const records = new Records(folder.records)
    await recoverRecords(catalogue.corrections, records, stores)
    await fillMissing(catalogue.corrections, records)
    const packs = await replayPacks({
      stores,
      catalogue,
      warn: (message, details) => log.warn(details, message),
      progress: (sofar) => progress(`${sofar.packs} packs, ${sofar.instances} instances`),
    })
    await stores.close()
    const report = await replayInto(catalogue, landing, config, log, {
      skip: new Set(),
      knownOffsets: undefined,
      progress: (sofar, total) => progress(`${sofar.segments} of ${total} segments, ${sofar.replayed} instances`),
    })
    await landing.close()
    if (packs.unreadable.length === 0) await catalogue.setComplete(true)
    return { ...report, packs }
  } finally {
    await catalogue.close()
    await folder.close()
  }
}

/** First, so that what was destroyed isn't taken in again. */
async function projectEvents(catalogue: KnexCatalogue, folder: DataFolder, log: Logger): Promise<void> {
  const { archiveId } = folder
  const events = await EventLog.open({ folder: folder.events, site: archiveId, generation: archiveId })
  const records = new Records(folder.records)
  const projector = new Projector({
    catalogue: withRecords(catalogue, records),
    warn: (message, details) => log.warn(details, message),
  })
  try {
    await projectAll(projector, events, folder)
  } finally {
    await projector.close()
    await events.close()
  }
}

function storesOf(config: Config, dataDir: string, archiveId: string, log: Logger) {
  return openStores({
    configs: config.stores,
    dataDir,
    archiveId,
    observe: () => undefined,
    warn: (message, details) => log.warn(details, message),
  })
}

interface VerifyReport {
  intact: number
  packs: number
  faults: string[]
}

async function verify(config: Config): Promise<VerifyReport> {
  const folder = `${config.dataDir}/landing`
  const segments = await listSegments(folder).catch(() => {
    throw new Failure(EXIT.usage, `there is no landing in ${config.dataDir}`)
  })
  const report: VerifyReport = { intact: 0, packs: 0, faults: [] }
  for (const [index, segment] of segments.entries()) {
    const path = segmentPath(folder, segment)
    for await (const { found, gap } of scanSegment(path)) {
      if (gap) report.faults.push(`${path}: bytes ${gap.start} to ${gap.end} are no instance`)
      else if (await isIntact(path, found)) report.intact += 1
      else report.faults.push(`${path}: ${found.member.name} at ${found.offset} is not what was written`)
    }
    progress(`${index + 1} of ${segments.length} segments, ${report.intact} instances intact`)
  }
  await verifyStores(config, report)
  return report
}

/** All packs of all stores that were claimed. */
async function verifyStores(config: Config, report: VerifyReport): Promise<void> {
  const archiveId = await archiveIdOf(config.dataDir)
  if (archiveId === undefined) return
  const log = pino({ level: config.log.level }, pino.destination(2))
  const stores = await storesOf(config, config.dataDir, archiveId, log)
  for (const { id, adapter, trouble } of stores.all) {
    if (trouble !== undefined) {
      report.faults.push(`store ${id} can't be read: ${trouble}`)
      continue
    }
    for await (const { key, sizeBytes } of adapter.list({ prefix: 'packs/' })) {
      const read = async function* (start: number, end: number): AsyncGenerator<Buffer> {
        const { body } = await adapter.get(key, { range: { start, end } })
        yield* body as AsyncIterable<Buffer>
      }
      const { faults } = await verifyPack(read, sizeBytes, parsePackKey(key)?.sha256)
      if (faults.length === 0) report.packs += 1
      for (const { member, problem } of faults)
        report.faults.push(`store ${id}, ${key}, ${member ?? 'as a whole'}: ${problem}`)
      progress(`store ${id}: ${report.packs} packs intact`)
    }
  }
  await stores.close()
}

/** On a terminal only, and never among the results. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\x1b[K`)
}

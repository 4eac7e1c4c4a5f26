import type { Command } from 'commander'
import pino from 'pino'
import { replayInto } from '../archive.ts'
import { KnexCatalogue } from '../catalogue/knex/catalogue.ts'
import type { Config } from '../config/schema.ts'
import { DataFolder, FolderInUse } from '../data-folder.ts'
import { listSegments, segmentPath } from '../landing/files.ts'
import { Landing } from '../landing/landing.ts'
import { isIntact, scanSegment } from '../landing/scan.ts'
import { EXIT, Failure } from './exit.ts'
import { type ConfigOptions, configOf, type Done, print, withConfig } from './options.ts'

type Options = ConfigOptions & { json?: boolean }

export function addOfflineVerbs(program: Command, done: Done): void {
  withConfig(program.command('rebuild'))
    .description('make the catalogue anew from what storage holds; the node must be stopped')
    .option('--force', 'also take over a catalogue that belongs to another archive')
    .option('--json', 'print as JSON')
    .action(async (options: Options & { force?: boolean }) => {
      const report = await rebuild(configOf(options), options.force ?? false)
      print(
        options.json,
        report,
        () =>
          `rebuilt from ${report.segments} segments: ${report.replayed} instances, ${report.damaged} damaged, ${report.refused} refused`,
      )
      done(report.damaged + report.refused === 0 ? EXIT.yes : EXIT.no)
    })
  withConfig(program.command('verify'))
    .description('read everything in the landing again and compare digests; also while the node runs')
    .option('--json', 'print as JSON')
    .action(async (options: Options) => {
      const report = await verify(configOf(options))
      print(options.json, report, () =>
        [`${report.intact} instances intact, ${report.faults.length} faults`, ...report.faults].join('\n'),
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
    const report = await replayInto(catalogue, landing, config, log, {
      skip: new Set(),
      knownOffsets: undefined,
      progress: (sofar, total) => progress(`${sofar.segments} of ${total} segments, ${sofar.replayed} instances`),
    })
    await landing.close()
    return report
  } finally {
    await catalogue.close()
    await folder.close()
  }
}

async function verify(config: Config): Promise<{ intact: number; faults: string[] }> {
  const folder = `${config.dataDir}/landing`
  const segments = await listSegments(folder).catch(() => {
    throw new Failure(EXIT.usage, `there is no landing in ${config.dataDir}`)
  })
  const report = { intact: 0, faults: [] as string[] }
  for (const [index, segment] of segments.entries()) {
    const path = segmentPath(folder, segment)
    for await (const { found, gap } of scanSegment(path)) {
      if (gap) report.faults.push(`${path}: bytes ${gap.start} to ${gap.end} are no instance`)
      else if (await isIntact(path, found)) report.intact += 1
      else report.faults.push(`${path}: ${found.member.name} at ${found.offset} is not what was written`)
    }
    progress(`${index + 1} of ${segments.length} segments, ${report.intact} instances intact`)
  }
  return report
}

/** On a terminal only, and never among the results. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\x1b[K`)
}

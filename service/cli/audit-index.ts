import { join } from 'node:path'
import { type AuditDifference, checkAudit } from '../catalogue/knex/audit-check.ts'
import { migrate } from '../catalogue/knex/connect.ts'
import type { Config } from '../config/schema.ts'
import { archiveIdOf, DataFolder, FolderInUse } from '../data-folder.ts'
import { listFiles, peerFolder } from '../events/files.ts'
import { readLog } from '../events/read.ts'
import { EXIT, Failure } from './exit.ts'

export interface CheckOptions {
  catalogue?: boolean
  repair?: boolean
}

export interface IndexReport {
  rows: number
  differences: number
  repaired: boolean
  /** The first ones. */
  examples: AuditDifference[]
}

const EXAMPLES_MAX = 100

/** The catalogue's index of the audit trail beside the logs of a data folder. Throws Failure. */
export async function checkIndex(config: Config, { repair = false }: CheckOptions): Promise<IndexReport> {
  const { dataDir, catalogue } = config
  const site = await archiveIdOf(dataDir)
  if (site === undefined) throw new Failure(EXIT.usage, `${dataDir} is no data folder`)
  const folder = repair ? await locked(dataDir) : undefined
  const events = join(dataDir, 'events')
  try {
    const { peers } = await listFiles(events)
    if (repair) await migrate({ url: catalogue.url, file: join(dataDir, 'catalogue.sqlite') })
    const report: IndexReport = { rows: 0, differences: 0, repaired: repair, examples: [] }
    report.rows = await checkAudit({
      url: catalogue.url,
      dataDir,
      logs: [
        { site, events: readLog(events, 0) },
        ...peers.map((peer) => ({ site: peer, events: readLog(peerFolder(events, peer), 0) })),
      ],
      repair,
      differences(some) {
        report.differences += some.length
        report.examples.push(...some.slice(0, EXAMPLES_MAX - report.examples.length))
      },
    })
    return report
  } finally {
    await folder?.close()
  }
}

function locked(dataDir: string): Promise<DataFolder> {
  return DataFolder.open(dataDir).catch((error) => {
    throw error instanceof FolderInUse ? new Failure(EXIT.no, error.message) : error
  })
}

const WORDS: Readonly<Record<AuditDifference['found'], string>> = {
  altered: 'was altered in the catalogue',
  removed: 'is missing in the catalogue',
  invented: 'is in the catalogue and in no log',
}

export function indexWords(report: IndexReport | undefined): string[] {
  if (!report) return []
  const { rows, differences, repaired, examples } = report
  const lines = examples.map(
    ({ site, seq, found, columns }) =>
      `  event ${seq} of ${site} ${WORDS[found]}${columns.length > 0 ? ` (${columns.join(', ')})` : ''}`,
  )
  const done = repaired && differences > 0 ? '; the catalogue says what the log says again' : ''
  return [`the catalogue's index: ${rows} events of the log compared, ${differences} differ${done}`, ...lines]
}

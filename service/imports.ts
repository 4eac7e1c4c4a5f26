import { resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Archive } from './archive.ts'
import type { DicomwebImportConfig, ImportConfig } from './config/imports.ts'
import type { Config } from './config/schema.ts'
import { DimseSource } from './dimse/import-source.ts'
import { associationLimits } from './dimse/index.ts'
import { ArchiveError } from './errors.ts'
import { DicomwebSource } from './http/import-source.ts'
import { Arrivals } from './import/arrivals.ts'
import { FolderSource } from './import/folder.ts'
import { type ImportDefinition, Imports } from './import/imports.ts'
import { parseWindow } from './import/pace.ts'
import type { ImportSource } from './import/ports.ts'
import { ReadThrough } from './import/through.ts'
import { ThroughCatalogue } from './import/through-catalogue.ts'
import type { Receive } from './ingest/ports.ts'

/** An old archive may think for long before it sends. */
const IDLE_MS = 10 * 60_000

export interface OpenImportsOptions {
  archive: Archive
  config: Pick<Config, 'imports' | 'limits' | 'dimse' | 'dataDir'>
  receive: Receive
  log: Logger
}

export interface OpenedImports {
  imports: Imports
  /** How readers see the archive while an import runs. */
  catalogue: ThroughCatalogue
  /** How senders reach it: an old archive that was asked for a study may send it like anybody else. */
  receive: Receive
}

/** Imports from old archives, put together. */
export function openImports(options: OpenImportsOptions): OpenedImports {
  const { archive, config, receive, log } = options
  const { catalogue, instances, events } = archive
  const arrivals = new Arrivals()
  const warn = (message: string, details: object): void => log.warn(details, message)
  const imports = new Imports({
    definitions: config.imports.map((one) => definitionOf(one, (files) => sourceOf(one, files, options, arrivals))),
    records: catalogue.imports,
    receive,
    catalogue,
    isIntact: (stored) => instances.isIntact(stored),
    events,
    warn,
  })
  const running = () => imports.running
  const through = new ReadThrough({ running, records: catalogue.imports, catalogue, warn })
  const active = () => running().length > 0
  return {
    imports,
    catalogue: new ThroughCatalogue({ catalogue, through, active }),
    receive: arrivals.watching(receive),
  }
}

function definitionOf(one: ImportConfig, source: ImportDefinition['source']): ImportDefinition {
  const { name, type, bytesPerSecond, parallel, verify } = one
  const window = one.window === undefined ? undefined : parseWindow(one.window)
  return { name, type, source, bytesPerSecond, window, parallel, verify, readThroughMs: one.readThroughSeconds * 1000 }
}

function sourceOf(
  one: ImportConfig,
  files: Parameters<ImportDefinition['source']>[0],
  { config: { limits, dimse, dataDir }, log }: OpenImportsOptions,
  arrivals: Arrivals,
): ImportSource {
  const { headerBytesMax } = limits
  if (one.type === 'folder') return new FolderSource({ folder: resolve(dataDir, one.folder), headerBytesMax, files })
  if (one.type === 'dicomweb') return new DicomwebSource({ ...one, headers: headersOf(one) })
  const { aeTitle, host, port, tls, callingAeTitle, retrieve, pageSize } = one
  return new DimseSource({
    peer: { aeTitle, host, port, tls },
    callingAeTitle: callingAeTitle ?? dimse.aeTitle,
    limits: { ...associationLimits(dimse), idleMs: IDLE_MS },
    log,
    moveTo: retrieve === 'move' ? dimse.aeTitle : undefined,
    arrivals,
    pageSize,
  })
}

function headersOf({ headers, tokenVariable }: DicomwebImportConfig): Record<string, string> {
  const named = Object.entries(headers ?? {}).map(([name, variable]) => [name, variableOf(variable)])
  const token = tokenVariable === undefined ? {} : { authorization: `Bearer ${variableOf(tokenVariable)}` }
  return { ...Object.fromEntries(named), ...token }
}

function variableOf(variable: string): string {
  const value = process.env[variable]
  if (value !== undefined && value !== '') return value
  throw new ArchiveError('invalid_request', `the environment variable ${variable} is not set where the node runs`)
}

import type { Logger } from 'pino'
import type { Archive } from './archive.ts'
import type { DicomwebImportConfig, ImportConfig } from './config/imports.ts'
import type { Config } from './config/schema.ts'
import { ArchiveError } from './errors.ts'
import { DicomwebSource } from './http/import-source.ts'
import { FolderSource } from './import/folder.ts'
import { type ImportDefinition, Imports } from './import/imports.ts'
import { parseWindow } from './import/pace.ts'
import type { ImportSource } from './import/ports.ts'
import { ReadThrough } from './import/through.ts'
import { ThroughCatalogue } from './import/through-catalogue.ts'
import type { Receive } from './ingest/ports.ts'

export interface OpenImportsOptions {
  archive: Archive
  config: Pick<Config, 'imports' | 'limits' | 'dimse'>
  receive: Receive
  log: Logger
}

/** Imports from old archives, put together; `catalogue` is how readers see the archive while one runs. */
export function openImports(options: OpenImportsOptions): { imports: Imports; catalogue: ThroughCatalogue } {
  const { catalogue } = options.archive
  const imports = buildImports(options)
  const running = () => imports.running
  const warn = (message: string, details: object): void => options.log.warn(details, message)
  const through = new ReadThrough({ running, records: catalogue.imports, catalogue, warn })
  return { imports, catalogue: new ThroughCatalogue({ catalogue, through, active: () => running().length > 0 }) }
}

function buildImports({ archive, config, receive, log }: OpenImportsOptions): Imports {
  const { catalogue, instances, events } = archive
  return new Imports({
    definitions: config.imports.map((one) => definitionOf(one, config)),
    records: catalogue.imports,
    receive,
    catalogue,
    isIntact: (stored) => instances.isIntact(stored),
    events,
    warn: (message, details) => log.warn(details, message),
  })
}

function definitionOf(one: ImportConfig, config: OpenImportsOptions['config']): ImportDefinition {
  const { name, type, bytesPerSecond, parallel, verify } = one
  const window = one.window === undefined ? undefined : parseWindow(one.window)
  const source: ImportDefinition['source'] = (files) => sourceOf(one, files, config)
  return { name, type, source, bytesPerSecond, window, parallel, verify, readThroughMs: one.readThroughSeconds * 1000 }
}

function sourceOf(
  one: ImportConfig,
  files: Parameters<ImportDefinition['source']>[0],
  { limits }: OpenImportsOptions['config'],
): ImportSource {
  if (one.type === 'folder') return new FolderSource({ ...one, headerBytesMax: limits.headerBytesMax, files })
  if (one.type === 'dicomweb') return new DicomwebSource({ ...one, headers: headersOf(one) })
  throw new Error(`no source of type ${one.type}`)
}

function headersOf({ headers, tokenVariable }: DicomwebImportConfig): Record<string, string> {
  const named = Object.entries(headers ?? {}).map(([name, variable]) => [name, valueOf(variable)])
  const token = tokenVariable === undefined ? {} : { authorization: `Bearer ${valueOf(tokenVariable)}` }
  return { ...Object.fromEntries(named), ...token }
}

function valueOf(variable: string): string {
  const value = process.env[variable]
  if (value !== undefined && value !== '') return value
  throw new ArchiveError('invalid_request', `the environment variable ${variable} is not set where the node runs`)
}

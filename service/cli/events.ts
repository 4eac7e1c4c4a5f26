import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { ArchiveError } from '../errors.ts'
import { canonical } from '../events/canonical.ts'
import type { Event, Head } from '../events/event.ts'
import { dropEmptyEnd, listFiles } from '../events/files.ts'
import { readLog } from '../events/read.ts'
import { type ChainReport, type LogReport, verifyLog } from '../events/verify.ts'
import { type CheckOptions, checkIndex, indexWords } from './audit-index.ts'
import { EXIT, Failure } from './exit.ts'
import { type ConfigOptions, configOf, type Done, print, withConfig } from './options.ts'

type Options = ConfigOptions & { files?: string; json?: boolean }
type ListOptions = Options & { since: number; kind?: string }

/** Both work on files alone, also while a node writes to them. */
export function addEventVerbs(program: Command, done: Done): void {
  const events = program.command('events').description('the hash-chained log of what happened')
  withFiles(events.command('verify'))
    .description('read the whole log again and say whether a line was altered, removed, inserted or moved')
    .option('--head <seq:hash>', 'an event that must be in it; repeat for more', collectHead, [])
    .option('--catalogue', "also compare the catalogue's index of the audit trail with the log")
    .option('--repair', 'make that index say again what the log says; the node must be stopped')
    .option('--json', 'print as JSON')
    .action(async (options: Options & CheckOptions & { head: Head[] }) => {
      const folder = folderOf(options)
      const report = await verifyLog(folder, options.head, progress)
      // An empty folder is no evidence of anything.
      if (report.anchors.length === 0 && report.chains.every(({ segments }) => segments === 0)) throw noLog(folder)
      // A broken log is no measure for anything.
      const index = options.catalogue && report.intact ? await checkIndex(configOf(options), options) : undefined
      print(options.json, index ? { ...report, index } : report, () => [words(report), ...indexWords(index)].join('\n'))
      done(report.intact && (index?.differences ?? 0) === 0 ? EXIT.yes : EXIT.no)
    })
  withFiles(events.command('head'))
    .description('print SEQ:HASH of the last event, to be kept elsewhere and given to `verify --head` later')
    .action(async (options: Options) => {
      const head = await headOf(folderOf(options)).catch((error) => {
        throw error instanceof ArchiveError ? new Failure(EXIT.no, error.message) : error
      })
      console.log(`${head.seq}:${head.hash}`)
      done(EXIT.yes)
    })
  withFiles(events.command('list'))
    .description('print events in their order')
    .option('--since <seq>', 'only those after this number', number, 0)
    .option('--kind <kind>', 'only this kind, or all that begin with it and a dot, such as hold')
    .option('--json', 'one JSON object a line, as they are in the log')
    .action(async (options: ListOptions) => {
      await list(options).catch((error) => {
        throw error instanceof ArchiveError ? new Failure(EXIT.no, error.message) : error
      })
      done(EXIT.yes)
    })
}

function withFiles(command: Command): Command {
  return withConfig(command).option('--files <dir>', "folder of the log's files, instead of a data folder")
}

/** Throws Failure when there is none. */
function folderOf(options: Options): string {
  const folder = options.files ?? join(configOf(options).dataDir, 'events')
  if (!existsSync(folder)) throw noLog(folder)
  return folder
}

const noLog = (folder: string): Failure => new Failure(EXIT.usage, `there is no event log in ${folder}`)

/** Reads the last file only. */
async function headOf(folder: string): Promise<Head> {
  const first = (await dropEmptyEnd(folder, (await listFiles(folder)).segments)).at(-1)
  if (first === undefined) throw noLog(folder)
  let head: Head | undefined
  for await (const some of readLog(folder, first - 1)) head = some.at(-1) ?? head
  if (!head) throw noLog(folder)
  return { seq: head.seq, hash: head.hash }
}

async function list(options: ListOptions): Promise<void> {
  await pipeline(Readable.from(chosen(options)), process.stdout, { end: false }).catch((error) => {
    // Whoever reads has seen enough.
    if (error.code !== 'EPIPE') throw error
  })
}

async function* chosen({ since, kind, json, ...options }: ListOptions): AsyncGenerator<string> {
  for await (const events of readLog(folderOf(options), since)) {
    const lines = events.filter((event) => isOf(event, kind)).map((event) => (json ? canonical(event) : line(event)))
    if (lines.length > 0) yield `${lines.join('\n')}\n`
  }
}

const isOf = (event: Event, kind: string | undefined): boolean =>
  kind === undefined || event.kind === kind || event.kind.startsWith(`${kind}.`)

function line({ seq, at, kind, actor, subject, data }: Event): string {
  const who = [actor.name, actor.role && `(${actor.role})`, actor.from].filter(Boolean).join(' ')
  return `${seq}  ${at}  ${kind}  ${who}  ${canonical(subject)}  ${canonical(data)}`
}

function number(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('not a number of an event.')
  return value
}

function collectHead(text: string, heads: Head[]): Head[] {
  const [, seq, hash] = /^(\d+):([0-9a-f]{64})$/.exec(text) ?? []
  if (seq === undefined || hash === undefined) throw new InvalidArgumentError('it must be SEQ:HASH.')
  return [...heads, { seq: number(seq), hash }]
}

function words({ intact, chains, anchors }: LogReport): string {
  const lines = chains.flatMap(chainWords)
  for (const { site, head, by, held } of anchors) {
    const who = by === 'you' ? 'you remember' : `site ${by} remembers`
    lines.push(
      `  ${held ? 'held' : 'MISSING'}: event ${head.seq} of ${site || 'this log'}, hash ${head.hash}, which ${who}`,
    )
  }
  lines.push(intact ? 'intact' : 'BROKEN')
  if (intact && anchors.length === 0) {
    lines.push('no head was remembered elsewhere: events missing at the very end would not be noticed (--head)')
  }
  return lines.join('\n')
}

function chainWords({ folder, site, segments, events, bytes, head, from, until, broken, setAside }: ChainReport) {
  const span = events > 0 ? `, ${from} to ${until}` : ''
  const lines = [
    `${folder}: ${events} events of site ${site ?? '(none)'} in ${segments} files, ${bytes} bytes${span}`,
    `  head ${head.seq}:${head.hash}`,
  ]
  if (broken)
    lines.push(`  ${broken.file}, line ${broken.line} (byte ${broken.offset}): ${broken.damage}: ${broken.why}`)
  if (setAside.length > 0) lines.push(`  set aside after crashes: ${setAside.join(', ')}`)
  return lines
}

/** On a terminal only, and never among the results. */
function progress(events: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${events} events\x1b[K\r`)
}

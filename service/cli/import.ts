import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { ImportStatus } from '../import/imports.ts'
import { EXIT, Failure } from './exit.ts'
import { ask, size, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

const POLL_MS = 500
const PAGE = 1000

/** Verbs about imports from old archives; a running node does the work, and goes on if the command is ended. */
export function addImportVerbs(program: Command, done: Done): void {
  const group = program.command('import').description('take over an old archive')
  addStart(group, done)
  addStatus(group, done)
  addReport(group, done)
}

function addStart(group: Command, done: Done): void {
  withNode(group.command('start'))
    .description('start an import, or go on with it, and follow it; exit status 1 when something is missing or differs')
    .argument('<name>', 'of an import in the configuration')
    .option('--dry-run', 'list what the source holds, and take nothing')
    .option('--verify <share>', 'share of instances that are read twice: all, or a number from 0 to 1')
    .option('--again', 'take studies that are done once more')
    .option('--detach', 'do not wait for its end')
    .action(async (name: string, options: StartOptions) => {
      const query = new URLSearchParams()
      if (options.dryRun) query.set('dryRun', 'true')
      if (options.again) query.set('again', 'true')
      if (options.verify !== undefined) query.set('verify', shareOf(options.verify))
      let status = (await ask(options, `${pathOf(name)}?${query}`, 'POST')) as ImportStatus
      while (!options.detach && status.state === 'running') {
        progress(`${status.totals.done} of ${status.totals.studies}${status.listed ? '' : ' or more'} studies`)
        await sleep(POLL_MS)
        status = (await ask(options, pathOf(name))) as ImportStatus
      }
      print(options.json, status, () => inWords(status))
      if (!options.detach) done(isClean(status) ? EXIT.yes : EXIT.no)
    })
  withNode(group.command('stop'))
    .description('stop an import; what was taken stays, and `firn import start` goes on')
    .argument('<name>')
    .action(async (name: string, options: WithNode) => {
      const status = (await ask(options, pathOf(name), 'DELETE')) as ImportStatus
      print(options.json, status, () => inWords(status))
    })
}

type StartOptions = WithNode & { dryRun?: boolean; verify?: string; again?: boolean; detach?: boolean }

function addStatus(group: Command, done: Done): void {
  withNode(group.command('status'))
    .description('how far an import is, or each one; exit status 1 when one does not go on')
    .argument('[name]')
    .action(async (name: string | undefined, options: WithNode) => {
      const found =
        name === undefined
          ? ((await ask(options, '/api/v1/imports')) as { imports: ImportStatus[] }).imports
          : [(await ask(options, pathOf(name))) as ImportStatus]
      print(options.json, name === undefined ? found : found[0], () =>
        found.length === 0 ? 'no import is configured' : found.map(inWords).join('\n'),
      )
      done(found.some(({ trouble }) => trouble !== null) ? EXIT.no : EXIT.yes)
    })
}

type ReportOptions = WithNode & { format: string; studies?: boolean }

function addReport(group: Command, done: Done): void {
  withNode(group.command('report'))
    .description('what is missing, differs or could not be read, a line each; exit status 1 when there is something')
    .argument('<name>')
    .option('--format <format>', 'jsonl or csv', 'jsonl')
    .option('--studies', 'a line for each study: what the source says it holds against what is here')
    .action(async (name: string, options: ReportOptions) => {
      if (options.format !== 'jsonl' && options.format !== 'csv') {
        throw new Failure(EXIT.usage, '--format is jsonl or csv')
      }
      const kind = options.studies ? 'studies' : 'findings'
      let lines = 0
      for await (const row of rows(options, `${pathOf(name)}/${kind}`, kind)) {
        if (options.format === 'csv' && lines === 0) console.log(Object.keys(row).map(csvField).join(','))
        console.log(options.format === 'csv' ? Object.values(row).map(csvField).join(',') : JSON.stringify(row))
        lines += 1
      }
      done(lines > 0 && !options.studies ? EXIT.no : EXIT.yes)
    })
}

/** All pages of a listing, one after the other. */
async function* rows(options: WithNode, path: string, kind: string): AsyncGenerator<Record<string, unknown>> {
  for (let after: number | null = 0; after !== null; ) {
    const page = (await ask(options, `${path}?after=${after}&limit=${PAGE}`)) as Record<string, unknown>
    yield* page[kind] as Record<string, unknown>[]
    after = page.next as number | null
  }
}

/** RFC 4180; a spreadsheet must not take what an old archive holds for a formula. */
function csvField(value: unknown): string {
  const text = String(value ?? '')
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const pathOf = (name: string): string => `/api/v1/imports/${encodeURIComponent(name)}`

function shareOf(text: string): string {
  const share = text === 'all' ? 1 : Number(text)
  if (share >= 0 && share <= 1) return String(share)
  throw new Failure(EXIT.usage, '--verify is all, or a number from 0 to 1')
}

function isClean({ state, totals }: ImportStatus): boolean {
  if (state === 'listed') return true
  return state === 'done' && totals.failed + totals.missing + totals.differing + totals.refused === 0
}

function inWords({ name, type, state, listed, totals, trouble, underway }: ImportStatus): string {
  const { studies, done, failed, listedInstances, listedBytes, expected, here, stored, duplicates, findings } = totals
  const lines = [
    `import ${name} (${type}): ${state}`,
    `  source: ${studies} studies, ${listedInstances} instances${listedBytes > 0 ? `, ${size(listedBytes)}` : ''}${listed ? '' : ' (not listed to its end)'}`,
    `  taken:  ${done} studies, ${failed} failed; of ${expected} instances ${here} are here (${stored} new, ${duplicates} were here), ${size(totals.bytes + underway.bytes)} read`,
    `  read twice: ${totals.verified} instances, ${totals.differing} differ`,
  ]
  if (findings > 0) lines.push(`  ${findings} findings: firn import report ${name}`)
  if (trouble !== null) lines.push(`  ${trouble}`)
  return lines.join('\n')
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\x1b[K`)
}

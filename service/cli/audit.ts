import { once } from 'node:events'
import { type Command, Option } from 'commander'
import type { AuditedEvent } from '../audit/ports.ts'
import { csvLine, htmlEnd, htmlRow, htmlStart } from './audit-formats.ts'
import { EXIT } from './exit.ts'
import { ask, type WithNode, withNode } from './node.ts'
import type { Done } from './options.ts'

type Filter = Pick<Options, 'study' | 'actor' | 'kind' | 'from' | 'to'>
interface Options extends WithNode {
  study?: string
  actor?: string
  kind?: string
  from?: string
  to?: string
  limit: number
  format: 'csv' | 'jsonl' | 'html'
}

interface Page {
  events: AuditedEvent[]
  next: string | null
}

const PAGE = 1000

/** Who did what with which study. Both ask a running node, as `/api/v1/audit` does, and are told of in the trail. */
export function addAuditVerbs(program: Command, done: Done): void {
  const audit = program.command('audit').description('who did what with which study')
  withFilter(withNode(audit.command('list')))
    .description('print the newest events')
    .option('--limit <n>', 'at most so many', Number, 50)
    .action(async (options: Options) => {
      const shown: AuditedEvent[] = []
      for await (const event of found(options, Math.min(options.limit, PAGE))) {
        shown.push(event)
        if (shown.length >= options.limit) break
      }
      console.log(options.json ? JSON.stringify(shown, null, 2) : shown.map(line).join('\n') || 'nothing is found')
      done(EXIT.yes)
    })
  withFilter(withNode(audit.command('export')))
    .description('print all events, the newest first, to standard output')
    .addOption(new Option('--format <format>', 'html: to be printed').choices(['csv', 'jsonl', 'html']).default('csv'))
    .action(async (options: Options) => {
      const { format } = options
      if (format === 'csv') await write(csvLine(undefined))
      if (format === 'html') await write(htmlStart(filterOf(options)))
      for await (const event of found(options, PAGE)) {
        if (format === 'jsonl') await write(`${JSON.stringify(event)}\n`)
        else await write(format === 'csv' ? csvLine(event) : htmlRow(event))
      }
      if (format === 'html') await write(htmlEnd())
      done(EXIT.yes)
    })
}

function withFilter(command: Command): Command {
  return command
    .option('--study <uid>', 'Study Instance UID')
    .option('--actor <name>', 'name of a token, or AE title')
    .option('--kind <kind>', 'such as access.read, or access for all of its family')
    .option('--from <time>', 'a date (midnight UTC), or a time with its zone')
    .option('--to <time>', 'before it')
}

function filterOf({ study, actor, kind, from, to }: Filter): Record<string, string> {
  const given = Object.entries({ study, actor, kind, from, to }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given) as Record<string, string>
}

async function* found(options: Options, limit: number): AsyncGenerator<AuditedEvent> {
  const query = new URLSearchParams({ ...filterOf(options), limit: String(limit) })
  for (;;) {
    const { events, next } = (await ask(options, `/api/v1/audit?${query}`)) as Page
    yield* events
    if (next === null) return
    query.set('cursor', next)
  }
}

/** At the pace of whoever reads. */
async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain')
}

function line({ at, kind, actor, subject, data, seq }: AuditedEvent): string {
  const who = [actor.name || '(nobody)', actor.role && `(${actor.role})`, actor.from].filter(Boolean).join(' ')
  return `${at}  ${kind}  ${who}  ${JSON.stringify(subject)}  ${JSON.stringify(data)}  event ${seq}`
}

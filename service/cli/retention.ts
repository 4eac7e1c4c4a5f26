import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Command, Option } from 'commander'
import { parse } from 'yaml'
import { EXIT, Failure } from './exit.ts'
import { ask, request, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

/** Whatever is as long as the archive. */
const STREAM_MS = 24 * 3_600_000

interface Expiring {
  studyUid: string
  patient: string
  retainUntil: string
  rule: string
}

interface Summary {
  studies: number
  same: number
  longer: number
  shorterIfAllowed: number
  becomeForever: number
  daysAdded: number
  byRule: Record<string, number>
  failed: number
}

/** They need the role `records` (or, for looking only, `admin`, which the command has on the node's own machine). */
export function addRetentionVerbs(program: Command, done: Done): void {
  const retention = program.command('retention').description('how long studies are kept, and why')
  withNode(retention.command('explain'))
    .description('why a study is kept, until when, and what forbids its destruction now')
    .argument('<study>', 'Study Instance UID')
    .addOption(new Option('--language <language>').choices(['en', 'de']).default('en'))
    .action(async (studyUid: string, options: WithNode & { language: string }) => {
      const path = `/api/v1/retention/studies/${encodeURIComponent(studyUid)}?language=${options.language}`
      const found = (await ask(options, path)) as { text: string[] }
      print(options.json, found, () => found.text.join('\n'))
      done(EXIT.yes)
    })
  withNode(retention.command('expiring'))
    .description('what expires in a period; a line of JSON each with --json')
    .requiredOption('--from <day>', 'YYYY-MM-DD')
    .requiredOption('--to <day>', 'YYYY-MM-DD, included')
    .action(async (options: WithNode & { from: string; to: string }) => {
      const { from, to, json } = options
      let after = ''
      do {
        const path = `/api/v1/retention/expiring?${new URLSearchParams({ from, to })}${after}`
        const { studies, next } = (await ask(options, path)) as { studies: Expiring[]; next: string | null }
        for (const one of studies) {
          console.log(json ? JSON.stringify(one) : `${one.retainUntil}  ${one.studyUid}  ${one.patient}  (${one.rule})`)
        }
        after = next === null ? '' : `&after=${encodeURIComponent(next)}`
      } while (after !== '')
      done(EXIT.yes)
    })
  withNode(retention.command('evaluate'))
    .description('evaluate everything that has changed, now; by itself the node does it every day')
    .action(async (options: WithNode) => {
      const report = (await ask(options, '/api/v1/retention/evaluate', 'POST')) as Record<string, number>
      print(
        options.json,
        report,
        () => `${report.studies} studies, ${report.decided} new decisions, ${report.failed} failed`,
      )
      done(report.failed === 0 ? EXIT.yes : EXIT.no)
    })
  withNode(retention.command('plan'))
    .description('what another policy would change, over the whole archive, before it is applied')
    .argument('<file>', 'YAML or JSON: the policy as it would stand under retention.volumes.default')
    .action(async (file: string, options: WithNode) => {
      const answer = await request(options, '/api/v1/retention/plan', 'POST', policyIn(file), STREAM_MS)
      const { policy, summary, done: complete } = await last(answer)
      if (!complete) throw new Failure(EXIT.failed, 'the node broke off; nothing was changed')
      print(options.json, { policy, ...summary }, () => planned(policy, summary))
      done(summary.failed === 0 ? EXIT.yes : EXIT.no)
    })
  withNode(retention.command('report'))
    .description('every study with its date and rule, on standard output')
    .addOption(new Option('--format <format>').choices(['csv', 'html']).default('csv'))
    .action(async (options: WithNode & { format: string }) => {
      const { body } = await request(
        options,
        `/api/v1/retention/report?format=${options.format}`,
        'GET',
        undefined,
        STREAM_MS,
      )
      if (body) await pipeline(Readable.fromWeb(body as never), process.stdout, { end: false })
      done(EXIT.yes)
    })
}

function policyIn(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Failure(EXIT.usage, `${file}: ${(error as Error).message}`)
  }
}

interface PlanLine {
  done: boolean
  policy: string
  summary: Summary
}

/** The last of the lines; those before say how far it is. */
async function last(answer: Response): Promise<PlanLine> {
  let rest = ''
  let line: PlanLine | undefined
  for await (const chunk of Readable.fromWeb(answer.body as never).setEncoding('utf8')) {
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop() ?? ''
    for (const one of lines) line = JSON.parse(one) as PlanLine
    if (process.stderr.isTTY && line) process.stderr.write(`\r${line.summary.studies} studies\x1b[K`)
  }
  if (!line) throw new Failure(EXIT.failed, 'the node answered nothing')
  return line
}

function planned(policy: string, summary: Summary): string {
  const { studies, same, longer, shorterIfAllowed, becomeForever, daysAdded, byRule, failed } = summary
  return [
    `policy ${policy}, ${studies} studies: nothing was changed`,
    `${same} keep their date, ${longer} get a later one (${becomeForever} for ever, the others ${daysAdded} days in all)`,
    `${shorterIfAllowed} would get an earlier one, and keep the date they have`,
    ...Object.entries(byRule).map(([rule, count]) => `  ${rule} decides ${count}`),
    ...(failed > 0 ? [`${failed} could not be evaluated`] : []),
  ].join('\n')
}

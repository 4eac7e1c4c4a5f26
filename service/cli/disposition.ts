import type { Command } from 'commander'
import { EXIT } from './exit.ts'
import { ask, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

interface Disposition {
  id: string
  state: string
  studyUid: string
  retainUntil: string
  rule: string
  instances: number
  reviewedBy: string | null
  approvedBy: string[]
  steps: { to: string; by: string; at: string; reason: string | null; blocks: string[] }[]
}

const of = (id: string, step = ''): string => `/api/v1/dispositions/${encodeURIComponent(id)}${step}`

/** Persons answer for each step, so each works with the token of a records officer, in FIRN_TOKEN. */
export function addDispositionVerbs(program: Command, done: Done): void {
  const disposition = program
    .command('disposition')
    .description('from an expired study to its certificate of destruction')
  withNode(disposition.command('list'))
    .description('list dispositions')
    .option('--state <state>', 'candidate, reviewed, approved, destroying, certified, rejected or aborted')
    .action(async (options: WithNode & { state?: string }) => {
      const found: Disposition[] = []
      let after = ''
      do {
        const state = options.state === undefined ? '' : `state=${encodeURIComponent(options.state)}&`
        const page = (await ask(options, `/api/v1/dispositions?${state}${after}`)) as {
          dispositions: Disposition[]
          next: string | null
        }
        found.push(...page.dispositions)
        after = page.next === null ? '' : `after=${encodeURIComponent(page.next)}`
      } while (after !== '')
      print(options.json, found, () => found.map(line).join('\n') || 'no dispositions')
      done(EXIT.yes)
    })
  withNode(disposition.command('show'))
    .description('one disposition with all its steps')
    .argument('<id>')
    .action(async (id: string, options: WithNode) => {
      const found = (await ask(options, of(id))) as Disposition
      print(options.json, found, () => [line(found), ...steps(found)].join('\n'))
      done(EXIT.yes)
    })
  withNode(disposition.command('nominate'))
    .description('list an expired study as a candidate; destroys nothing')
    .argument('<study>', 'Study Instance UID')
    .action(async (studyUid: string, options: WithNode) => {
      told(options, (await ask(options, '/api/v1/dispositions', 'POST', { studyUid })) as Disposition)
      done(EXIT.yes)
    })
  const step = (name: string, description: string, body: (reason: string) => object, path = `/${name}`) =>
    withNode(disposition.command(name))
      .description(description)
      .argument('<id>')
      .requiredOption('--reason <text>', 'why')
      .action(async (id: string, options: WithNode & { reason: string }) => {
        told(options, (await ask(options, of(id, path), 'POST', body(options.reason))) as Disposition)
        done(EXIT.yes)
      })
  step('review', 'let a candidate go', (reason) => ({ accepted: true, reason }))
  step('keep', 'keep a candidate', (reason) => ({ accepted: false, reason }), '/review')
  step('approve', 'approve what another records officer has reviewed', (reason) => ({ reason }))
  step('reject', 'stop it before it is carried out', (reason) => ({ reason }))
  withNode(disposition.command('destroy'))
    .description('destroy what was approved, after everything was looked at once more; CAN NOT BE UNDONE')
    .argument('<id>')
    .requiredOption('--yes', 'that is what you want')
    .action(async (id: string, options: WithNode) => {
      const now = (await ask(options, of(id, '/destroy'), 'POST')) as Disposition
      told(options, now)
      done(now.state === 'certified' ? EXIT.yes : EXIT.no)
    })
  withNode(disposition.command('certificate'))
    .description('the certificate of destruction, as JSON')
    .argument('<id>')
    .action(async (id: string, options: WithNode) => {
      console.log(JSON.stringify(await ask(options, of(id, '/certificate')), null, 2))
      done(EXIT.yes)
    })
}

function told(options: WithNode, disposition: Disposition): void {
  print(options.json, disposition, () => [line(disposition), ...steps(disposition).slice(-1)].join('\n'))
}

function line({ id, state, studyUid, retainUntil, rule, instances, reviewedBy, approvedBy }: Disposition): string {
  const persons = [reviewedBy, ...approvedBy].filter((name) => name !== null).join(', ')
  const agreed = persons === '' ? '' : `, agreed to by ${persons}`
  return `${id}  ${state}  ${studyUid}  ${instances} instances, kept until ${retainUntil} (${rule})${agreed}`
}

const steps = ({ steps: all }: Disposition): string[] =>
  all.map(({ to, by, at, reason, blocks }) => {
    const why = [reason, blocks.length > 0 ? blocks.join(', ') : null].filter((text) => text !== null).join('; ')
    return `  ${at}  ${to} by ${by}${why === '' ? '' : `: ${why}`}`
  })

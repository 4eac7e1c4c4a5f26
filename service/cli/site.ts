import type { Command } from 'commander'
import { EXIT } from './exit.ts'
import { ask, size, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

interface Status {
  site: string
  name: string
  state: string
  why: string
  peer: { site: string | null; name: string | null; head: { seq: number } | null }
  confirmedHead: { seq: number } | null
  owed: number
  resync: { sent: number; sentBytes: number; refused: number; refusal: string | null }
  lastComparison: { compared: number; onlyHere: number; onlyThere: number; equal: boolean } | null
}

interface Removal {
  site: string
  removed: boolean
  next: string
}

export function addSiteVerbs(program: Command, done: Done): void {
  const site = program.command('site').description('the other one of two equal sites')
  withNode(site.command('status'))
    .description('whether the other site is there and equal; exit status 1 unless both were proved equal')
    .action(async (options: WithNode) => {
      const status = (await ask(options, '/api/v1/site')) as Status
      print(options.json, status, () => table(status))
      done(status.state === 'in-sync' ? EXIT.yes : EXIT.no)
    })
  withNode(site.command('compare'))
    .description('compare all copies of both sites anew, and send what is missing; see `firn site status`')
    .action(async (options: WithNode) => {
      const started = await ask(options, '/api/v1/site/comparison', 'POST')
      print(options.json, started, () => 'comparing; `firn site status` shows what comes of it')
      done(EXIT.yes)
    })
  withNode(site.command('remove'))
    .description(
      "ask that the other site's storage, lost for good, be removed from the pair; it is never admitted again",
    )
    .requiredOption('--reason <text>', 'kept in the event log')
    .option('--dry-run', 'say what would be removed, and what is owed to it')
    .action(async (options: WithNode & { reason: string; dryRun?: boolean }) => {
      if (options.dryRun) {
        const status = (await ask(options, '/api/v1/site')) as Status
        print(options.json, status, () => wouldRemove(status))
        return
      }
      await removal(options, `/api/v1/site/removal?reason=${encodeURIComponent(options.reason)}`)
      done(EXIT.yes)
    })
  withNode(site.command('approve'))
    .description('the second person approves a removal, with a token of their own (FIRN_TOKEN)')
    .action(async (options: WithNode) => {
      await removal(options, '/api/v1/site/removal/approval')
      done(EXIT.yes)
    })
}

async function removal(options: WithNode, path: string): Promise<void> {
  const answer = (await ask(options, path, 'POST')) as Removal
  print(options.json, answer, () => `${answer.removed ? `removed ${answer.site}; ` : ''}${answer.next}`)
}

function wouldRemove({ peer, owed, state, why }: Status): string {
  return [
    `would remove ${peer.name ?? 'the other site'} (${peer.site ?? 'none is paired'}), which is ${state}: ${why}`,
    `${owed} instances are owed to it; what only it has would be lost`,
  ].join('\n')
}

function table({ site, name, state, why, peer, owed, resync, lastComparison, confirmedHead }: Status): string {
  const rows: [string, string][] = [
    ['this site', `${name} (${site})`],
    ['other site', peer.site === null ? 'none is paired yet' : `${peer.name} (${peer.site})`],
    ['state', why === '' ? state : `${state}: ${why}`],
    ['owed to it', `${owed} instances`],
    ['sent', `${resync.sent} instances, ${size(resync.sentBytes)} in the last resync`],
    ['its events', `kept here up to ${peer.head?.seq ?? 0}; it has ours up to ${confirmedHead?.seq ?? 0}`],
  ]
  if (resync.refusal !== null) rows.push(['refused', `${resync.refused}, the last one because: ${resync.refusal}`])
  if (lastComparison) {
    const { compared, onlyHere, onlyThere, equal } = lastComparison
    rows.push(['compared', `${compared} copies: ${equal ? 'equal' : `${onlyHere} only here, ${onlyThere} only there`}`])
  }
  return rows.map(([key, text]) => `${key.padEnd(12)}${text}`).join('\n')
}

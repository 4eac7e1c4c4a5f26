import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { DrainReport } from '../lifecycle/drain.ts'
import type { ScrubReport } from '../lifecycle/scrub.ts'
import { EXIT } from './exit.ts'
import { ask, size, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

const POLL_MS = 500

/** Verbs about stores and the packs in them; a running node does the work, and goes on if the command is ended. */
export function addStoreVerbs(program: Command, done: Done): void {
  withNode(program.command('drain'))
    .description('move all packs off a store; exit status 1 when some had to stay. The node goes on if this is ended')
    .argument('<store>', 'id of the store')
    .option('--dry-run', 'say what would be moved, and where there is room')
    .option('--report', 'print what was moved, a line of JSON for each pack, with its digest')
    .option('--cancel', 'stop; what was moved stays where it is')
    .action(async (store: string, options: WithNode & { dryRun?: boolean; cancel?: boolean; report?: boolean }) => {
      const path = `/api/v1/stores/${encodeURIComponent(store)}/drain`
      if (options.report) return printMoved(options, path)
      if (options.cancel) {
        await ask(options, path, 'DELETE')
        print(options.json, {}, () => `store ${store} is no longer emptied`)
        return
      }
      const plan = (await ask(options, `${path}/plan`)) as {
        packs: number
        bytes: number
        bytesFreeElsewhere: number | null
      }
      const room = plan.bytesFreeElsewhere === null ? 'unknown room' : `${size(plan.bytesFreeElsewhere)} free`
      const what = `${plan.packs} packs, ${size(plan.bytes)}; ${room} in the other stores`
      if (options.dryRun) return print(options.json, plan, () => `would move ${what}`)
      progress(`moving ${what}`)
      await ask(options, path, 'POST')
      const report = await followed<DrainReport>(
        options,
        path,
        ({ moved, packs }) => `${moved} of ${packs} packs moved`,
      )
      print(options.json, report, () => drained(report))
      done(report.state === 'done' && report.stayed === 0 ? EXIT.yes : EXIT.no)
    })
  withNode(program.command('scrub'))
    .description(
      'read every copy of every pack again and make good what is damaged; exit status 1 when something could not be',
    )
    .requiredOption('--now', 'now; by itself the node does it within scrub.periodDays')
    .action(async (options: WithNode) => {
      await ask(options, '/api/v1/scrub', 'POST')
      const report = await followed<ScrubReport>(options, '/api/v1/scrub', ({ intact }) => `${intact} copies intact`)
      print(options.json, report, () => scrubbed(report))
      done(report.state === 'done' && report.lost + report.unreadable === 0 ? EXIT.yes : EXIT.no)
    })
}

async function printMoved(options: WithNode, path: string): Promise<void> {
  for (let after: number | null = 0; after !== null; ) {
    const page = (await ask(options, `${path}/packs?after=${after}`)) as { packs: object[]; next: number | null }
    for (const pack of page.packs) console.log(JSON.stringify(pack))
    after = page.next
  }
}

async function followed<Report extends { state: string }>(
  options: WithNode,
  path: string,
  say: (report: Report) => string,
): Promise<Report> {
  for (;;) {
    const report = (await ask(options, path)) as Report
    progress(say(report))
    if (report.state !== 'running') return report
    await sleep(POLL_MS)
  }
}

function drained({ store, state, moved, movedBytes, stayed, reasons, unknown }: DrainReport): string {
  const lines = [
    `store ${store}: ${moved} packs moved, ${size(movedBytes)}${state === 'stopped' ? '; not to its end' : ''}`,
  ]
  if (stayed > 0) lines.push(`${stayed} packs stay:`)
  if (moved > 0) lines.push(`what was moved, with digests: firn drain ${store} --report`)
  if (unknown > 0) lines.push(`${unknown} objects in it are not known to the catalogue; they stay`)
  return [...lines, ...reasons].join('\n')
}

function scrubbed({ intact, bytes, repaired, added, lost, relocked, unreadable, findings }: ScrubReport): string {
  const summary = `${intact} copies intact (${size(bytes)}), ${repaired} made good, ${added} copies added, ${lost} lost, ${relocked} locked again, ${unreadable} unreadable`
  return [summary, ...findings].join('\n')
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\x1b[K`)
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { ReconcileFinding, ReconcileReport } from '../lifecycle/reconcile.ts'
import { EXIT } from './exit.ts'
import { ask, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

const POLL_MS = 300
const PAGE = 1000
const PATH = '/api/v1/reconcile'

/** `firn reconcile`: a running node does the work. */
export function addReconcileVerb(program: Command, done: Done): void {
  withNode(program.command('reconcile'))
    .description(
      'compare every store with the catalogue and explain each difference; exit status 1 when there is one that nothing was done about',
    )
    .option('--apply', 'count copies that are whole and were not known, have missing ones made anew; frees nothing')
    .action(async (options: WithNode & { apply?: boolean }) => {
      let report = (await ask(options, `${PATH}?apply=${options.apply === true}`, 'POST')) as ReconcileReport
      while (report.state === 'running') {
        await sleep(POLL_MS)
        report = (await ask(options, PATH)) as ReconcileReport
        if (process.stderr.isTTY) process.stderr.write(`\r${report.objects} objects, ${report.packs} packs\x1b[K`)
      }
      if (options.json) {
        for await (const finding of findings(options)) console.log(JSON.stringify(finding))
        console.log(JSON.stringify(report))
      } else {
        for await (const { kind, store, key, why, done } of findings(options)) {
          console.log([kind, store, key].filter((text) => text !== '').join('  '))
          console.log(`    ${why}${done === '' ? '' : `; ${done}`}`)
        }
        print(false, report, () => inWords(report))
      }
      done(isClean(report) ? EXIT.yes : EXIT.no)
    })
}

async function* findings(options: WithNode): AsyncGenerator<ReconcileFinding> {
  for (let after: number | null = 0; after !== null; ) {
    const page = (await ask(options, `${PATH}/findings?after=${after}&limit=${PAGE}`)) as {
      findings: ReconcileFinding[]
      next: number | null
    }
    yield* page.findings
    after = page.next
  }
}

function isClean({ state, findings, applied }: ReconcileReport): boolean {
  const { young, ...rest } = findings
  const all = Object.values(rest).reduce((sum, count) => sum + count, 0)
  return state === 'done' && all === applied
}

function inWords({ state, objects, packs, copies, findings, applied, trouble }: ReconcileReport): string {
  const found = Object.entries(findings)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`)
  const ended = state === 'done' ? '' : `; broken off${trouble ? `: ${trouble}` : ''}`
  return `${objects} objects, ${packs} packs, ${copies} copies compared: ${found.join(', ') || 'everything fits'}${applied > 0 ? `; ${applied} made good` : ''}${ended}`
}

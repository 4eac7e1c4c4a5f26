import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Pin } from '../catalogue/tier-ports.ts'
import type { Capacity } from '../lifecycle/tiers/capacity.ts'
import type { MovePlan, MoveReport } from '../lifecycle/tiers/mover.ts'
import { storeTable } from './capacity-tables.ts'
import { EXIT, Failure } from './exit.ts'
import { ask, size, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

const POLL_MS = 500

/** Verbs about tiers: stores that come and go, what moves between them, studies that don't. */
export function addTierVerbs(program: Command, done: Done): void {
  addStore(program)
  addMove(program, done)
  addPin(program)
}

interface StoreOptions extends WithNode {
  folder?: string
  bucket?: string
  tier?: string
  weight?: string
  settings?: string
}

function addStore(program: Command): void {
  const store = program.command('store').description('stores that are added and removed while the node runs')
  withNode(store.command('list'))
    .description('the stores, their tiers and their room')
    .action(async (options: WithNode) => {
      const answer = (await ask(options, '/api/v1/stores')) as Pick<Capacity, 'stores'>
      print(options.json, answer, () => storeTable(answer.stores))
    })
  withNode(store.command('add'))
    .description('use a further folder or bucket from now on, after a restart too')
    .argument('<store>', 'its id: 1 to 32 small letters, digits and hyphens')
    .option('--folder <path>', 'a folder, relative to the data folder of the node')
    .option('--bucket <name>', 'an S3 bucket')
    .option('--tier <class>', 'online, nearline or cold; default online')
    .option('--weight <number>', 'how much of the new packs it gets beside others; default 1')
    .option('--settings <json>', 'further settings, as in `stores` of the configuration')
    .action(async (id: string, options: StoreOptions) => {
      const added = await ask(options, '/api/v1/stores', 'POST', storeOf(id, options))
      print(options.json, added, () => storeTable([added as Capacity['stores'][number]]))
    })
  withNode(store.command('remove'))
    .description('no longer use a store that was added so, was drained and is empty')
    .argument('<store>', 'its id')
    .action(async (id: string, options: WithNode) => {
      await ask(options, `/api/v1/stores/${encodeURIComponent(id)}`, 'DELETE')
      print(options.json, {}, () => `store ${id} is no longer used`)
    })
}

function storeOf(id: string, { folder, bucket, tier, weight, settings }: StoreOptions): object {
  if ((folder === undefined) === (bucket === undefined)) {
    throw new Failure(EXIT.usage, 'give either --folder or --bucket')
  }
  let further: unknown
  try {
    further = JSON.parse(settings ?? '{}')
  } catch (error) {
    throw new Failure(EXIT.usage, `--settings is no JSON: ${(error as Error).message}`)
  }
  return {
    ...(further as object),
    id,
    ...(folder === undefined ? { type: 's3', bucket } : { type: 'file', folder }),
    ...(tier === undefined ? {} : { tier }),
    ...(weight === undefined ? {} : { weight: Number(weight) }),
  }
}

function addMove(program: Command, done: Done): void {
  const move = program.command('move').description('what the rules of `moves` do')
  withNode(move.command('plan'))
    .description('what would move to another tier now; nothing is moved')
    .action(async (options: WithNode) => {
      const plan = (await ask(options, '/api/v1/moves/plan')) as MovePlan
      print(options.json, plan, () => planned(plan))
    })
  withNode(move.command('now'))
    .description('move it, now; exit status 1 when some could not be moved. The node goes on if this is ended')
    .action(async (options: WithNode) => {
      let report = (await ask(options, '/api/v1/moves', 'POST')) as MoveReport
      while (report.state === 'running') {
        await sleep(POLL_MS)
        report = (await ask(options, '/api/v1/moves')) as MoveReport
      }
      print(options.json, report, () => moved(report))
      done(report.state === 'done' && report.stayed === 0 ? EXIT.yes : EXIT.no)
    })
}

function planned({ packs, bytes, more, routes, moves }: MovePlan): string {
  if (packs === 0) return 'nothing has to move'
  const lines = routes.map((route) => `${route.from} to ${route.to}: ${route.packs} packs, ${size(route.bytes)}`)
  const named = moves.map(({ key, sizeBytes, from, to }) => `  ${from} to ${to}: ${key}, ${size(sizeBytes)}`)
  const rest = packs > moves.length ? [`  and ${packs - moves.length} more`] : []
  const beyond = more ? ['there is more than a plan counts'] : []
  return [`${packs} packs, ${size(bytes)}`, ...lines, ...named, ...rest, ...beyond].join('\n')
}

function moved({ looked, moved: packs, movedBytes, stayed, reasons, state }: MoveReport): string {
  const summary = `${looked} packs looked at, ${packs} moved (${size(movedBytes)}), ${stayed} stayed`
  return [state === 'stopped' ? `${summary}; not to its end` : summary, ...reasons].join('\n')
}

function addPin(program: Command): void {
  withNode(program.command('pin'))
    .description('keep a study in the fastest tier, or bring it back there; without a study: list those')
    .argument('[study]', 'Study Instance UID')
    .option('--reason <text>', 'why')
    .action(async (study: string | undefined, options: WithNode & { reason?: string }) => {
      if (study === undefined) {
        const answer = (await ask(options, '/api/v1/pins')) as { pins: Pin[] }
        const lines = answer.pins.map(({ studyUid, reason, by, at }) => `${studyUid}  ${at}  ${by}  ${reason}`)
        return print(options.json, answer, () => lines.join('\n') || 'no study is pinned')
      }
      if (options.reason === undefined) throw new Failure(EXIT.usage, 'give a --reason')
      const pin = await ask(options, pinPath(study), 'POST', { reason: options.reason })
      print(options.json, pin, () => `study ${study} stays in the fastest tier`)
    })
  withNode(program.command('unpin'))
    .description('let the rules move a study again')
    .argument('<study>', 'Study Instance UID')
    .action(async (study: string, options: WithNode) => {
      await ask(options, pinPath(study), 'DELETE')
      print(options.json, {}, () => `study ${study} is no longer pinned`)
    })
}

const pinPath = (study: string): string => `/api/v1/studies/${encodeURIComponent(study)}/pin`

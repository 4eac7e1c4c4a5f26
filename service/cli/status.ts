import type { Command } from 'commander'
import type { Capacity } from '../lifecycle/tiers/capacity.ts'
import { capacityTables } from './capacity-tables.ts'
import { EXIT } from './exit.ts'
import { ask, size, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

interface Status {
  version: string
  startedAt: string
  ready: boolean
  degraded: string[]
  catalogue: { dialect: string; studies: number; series: number; instances: number; conflicts: number; bytes: number }
  landing: { bytesFree: number; bytesTotal: number; reserveBytes: number }
}

interface WormRow {
  store: string
  asked: string
  enforced: string
  immutableFiles: boolean
}

interface Sealed {
  packs: { key: string; stores: string[]; instances: number; sizeBytes: number }[]
  leftOut: string[]
}

export function addStatusVerbs(program: Command, done: Done): void {
  withNode(program.command('status'))
    .description('how the node is and what it holds; exit status 1 when it cannot do all its work')
    .action(async (options: WithNode) => {
      const status = (await ask(options, '/api/v1/status')) as Status
      const capacity = (await ask(options, '/api/v1/capacity')) as Capacity
      const { stores: worm } = (await ask(options, '/api/v1/worm')) as { stores: WormRow[] }
      print(
        options.json,
        { ...status, ...capacity, worm },
        () => `${table(status, worm)}\n\n${capacityTables(capacity)}`,
      )
      done(status.ready && status.degraded.length === 0 ? EXIT.yes : EXIT.no)
    })
  addSeal(program, done)
}

function addSeal(program: Command, done: Done): void {
  withNode(program.command('seal'))
    .description('seal what is in no pack of a study, now; exit status 1 when damaged instances had to be left out')
    .argument('<study>', 'Study Instance UID')
    .action(async (study: string, options: WithNode) => {
      const sealed = (await ask(options, `/api/v1/studies/${encodeURIComponent(study)}/seal`, 'POST')) as Sealed
      print(options.json, sealed, () => {
        const lines = sealed.packs.map(
          ({ key, stores, instances, sizeBytes }) =>
            `${key}: ${instances} instances, ${size(sizeBytes)}, in ${stores.join(', ')}`,
        )
        const left = sealed.leftOut.map((digest) => `damaged, stays in the landing: SHA-256 ${digest}`)
        return [...lines, ...left].join('\n') || 'nothing of this study waits to be sealed'
      })
      done(sealed.leftOut.length === 0 ? EXIT.yes : EXIT.no)
    })
}

function table({ version, startedAt, degraded, catalogue, landing }: Status, worm: readonly WormRow[]): string {
  const share = Math.round((100 * landing.bytesFree) / Math.max(1, landing.bytesTotal))
  const rows: [string, string][] = [
    ['node', `${degraded.length === 0 ? 'ready' : degraded.join('; ')}, version ${version}, since ${startedAt}`],
    ['holds', `${catalogue.studies} studies, ${catalogue.series} series, ${catalogue.instances} instances`],
    ['bytes', size(catalogue.bytes)],
    ['conflicts', `${catalogue.conflicts} copies with other bytes under the same UID`],
    ['catalogue', catalogue.dialect],
    ['landing', `${size(landing.bytesFree)} free (${share} %), ${size(landing.reserveBytes)} of it in reserve`],
  ]
  for (const row of worm) {
    const words = lockWords(row)
    if (words !== '') rows.push([`store ${row.store}`, words])
  }
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  return rows.map(([name, text]) => `${name.padEnd(width)}${text}`).join('\n')
}

function lockWords(row: WormRow | undefined): string {
  if (row?.immutableFiles) return 'files marked immutable (not write-once)'
  if (!row || row.asked === 'none') return ''
  return row.enforced === row.asked ? `locked: ${row.asked}` : `NOT locked: ${row.asked} was asked for`
}

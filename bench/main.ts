/** `npm run bench`: Firn beside the raw limit of this machine and beside Orthanc, interleaved in one run. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir, totalmem } from 'node:os'
import path from 'node:path'
import type { Bench } from './bench.ts'
import { measureHuge } from './huge.ts'
import { measureImages } from './images.ts'
import { type BenchOptions, type Part, parseOptions, usage } from './options.ts'
import { measureQueries } from './queries.ts'
import { asJson, Results, table } from './results.ts'
import { killAll, peerInstalled, type ServerName, storescuInstalled } from './servers.ts'

const measurements: Record<Part, (bench: Bench) => Promise<void>> = {
  ct: (bench) => measureImages('ct', bench),
  mr: (bench) => measureImages('mr', bench),
  dx: (bench) => measureImages('dx', bench),
  huge: measureHuge,
  qido: measureQueries,
}

function machine(): Record<string, unknown> {
  const revision = () => execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  return {
    date: new Date().toISOString(),
    cpu: `${cpus().length} x ${cpus()[0]?.model}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `Linux ${release()}`,
    node: process.version,
    loadBefore: readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' '),
    revision: revision(),
  }
}

async function run(options: BenchOptions): Promise<number> {
  const parent = options.folder ?? tmpdir()
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(path.join(parent, 'firn-bench-'))
  const started = Date.now()
  const elapsedSeconds = () => (Date.now() - started) / 1000
  const subjects: ServerName[] = []
  if (!options.withoutFirn) subjects.push('firn')
  if (!options.withoutPeer && peerInstalled()) subjects.push('orthanc')
  const bench: Bench = {
    options,
    results: new Results(),
    folder,
    subjects,
    storescu: storescuInstalled(),
    elapsedSeconds,
    say: (text) => console.log(`[${elapsedSeconds().toFixed(0).padStart(4)} s] ${text}`),
  }
  const where = machine()
  console.log(
    Object.entries(where)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  )
  if (!subjects.includes('orthanc')) bench.results.note('Orthanc is left out or not installed (test/peers/orthanc.sh)')
  if (!bench.storescu) bench.results.note('C-STORE is left out: storescu is not installed (test/peers/dcmtk.sh)')
  const cleanUp = () => {
    killAll()
    rmSync(folder, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      cleanUp()
      process.exit(130)
    })
  }
  let failures = 0
  try {
    for (const part of options.only) {
      try {
        await measurements[part](bench)
      } catch (error) {
        failures++
        bench.results.note(`${part} was not finished: ${error instanceof Error ? error.message : error}`)
      }
    }
  } finally {
    cleanUp()
  }
  console.log(`\n${table(bench.results)}\n`)
  for (const note of bench.results.notes) console.log(`note: ${note}`)
  bench.say('done')
  if (options.jsonFile) writeFileSync(options.jsonFile, asJson(bench.results, where))
  return failures === 0 ? 0 : 1
}

try {
  process.exitCode = await run(parseOptions(process.argv.slice(2)))
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}\n${usage}`)
  process.exitCode = 2
}

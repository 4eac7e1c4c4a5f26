/** QIDO-RS on a catalogue of 50,000 studies. */
import path from 'node:path'
import { familyName, metadataStudies, metadataStudy } from '../test/fixtures/workloads.ts'
import type { Bench } from './bench.ts'
import type { FigureId } from './figures.ts'
import { runJob } from './load.ts'
import { type RunningServer, startServer } from './servers.ts'
import { median } from './stats.ts'

const loadSecondsMax = 180
const querySecondsMax = 15

export async function measureQueries(bench: Bench): Promise<void> {
  const wanted = bench.options.short ? metadataStudies / 10 : metadataStudies
  const servers: RunningServer[] = []
  try {
    let loaded = wanted
    for (const name of bench.subjects) {
      const server = await startServer(name, path.join(bench.folder, `server-${name}`), { sync: false })
      servers.push(server)
      loaded = Math.min(loaded, await load(bench, server, wanted))
    }
    // Everybody has at least the first `loaded` studies, and is asked only for those.
    const counts = new Map<string, Map<FigureId, number>>()
    for (const server of servers) {
      server.resetPeak()
      counts.set(server.name, await ask(bench, server, loaded))
      bench.results.addMemory('QIDO', server.name, server.peakBytes())
    }
    if (loaded === wanted) compare(bench, counts)
  } finally {
    for (const server of servers) await server.stop()
  }
}

async function load(bench: Bench, server: RunningServer, to: number): Promise<number> {
  const { dicomWeb } = server
  bench.say(`qido: ${server.name} takes ${to} studies`)
  const job = { kind: 'stow-metadata', dicomWeb, from: 0, to, perRequest: 100, secondsMax: loadSecondsMax } as const
  server.resetPeak()
  const { count, seconds } = await runJob(job)
  bench.results.addMemory('tiny studies over STOW', server.name, server.peakBytes())
  const outOf = count < to ? ` of ${to}, for want of time,` : ''
  bench.results.note(`${server.name} took ${count}${outOf} tiny studies at ${(count / seconds).toFixed(0)}/s`)
  return count
}

/** Another value in each request, so that nobody answers from a cache of answers. */
async function ask(bench: Bench, server: RunningServer, studies: number): Promise<Map<FigureId, number>> {
  const counts = new Map<FigureId, number>()
  const repetitions = bench.options.short ? 10 : 25
  // Steps of a large prime walk all over the studies.
  const picks = Array.from({ length: repetitions }, (_, i) => (i * 7919 + 17) % studies)
  for (const [id, query] of Object.entries(queries) as [FigureId, (pick: number) => string][]) {
    const urls = picks.map((pick) => `${server.dicomWeb}/studies?${query(pick)}`)
    const job = {
      kind: 'get',
      urls,
      accept: 'application/dicom+json',
      clients: 1,
      secondsMax: querySecondsMax,
    } as const
    const { latenciesMs, matches } = await runJob(job)
    bench.results.add(id, server.name, median(latenciesMs))
    if (latenciesMs.length === repetitions) counts.set(id, matches)
  }
  return counts
}

const dateOf = (study: number) => metadataStudy(study).studyDate ?? ''

const queries = {
  'qido.exact': (pick) => `PatientID=${metadataStudy(pick).patientId}`,
  'qido.prefix': (pick) => `PatientName=${familyName(pick).slice(0, 3)}*`,
  'qido.infix': (pick) => `PatientName=*${familyName(pick).slice(1, 3)}*`,
  'qido.infixLimit': (pick) => `PatientName=*${familyName(pick).slice(1, 3)}*&limit=100`,
  'qido.week': (pick) => {
    const month = dateOf(pick).slice(0, 6)
    return `StudyDate=${month}08-${month}14`
  },
  'qido.yearLimit': (pick) => {
    const year = dateOf(pick).slice(0, 4)
    return `StudyDate=${year}0101-${year}1231&limit=100`
  },
} as const satisfies Partial<Record<FigureId, (pick: number) => string>>

function compare(bench: Bench, counts: ReadonlyMap<string, ReadonlyMap<FigureId, number>>): void {
  const [firn, orthanc] = [counts.get('firn'), counts.get('orthanc')]
  if (firn === undefined || orthanc === undefined) return
  for (const [id, count] of firn) {
    const other = orthanc.get(id)
    if (other !== undefined && other !== count) bench.results.note(`${id}: Firn found ${count}, Orthanc ${other}`)
  }
}

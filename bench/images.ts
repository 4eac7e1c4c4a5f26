/** CT, MR and DX: receive by STOW and C-STORE, serve by WADO-RS, describe by metadata. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { Bench } from './bench.ts'
import { type FileSet, type ImageKind, sizeOf, writeFileSet } from './file-sets.ts'
import { runJob } from './load.ts'
import { type RunningServer, type ServerName, type StartOptions, startServer } from './servers.ts'
import { median, percentile } from './stats.ts'
import { storescu } from './storescu.ts'

const rawConcurrencies = [1, 4, 8, 16]
const rawFilesMax = 500
/** After this, on a slow or busy machine, one repetition has to do: the whole run is to end within 25 minutes. */
const repeatUntilSeconds = 13 * 60

interface Sets {
  main: FileSet
  /** Sent before the measurement, so that nobody is measured while it compiles or fills its caches: an archive runs for months. */
  warm: FileSet
  lone: FileSet
}

export async function measureImages(kind: ImageKind, bench: Bench): Promise<void> {
  const { options, folder } = bench
  const home = path.join(folder, kind)
  const write = (name: string, size: { studies: number; instances: number }) =>
    writeFileSet(kind, path.join(home, name), name, size)
  const sets: Sets = {
    main: write('main', sizeOf(kind, options.short)),
    warm: write('warm', kind === 'dx' ? { studies: 4, instances: 1 } : { studies: 4, instances: 60 }),
    lone: write('lone', kind === 'dx' ? { studies: 0, instances: 0 } : { studies: 4, instances: 25 }),
  }
  const repetitions = options.short ? 1 : 3
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    if (repetition > 1 && bench.elapsedSeconds() > repeatUntilSeconds) {
      bench.results.note(`${kind} was measured ${repetition - 1} times only, for want of time`)
      break
    }
    bench.say(`${kind} ${repetition}/${repetitions}`)
    await measureRaw(kind, bench, sets.main)
    for (const name of bench.subjects) await measureWeb(kind, bench, name, sets, repetition === 1)
    if (!bench.storescu) continue
    for (const associations of [1, 4] as const) {
      for (const name of bench.subjects) await measureStore(kind, bench, name, sets, associations)
    }
    if (repetition > 1) continue
    for (const name of bench.subjects) await measureStoreDefault(kind, bench, name, sets)
  }
  rmSync(home, { recursive: true })
}

/** The best of several concurrencies is the limit of this repetition. */
async function measureRaw(kind: ImageKind, bench: Bench, { files }: FileSet): Promise<void> {
  const rates: number[] = []
  for (const concurrency of rawConcurrencies) {
    const folder = path.join(bench.folder, 'raw')
    mkdirSync(folder, { recursive: true })
    settle()
    const { count, seconds } = await runJob({ kind: 'raw', files: files.slice(0, rawFilesMax), folder, concurrency })
    rates.push(count / seconds)
    rmSync(folder, { recursive: true })
  }
  bench.results.add(`${kind}.stow`, 'raw', Math.max(...rates))
}

async function withServer(
  bench: Bench,
  name: ServerName,
  warm: FileSet,
  workload: string,
  act: (server: RunningServer) => Promise<void>,
  options: StartOptions = {},
): Promise<void> {
  const server = await startServer(name, path.join(bench.folder, `server-${name}`), options)
  try {
    await runJob({ kind: 'stow', dicomWeb: server.dicomWeb, files: warm.files, clients: 2, perRequest: 5 })
    if (bench.storescu) await storescu(server, [warm.folders.slice(0, 1)], { tuned: true })
    settle()
    server.resetPeak()
    await act(server)
    bench.results.addMemory(workload, name, server.peakBytes())
  } finally {
    await server.stop()
  }
}

/** What was written before is on the disk and doesn't disturb what follows. */
function settle(): void {
  spawnSync('sync')
}

async function measureWeb(kind: ImageKind, bench: Bench, name: ServerName, sets: Sets, lone: boolean): Promise<void> {
  await withServer(bench, name, sets.warm, `${kind} over DICOMweb`, async (server) => {
    const { dicomWeb } = server
    const { main } = sets
    const stow = await runJob({ kind: 'stow', dicomWeb, files: main.files, clients: 4, perRequest: 10 })
    bench.results.add(`${kind}.stow`, name, stow.count / stow.seconds)
    await expectStored(server, sets.warm, main)
    for (const clients of [1, 4] as const) {
      const urls = main.studyUids.map((uid) => `${dicomWeb}/studies/${uid}`)
      const accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
      const got = await runJob({ kind: 'get', urls, accept, clients, secondsMax: 60 })
      bench.results.add(`${kind}.wado${clients}`, name, got.bytes / 1e6 / got.seconds)
      if (got.bytes < main.bytes) bench.results.note(`${name} returned fewer bytes of ${kind} than were sent`)
    }
    if (kind === 'dx') return
    await measureMetadata(kind, bench, server, main)
    if (lone) await measureLone(kind, bench, server, sets.lone)
  })
}

async function measureMetadata(kind: 'ct' | 'mr', bench: Bench, server: RunningServer, set: FileSet): Promise<void> {
  const urls = set.studyUids.slice(0, 4).map((uid) => `${server.dicomWeb}/studies/${uid}/metadata`)
  const job = { kind: 'get', accept: 'application/dicom+json', clients: 1, secondsMax: 30 } as const
  const first = await runJob({ ...job, urls })
  const again = await runJob({ ...job, urls: Array.from({ length: 5 }, () => urls).flat() })
  bench.results.add(`${kind}.metadataFirst`, server.name, median(first.latenciesMs))
  bench.results.add(`${kind}.metadata`, server.name, median(again.latenciesMs))
}

async function measureLone(kind: 'ct' | 'mr', bench: Bench, server: RunningServer, set: FileSet): Promise<void> {
  const job = { kind: 'stow', dicomWeb: server.dicomWeb, files: set.files, clients: 1, perRequest: 1 } as const
  const { latenciesMs } = await runJob(job)
  bench.results.add(`${kind}.lone`, server.name, median(latenciesMs))
  bench.results.add(`${kind}.lone95`, server.name, percentile(latenciesMs, 0.95))
}

async function measureStore(
  kind: ImageKind,
  bench: Bench,
  name: ServerName,
  { warm, main }: Sets,
  associations: 1 | 4,
): Promise<void> {
  await withServer(bench, name, warm, `${kind} by C-STORE`, async (server) => {
    const groups = associations === 1 ? [main.folders] : main.folders.map((folder) => [folder])
    const seconds = await storescu(server, groups, { tuned: true })
    bench.results.add(`${kind}.store${associations}`, name, main.files.length / seconds)
    await expectStored(server, warm, main)
  })
}

/** Both ends as installed may cost 40 ms and more on each instance, so only some are sent. */
async function measureStoreDefault(kind: ImageKind, bench: Bench, name: ServerName, sets: Sets): Promise<void> {
  const sent = kind === 'dx' ? sets.main.files.slice(0, 4) : sets.lone.files
  const measure = async (server: RunningServer) => {
    const seconds = await storescu(server, [sent], { tuned: false })
    bench.results.add(`${kind}.storeDefault`, name, sent.length / seconds)
  }
  await withServer(bench, name, sets.warm, `${kind} by C-STORE`, measure, { noDelay: false })
}

/** A rate is only worth something if the server then knows of every instance. */
async function expectStored(server: RunningServer, ...sets: FileSet[]): Promise<void> {
  const url = `${server.dicomWeb}/studies?includefield=00201208&limit=1000`
  const response = await fetch(url, { headers: { accept: 'application/dicom+json' } })
  if (!response.ok) throw new Error(`${server.name}: ${url} answered ${response.status}: ${await response.text()}`)
  const studies = (await response.json()) as Record<string, { Value?: unknown[] }>[]
  const stored = studies.reduce((sum, study) => sum + Number(study['00201208']?.Value?.[0] ?? 0), 0)
  const sent = sets.reduce((sum, { files }) => sum + files.length, 0)
  if (stored !== sent) throw new Error(`${server.name} knows ${stored} instances of ${sent} sent`)
}

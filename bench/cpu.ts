/**
 * The server's processor time for each instance, of two or more builds in turn: on a busy machine it says what rates don't.
 *
 *     node --import tsx bench/cpu.ts [--kind ct,mr,dx] [--what stow,store1,store4,wado1,wado4,metadata] [--rounds N] [--full] ROOT...
 *
 * Each ROOT is a built clone. Prints milliseconds of all threads, of the main one alone, and by the clock, as medians over
 * the rounds. Flags for the server's Node.js come from FIRN_BENCH_NODE_OPTIONS.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type FileSet, type ImageKind, sizeOf, writeFileSet } from './file-sets.ts'
import { runJob } from './load.ts'
import { type RunningServer, startServer } from './servers.ts'
import { median } from './stats.ts'
import { storescu } from './storescu.ts'

const ALL = ['stow', 'store1', 'store4', 'wado1', 'wado4', 'metadata'] as const
type What = (typeof ALL)[number]

interface Spent {
  wallMs: number
  totalMs: number
  mainMs: number
}

/** Milliseconds on a processor of each thread, by its number: the first is the process's own (Linux, schedstat). */
function threadsOf(pid: number): Map<number, number> {
  const tids = readdirSync(`/proc/${pid}/task`).map(Number)
  return new Map(
    tids.map((tid) => [tid, Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]) / 1e6]),
  )
}

async function settled(server: RunningServer): Promise<void> {
  const response = await fetch(`${server.dicomWeb}/studies?limit=1`)
  await response.arrayBuffer()
}

/** What `work` costs the server, per item. */
async function cost(server: RunningServer, items: number, work: () => Promise<unknown>): Promise<Spent> {
  await settled(server)
  const before = threadsOf(server.pid)
  const started = performance.now()
  await work()
  const wallMs = (performance.now() - started) / items
  await settled(server)
  const spent = [...threadsOf(server.pid)].map(([tid, ms]) => ({ tid, ms: (ms - (before.get(tid) ?? 0)) / items }))
  return {
    wallMs,
    totalMs: spent.reduce((sum, { ms }) => sum + ms, 0),
    mainMs: spent.find(({ tid }) => tid === server.pid)?.ms ?? Number.NaN,
  }
}

async function onServer(root: string, folder: string, warm: FileSet, act: (server: RunningServer) => Promise<void>) {
  const server = await startServer('firn', path.join(folder, 'server'), { root })
  try {
    const { dicomWeb } = server
    await runJob({ kind: 'stow', dicomWeb, files: warm.files, clients: 2, perRequest: 5 })
    await storescu(server, [warm.folders.slice(0, 1)], { tuned: true })
    spawnSync('sync')
    await act(server)
  } finally {
    await server.stop()
  }
}

interface Sets {
  main: FileSet
  warm: FileSet
}

type Note = (what: What, spent: Spent) => void

async function overWeb(server: RunningServer, main: FileSet, wanted: ReadonlySet<What>, note: Note): Promise<void> {
  const { dicomWeb } = server
  const count = main.files.length
  const stow = { kind: 'stow', dicomWeb, files: main.files, clients: 4, perRequest: 10 } as const
  note('stow', await cost(server, count, () => runJob(stow)))
  const urls = main.studyUids.map((uid) => `${dicomWeb}/studies/${uid}`)
  const accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
  for (const clients of [1, 4] as const) {
    if (!wanted.has(`wado${clients}`)) continue
    const get = { kind: 'get', urls, accept, clients, secondsMax: 60 } as const
    note(`wado${clients}`, await cost(server, count, () => runJob(get)))
  }
  if (!wanted.has('metadata')) return
  const some = urls.slice(0, 4).map((url) => `${url}/metadata`)
  const json = { kind: 'get', urls: some, accept: 'application/dicom+json', clients: 1, secondsMax: 60 } as const
  note('metadata', await cost(server, (count / urls.length) * some.length, () => runJob(json)))
}

/** One root, one workload. */
async function measure(root: string, folder: string, { main, warm }: Sets, wanted: ReadonlySet<What>, note: Note) {
  if (['stow', 'wado1', 'wado4', 'metadata'].some((what) => wanted.has(what as What))) {
    await onServer(root, folder, warm, (server) => overWeb(server, main, wanted, note))
  }
  for (const associations of [1, 4] as const) {
    if (!wanted.has(`store${associations}`)) continue
    const groups = associations === 1 ? [main.folders] : main.folders.map((one) => [one])
    await onServer(root, folder, warm, async (server) => {
      const send = () => storescu(server, groups, { tuned: true })
      note(`store${associations}`, await cost(server, main.files.length, send))
    })
  }
}

function inWords(all: readonly Spent[]): string {
  const of = (field: keyof Spent) => all.map((spent) => spent[field])
  const middle = (field: keyof Spent) => median(of(field)).toFixed(2)
  const range = `${Math.min(...of('totalMs')).toFixed(2)}-${Math.max(...of('totalMs')).toFixed(2)}`
  return `${middle('totalMs')} (${range}), main ${middle('mainMs')}, clock ${middle('wallMs')}`
}

async function main(): Promise<void> {
  const { values, positionals: roots } = parseArgs({
    allowPositionals: true,
    options: {
      kind: { type: 'string', default: 'ct,mr,dx' },
      what: { type: 'string', default: ALL.join(',') },
      rounds: { type: 'string', default: '3' },
      full: { type: 'boolean', default: false },
    },
  })
  const wanted = new Set(values.what.split(',') as What[])
  const folder = mkdtempSync(path.join(tmpdir(), 'firn-cpu-'))
  try {
    for (const kind of values.kind.split(',') as ImageKind[]) {
      const home = path.join(folder, kind)
      const warmSize = kind === 'dx' ? { studies: 4, instances: 1 } : { studies: 4, instances: 60 }
      const sets = {
        main: writeFileSet(kind, path.join(home, 'main'), 'main', sizeOf(kind, !values.full)),
        warm: writeFileSet(kind, path.join(home, 'warm'), 'warm', warmSize),
      }
      const figures = new Map<string, Spent[]>()
      for (let round = 0; round < Number(values.rounds); round++) {
        // Each is as often the first as the last.
        for (const root of round % 2 === 0 ? roots : [...roots].reverse()) {
          await measure(root, folder, sets, wanted, (what, spent) => {
            const key = `${what} ${root}`
            figures.set(key, [...(figures.get(key) ?? []), spent])
          })
        }
      }
      for (const [key, all] of [...figures].sort()) console.log(`${kind} ${key}: ${inWords(all)}`)
      rmSync(home, { recursive: true })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

await main()

import { connect, type Socket } from 'node:net'
import { Firn, RESIDENT_BYTES_MAX } from '../support/firn.ts'
import { makeInstance } from '../support/instances.ts'
import { Random } from '../support/random.ts'
import { watch } from '../support/watchdog.ts'
import { first, instancePath, retrieve, searchAll, stow } from '../support/web.ts'
import { dimse, type Fuzzer, queries, seedFiles, stowFiles, stowFraming } from './fuzz-inputs.ts'

const HEALTH_MS_MAX = 1_000
const WORKERS = 6
const LORISES = 20
const STUDIES_CHECKED = 200

export interface FuzzSummary {
  seed: number
  inputs: number
  /** Slowest answer of /health/live while it went on. */
  slowestHealthMs: number
  residentPeakBytes: number
  problems: string[]
}

/**
 * Sends at least `inputs` malformed inputs over the real sockets, while slow clients hold connections and a watchdog
 * asks for the health. Afterwards the archive must be whole: everything listed can be had and parsed.
 */
export async function fuzz(inputs: number, seed: number, report: (line: string) => void): Promise<FuzzSummary> {
  const random = new Random(seed)
  const slow = { idleSeconds: 3, artimSeconds: 3 }
  const http = { headersSeconds: 3, idleSeconds: 3, requestsPerMinute: 10_000_000 }
  const firn = await Firn.start({ config: { http, dimse: slow, log: { level: 'warn' } } })
  const problems: string[] = []
  try {
    const known = makeInstance(random)
    await stow(firn.dicomWeb, [known.file])
    const fuzzers = [stowFiles(seedFiles(random)), stowFraming(), queries(known), dimse(), dimse()]
    const unwatch = watch(`${firn.url}/health/live`)
    const sent = await attack(firn, random, fuzzers, inputs, problems, report)
    const vigil = await unwatch()
    problems.push(...vigil.failures.map((failure) => `/health/live: ${failure}`))
    if (vigil.slowestMs > HEALTH_MS_MAX) problems.push(`/health/live took ${Math.round(vigil.slowestMs)} ms`)
    const residentPeakBytes = firn.alive ? firn.residentPeakBytes() : 0
    if (residentPeakBytes > RESIDENT_BYTES_MAX) problems.push(`${residentPeakBytes >> 20} MiB resident`)
    if (firn.alive) {
      const kept = await retrieve(firn.dicomWeb, instancePath(known))
      if (kept.length !== 1 || !kept[0]?.equals(known.file)) problems.push('the instance stored at first has changed')
      await checkWhole(firn, random, problems)
      const end = await firn.stop()
      if (end.code !== 0) problems.push(`SIGTERM ended with ${end.code ?? end.signal}`)
    }
    const uncaught = firn.log.split('\n').find((line) => /uncaught|unhandled/i.test(line))
    if (uncaught !== undefined) problems.push(uncaught.slice(0, 2_000))
    return { seed, inputs: sent, slowestHealthMs: Math.round(vigil.slowestMs), residentPeakBytes, problems }
  } finally {
    await firn.kill()
  }
}

async function attack(
  firn: Firn,
  random: Random,
  fuzzers: readonly Fuzzer[],
  inputs: number,
  problems: string[],
  report: (line: string) => void,
): Promise<number> {
  let sent = 0
  let reported = 0
  const worker = async (own: Random) => {
    while (sent < inputs && firn.alive && problems.length < 100) {
      try {
        const count = await own.pick(fuzzers)(firn, own)
        sent += count
      } catch (error) {
        problems.push(`${error instanceof Error ? error.message : error}`)
      }
      if (sent - reported >= inputs / 10) {
        reported = sent
        report(
          `${sent} inputs, ${problems.length} problems, ${firn.alive ? firn.residentPeakBytes() >> 20 : 0} MiB at most`,
        )
      }
    }
  }
  const lorises = Array.from({ length: LORISES }, (_, n) => loris(n % 2 === 0 ? firn.httpPort : firn.dimsePort))
  await Promise.all(Array.from({ length: WORKERS }, () => worker(new Random(random.below(0xffffffff)))))
  for (const stop of lorises) stop()
  if (!firn.alive) problems.push(`firn died:\n${firn.log.slice(-3_000)}`)
  return sent
}

/** A client that sends one byte a second and comes back when it is thrown out. */
function loris(port: number): () => void {
  let stopped = false
  let socket: Socket | undefined
  const visit = () => {
    if (stopped) return
    socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('close', () => setTimeout(visit, 100).unref())
    const timer = setInterval(() => socket?.write('G'), 1_000)
    socket.once('close', () => clearInterval(timer))
  }
  visit()
  return () => {
    stopped = true
    socket?.destroy()
  }
}

/** Compares what is counted with what is given, for a sample of the studies: all would take longer than the attack. */
async function checkWhole(firn: Firn, random: Random, problems: string[]): Promise<void> {
  const studies = await searchAll(firn.dicomWeb, '/studies')
  const sample = studies.filter(() => random.next() < STUDIES_CHECKED / studies.length)
  const check = async () => {
    for (let study = sample.pop(); study !== undefined; study = sample.pop()) {
      const studyUid = first(study, '0020000D')
      const count = Number(first(study, '00201208'))
      const files = await retrieve(firn.dicomWeb, `/studies/${encodeURIComponent(studyUid)}`).catch(
        (error) => `${error}`,
      )
      if (files.length !== count || typeof files === 'string') {
        problems.push(`study ${studyUid}: counts ${count}, gives ${typeof files === 'string' ? files : files.length}`)
      }
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, check))
}

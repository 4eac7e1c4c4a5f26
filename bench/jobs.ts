/** What a client process can do: each job is prepared first (bytes in memory), then measured. */
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { dicomFile, dicomSource } from '../test/fixtures/dicom.ts'
import { hugeMultiFrame, metadataStudy } from '../test/fixtures/workloads.ts'
import { drain, send } from './http-client.ts'
import { rawEach, rawStream } from './raw.ts'

export type Job =
  | { kind: 'raw'; files: readonly string[]; folder: string; concurrency: number }
  | { kind: 'raw-huge'; folder: string; frames: number }
  | { kind: 'stow'; dicomWeb: string; files: readonly string[]; clients: number; perRequest: number }
  | { kind: 'stow-huge'; dicomWeb: string; frames: number }
  | { kind: 'stow-metadata'; dicomWeb: string; from: number; to: number; perRequest: number; secondsMax: number }
  | { kind: 'get'; urls: readonly string[]; accept: string; clients: number; secondsMax: number }

export interface JobResult {
  seconds: number
  /** Payload bytes sent or received. */
  bytes: number
  /** Instances, requests or files, whatever the job counts. */
  count: number
  /** Of each request, in milliseconds. */
  latenciesMs: number[]
  /** For `get` of JSON: how many objects came. */
  matches: number
}

export async function prepareJob(job: Job): Promise<() => Promise<JobResult>> {
  switch (job.kind) {
    case 'raw': {
      const contents = job.files.map((file) => readFileSync(file))
      return () => timed(() => rawEach(contents, job.folder, job.concurrency))
    }
    case 'raw-huge': {
      const source = dicomSource({ ...hugeMultiFrame('raw', job.frames), equalFrames: true })
      return () => timed(() => rawStream(source, job.folder))
    }
    case 'stow':
      return prepareStow(job)
    case 'stow-huge':
      return prepareHuge(job)
    case 'stow-metadata':
      return () => timed(() => stowMetadata(job))
    case 'get':
      return () => timed(() => getAll(job))
  }
}

type Counted = Omit<JobResult, 'seconds'>

async function timed(work: () => Promise<Counted>): Promise<JobResult> {
  const started = performance.now()
  const counted = await work()
  return { seconds: (performance.now() - started) / 1000, ...counted }
}

/** Takes jobs off one list with so many hands. */
async function withHands<T>(hands: number, work: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const hand = async () => {
    while (next < work.length) await act(work[next++] as T)
  }
  await Promise.all(Array.from({ length: hands }, hand))
}

const boundary = 'firn-benchmark-boundary'
const stowHeaders = {
  'content-type': `multipart/related; type="application/dicom"; boundary=${boundary}`,
  accept: 'application/dicom+json',
}
const partHead = Buffer.from(`\r\n--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`)
const bodyEnd = Buffer.from(`\r\n--${boundary}--\r\n`)

function multipart(files: readonly Buffer[]): Buffer {
  return Buffer.concat([...files.flatMap((file) => [partHead, file]), bodyEnd])
}

/** A store that wasn't wholly successful would make every figure meaningless. */
async function stow(dicomWeb: string, agent: Agent, body: Buffer, instances: number): Promise<void> {
  const headers = { ...stowHeaders, 'content-length': `${body.length}` }
  const response = await send({ method: 'POST', url: `${dicomWeb}/studies`, agent, headers, body })
  const text = response.body.toString()
  if (response.status !== 200) throw new Error(`STOW answered ${response.status}: ${text.slice(0, 500)}`)
  const stored = text.split('"00081150"').length - 1
  if (stored < instances) throw new Error(`STOW of ${instances} names ${stored} stored: ${text.slice(0, 500)}`)
}

function prepareStow(job: Extract<Job, { kind: 'stow' }>): () => Promise<JobResult> {
  const bodies: { body: Buffer; instances: number; bytes: number }[] = []
  for (let at = 0; at < job.files.length; at += job.perRequest) {
    const files = job.files.slice(at, at + job.perRequest).map((file) => readFileSync(file))
    const bytes = files.reduce((sum, file) => sum + file.length, 0)
    bodies.push({ body: multipart(files), instances: files.length, bytes })
  }
  const agent = new Agent({ keepAlive: true, maxSockets: job.clients })
  return () =>
    timed(async () => {
      const latenciesMs: number[] = []
      await withHands(job.clients, bodies, async ({ body, instances }) => {
        const started = performance.now()
        await stow(job.dicomWeb, agent, body, instances)
        latenciesMs.push(performance.now() - started)
      })
      agent.destroy()
      const bytes = bodies.reduce((sum, each) => sum + each.bytes, 0)
      return { bytes, count: job.files.length, latenciesMs, matches: 0 }
    })
}

function prepareHuge(job: Extract<Job, { kind: 'stow-huge' }>): () => Promise<JobResult> {
  const source = dicomSource({ ...hugeMultiFrame('stow', job.frames), equalFrames: true })
  const agent = new Agent({ keepAlive: true })
  return () =>
    timed(async () => {
      const length = partHead.length + source.sizeBytes + bodyEnd.length
      const headers = { ...stowHeaders, 'content-length': `${length}` }
      async function* body() {
        yield partHead
        yield* source.chunks()
        yield bodyEnd
      }
      const response = await send({ method: 'POST', url: `${job.dicomWeb}/studies`, agent, headers, body: body() })
      agent.destroy()
      if (response.status !== 200)
        throw new Error(`STOW answered ${response.status}: ${response.body.toString().slice(0, 500)}`)
      return { bytes: source.sizeBytes, count: 1, latenciesMs: [], matches: 0 }
    })
}

/** Fills a catalogue; the count tells how far it came in the time allowed. */
async function stowMetadata(job: Extract<Job, { kind: 'stow-metadata' }>): Promise<Counted> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const deadline = performance.now() + job.secondsMax * 1000
  const starts: number[] = []
  for (let at = job.from; at < job.to; at += job.perRequest) starts.push(at)
  let count = 0
  let bytes = 0
  await withHands(4, starts, async (start) => {
    if (performance.now() > deadline) return
    const end = Math.min(job.to, start + job.perRequest)
    const files = Array.from({ length: end - start }, (_, i) => dicomFile(metadataStudy(start + i)))
    await stow(job.dicomWeb, agent, multipart(files), files.length)
    count += files.length
    bytes += files.reduce((sum, file) => sum + file.length, 0)
  })
  agent.destroy()
  return { bytes, count, latenciesMs: [], matches: 0 }
}

async function getAll(job: Extract<Job, { kind: 'get' }>): Promise<Counted> {
  const agent = new Agent({ keepAlive: true, maxSockets: job.clients })
  const deadline = performance.now() + job.secondsMax * 1000
  const latenciesMs: number[] = []
  let bytes = 0
  let matches = 0
  const json = job.accept.includes('json')
  await withHands(job.clients, job.urls, async (url) => {
    if (performance.now() > deadline) return
    const started = performance.now()
    const options = { method: 'GET', url, agent, headers: { accept: job.accept } }
    if (json) {
      const { status, body } = await send(options)
      latenciesMs.push(performance.now() - started)
      if (status !== 200 && status !== 204) throw new Error(`${url}: ${status} ${body.toString().slice(0, 500)}`)
      bytes += body.length
      if (status === 200) matches += (JSON.parse(body.toString()) as unknown[]).length
    } else {
      const { status, bytes: received } = await drain(options)
      latenciesMs.push(performance.now() - started)
      if (status !== 200) throw new Error(`${url}: ${status}`)
      bytes += received
    }
  })
  agent.destroy()
  return { bytes, count: latenciesMs.length, latenciesMs, matches }
}

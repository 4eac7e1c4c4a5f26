/**
 * `node --import tsx bench/packing.ts [FOLDER]`: sealing beside the raw limit, interleaved in one run, and what a pack
 * adds to its payload. Raw is read, SHA-256, write and fdatasync of the same bytes, in one file. Sealing is all that a
 * site does: metadata is compressed, everything is read for the pack's digest (with that of each instance), read again,
 * written with the digest that a store checks, synced, and read again: by the pack's digest alone (recheck), or member
 * by member (verify).
 */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import path from 'node:path'
import { toDicomJson } from '../service/dicom/json.ts'
import { admit, parseHeader } from '../service/dicom/part10.ts'
import { heldMetadata, packMetadata } from '../service/packing/metadata.ts'
import { byPlaceInPack } from '../service/packing/order.ts'
import type { PackInstance } from '../service/packing/pack.ts'
import { planPack } from '../service/packing/plan.ts'
import { recheckPack, verifyPack } from '../service/packing/verify.ts'
import { type PackParts, packSource } from '../service/packing/write.ts'
import { type DicomOptions, dicomFile } from '../test/fixtures/dicom.ts'
import { ctSlice, mrSlice } from '../test/fixtures/workloads.ts'
import { median } from './stats.ts'

const READ_BYTES = 2 * 1024 * 1024
const WRITE_BYTES = 4 * 1024 * 1024
const REPETITIONS = 5

const STAGES = ['metadata', 'digest', 'write', 'recheck', 'verify'] as const
type Stage = (typeof STAGES)[number]

interface Landed extends PackInstance {
  json: Buffer
}

interface Study {
  studyUid: string
  instances: Landed[]
  bytes: number
  file: FileHandle
}

/** One study's instances one behind the other in a file, as a segment of the landing holds them. */
async function landStudy(folder: string, slices: readonly DicomOptions[]): Promise<Study> {
  const file = await open(path.join(folder, 'landed'), 'w+')
  const study: Study = { studyUid: '', instances: [], bytes: 0, file }
  for (const [at, slice] of slices.entries()) {
    const bytes = dicomFile(slice)
    const header = parseHeader(bytes, true)
    const { studyUid, ...identifiers } = admit(header, true)
    study.studyUid = studyUid
    study.instances.push({
      ...identifiers,
      transferSyntaxUid: header.transferSyntaxUid,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      sizeBytes: bytes.length,
      dataSetOffset: header.dataSetOffset,
      instanceNumber: at + 1,
      numberOfFrames: null,
      source: { protocol: 'dimse', name: 'MODALITY', address: '192.0.2.7' },
      receivedAt: '2026-11-22T12:31:05.680Z',
      json: Buffer.from(JSON.stringify(toDicomJson(header.dataSet, { bulkDataUri: (tag) => `bulkdata/${tag}` }))),
    })
    await file.write(bytes, 0, bytes.length, study.bytes)
    study.bytes += bytes.length
  }
  await file.datasync()
  return study
}

async function* read(file: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at < end; ) {
    const length = Math.min(READ_BYTES, end - at)
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(length), 0, length, at)
    if (bytesRead !== length) throw new Error('a short read')
    at += length
    yield buffer
  }
}

/** Writes with SHA-256, as a store does, and syncs. */
async function write(name: string, chunks: AsyncIterable<Buffer>): Promise<FileHandle> {
  const file = await open(name, 'w+')
  const hash = createHash('sha256')
  let gathered: Buffer[] = []
  let bytes = 0
  const flush = async () => {
    if (gathered.length > 0) await file.writev(gathered)
    gathered = []
    bytes = 0
  }
  for await (const chunk of chunks) {
    hash.update(chunk)
    gathered.push(chunk)
    bytes += chunk.length
    if (bytes >= WRITE_BYTES) await flush()
  }
  await flush()
  await file.datasync()
  hash.digest()
  return file
}

/** Seconds of work, and of the processor's time: on a busy machine only the latter can be compared between runs. */
interface Spent {
  seconds: number
  cpuSeconds: number
}

interface Sealed {
  metadata: Spent
  digest: Spent
  write: Spent
  recheck: Spent
  verify: Spent
  overhead: number
}

async function seal(study: Study, name: string): Promise<Sealed> {
  const stopwatch = new Stopwatch()
  const sorted = [...study.instances].sort(byPlaceInPack)
  const { bytes, ...metadata } = await heldMetadata(packMetadata(study.studyUid, sorted, async ({ json }) => json))
  const plan = planPack({ studyUid: study.studyUid, volume: 'bench', retention: null, instances: sorted, metadata })
  const seconds = { metadata: stopwatch.lap() }
  const parts: PackParts = {
    // They were landed in the order of the pack, so they are read as one.
    instances: () => read(study.file, 0, study.bytes),
    async *metadata() {
      yield bytes
    },
  }
  const source = await packSource(plan, parts)
  const withDigest = { ...seconds, digest: stopwatch.lap() }
  const file = await write(name, source.open())
  const written = { ...withDigest, write: stopwatch.lap() }
  const readPack = (start: number, end: number) => read(file, start, end)
  const rechecked = await recheckPack(readPack, source.sizeBytes, source.sha256)
  const recheck = stopwatch.lap()
  const verified = await verifyPack(readPack, source.sizeBytes, source.sha256)
  const faults = [...rechecked.faults, ...verified.faults]
  if (faults.length > 0) throw new Error(`the pack is damaged: ${JSON.stringify(faults)}`)
  await file.close()
  return { ...written, recheck, verify: stopwatch.lap(), overhead: source.sizeBytes / study.bytes - 1 }
}

async function raw(study: Study, name: string): Promise<Spent> {
  const stopwatch = new Stopwatch()
  const file = await write(name, read(study.file, 0, study.bytes))
  await file.close()
  return stopwatch.lap()
}

class Stopwatch {
  #since = performance.now()
  #cpu = process.cpuUsage()

  /** Since the last lap. */
  lap(): Spent {
    const { user, system } = process.cpuUsage(this.#cpu)
    const now = performance.now()
    const spent = { seconds: (now - this.#since) / 1000, cpuSeconds: (user + system) / 1e6 }
    this.#since = now
    this.#cpu = process.cpuUsage()
    return spent
  }
}

async function measure(title: string, folder: string, slices: readonly DicomOptions[]): Promise<void> {
  const study = await landStudy(folder, slices)
  const raws: Spent[] = []
  const sealed: Sealed[] = []
  // The first of each warms up code and page cache.
  for (let run = 0; run <= REPETITIONS; run++) {
    const rawSpent = await raw(study, path.join(folder, 'raw'))
    const result = await seal(study, path.join(folder, 'pack'))
    if (run === 0) continue
    raws.push(rawSpent)
    sealed.push(result)
  }
  await study.file.close()
  console.log(`${title}: ${study.instances.length} instances, ${(study.bytes / 1e6).toFixed(0)} MB`)
  const line = (name: string, spent: readonly Spent[]) => {
    const rate = study.bytes / 1e6 / median(spent.map(({ seconds }) => seconds))
    const cpu = median(spent.map(({ cpuSeconds }) => cpuSeconds)) / (study.bytes / 1e9)
    console.log(`  ${name.padEnd(26)} ${rate.toFixed(0).padStart(5)} MB/s  ${cpu.toFixed(2)} s of CPU per GB`)
  }
  const ratio = (name: string, stages: readonly Stage[]) => {
    const of = (kind: keyof Spent) =>
      median(
        sealed.map((one, i) => (raws[i] as Spent)[kind] / stages.reduce((sum, stage) => sum + one[stage][kind], 0)),
      )
    console.log(
      `  ${name.padEnd(26)} ${of('seconds').toFixed(2).padStart(5)}       ${of('cpuSeconds').toFixed(2)} by CPU`,
    )
  }
  line('raw', raws)
  for (const stage of STAGES)
    line(
      stage,
      sealed.map((one) => one[stage]),
    )
  ratio('raw / sealing', ['metadata', 'digest', 'write'])
  ratio('raw / sealing, recheck', ['metadata', 'digest', 'write', 'recheck'])
  ratio('raw / sealing, verify', ['metadata', 'digest', 'write', 'verify'])
  console.log(`  overhead over payload      ${(100 * (sealed[0] as Sealed).overhead).toFixed(2)} %`)
}

const parent = process.argv[2] ?? tmpdir()
mkdirSync(parent, { recursive: true })
const folder = mkdtempSync(path.join(parent, 'firn-packing-'))
console.log(`${cpus().length} x ${cpus()[0]?.model}, node ${process.version}`)
try {
  await measure(
    'CT',
    folder,
    Array.from({ length: 500 }, (_, i) => ctSlice(0, i)),
  )
  await measure(
    'MR',
    folder,
    Array.from({ length: 1000 }, (_, i) => mrSlice(0, i)),
  )
} finally {
  rmSync(folder, { recursive: true })
}

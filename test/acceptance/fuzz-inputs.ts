import { readdirSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { sopClasses, type TransferSyntax, transferSyntaxes } from '../fixtures/dicom.ts'
import type { Attributes } from '../fixtures/encode.ts'
import {
  associateRq,
  command,
  dataPdus,
  echoRq,
  PDU,
  type Proposal,
  pdu,
  storeRq,
  VERIFICATION,
} from '../support/dimse.ts'
import type { Firn } from '../support/firn.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { multipart } from '../support/multipart.ts'
import { mutate } from '../support/mutate.ts'
import type { Random } from '../support/random.ts'

/** How long a peer that sent rubbish waits for a reaction before it goes away. */
const PATIENCE_MS = 40
const FILE_BYTES_MAX = 120_000
const FIND_STUDY_ROOT = '1.2.840.10008.5.1.4.1.2.2.1'
const MOVE_STUDY_ROOT = '1.2.840.10008.5.1.4.1.2.2.2'

/** Sends some inputs at once, returns how many, and throws when the server's answer shows a fault of the server's. */
export type Fuzzer = (firn: Firn, random: Random) => Promise<number>

const SYNTAXES = Object.keys(transferSyntaxes) as TransferSyntax[]

/** Whole files to mutate: one in each transfer syntax, and the smaller ones of the corpus where there is one. */
export function seedFiles(random: Random): Buffer[] {
  const made = SYNTAXES.flatMap((transferSyntax) => [
    makeInstance(random, { transferSyntax, frames: 2, frameBytes: 300, offsetTable: 'basic' }).file,
    makeInstance(random, { transferSyntax, undefinedLengths: true, attributes: nested() }).file,
  ])
  const folder = process.env.FIRN_CORPUS
  if (folder === undefined) return made
  const real = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.dcm') && statSync(path).size < FILE_BYTES_MAX)
  return [...made, ...real.map((path) => readFileSync(path))]
}

function nested(): Attributes {
  return { '00400275': ['SQ', [{ '00401001': ['SH', 'X'], '00400008': ['SQ', [{ '00080100': ['SH', 'CODE'] }]] }]] }
}

/** Mutated files in good multipart framing. */
export function stowFiles(seeds: readonly Buffer[]): Fuzzer {
  return async (firn, random) => {
    const files = Array.from({ length: random.between(1, 12) }, () => mutate(random.pick(seeds), random))
    const { body, contentType } = multipart(files)
    const answer = await post(firn, contentType, body)
    if (answer !== undefined && answer >= 500) throw new Error(`STOW of mutated files: HTTP ${answer}`)
    return files.length
  }
}

/** Good files in mutated framing, and mutated content types. */
export function stowFraming(): Fuzzer {
  return async (firn, random) => {
    const boundary = random.pick(['b', 'boundary', '-', '--', '0123456789'.repeat(7)])
    const parts = Array.from({ length: random.between(0, 3) }, () => makeInstance(random).file)
    const framed = multipart(parts, boundary)
    const body = random.below(4) === 0 ? random.bytes(random.between(0, 5_000)) : mutate(framed.body, random)
    const printable = mutate(Buffer.from(framed.contentType), random)
      .toString('latin1')
      .replace(/[^\x20-\x7e]/g, '?')
    const answer = await post(firn, random.below(3) === 0 ? printable : framed.contentType, body)
    if (answer !== undefined && answer >= 500) throw new Error(`STOW in mutated framing: HTTP ${answer}`)
    return 1
  }
}

async function post(firn: Firn, contentType: string, body: Buffer): Promise<number | undefined> {
  const init = { method: 'POST', headers: { 'content-type': contentType, accept: 'application/dicom+json' }, body }
  // A server may close the connection on a request that it refuses before its body is through.
  const response = await fetch(`${firn.dicomWeb}/studies`, init).catch(() => undefined)
  await response?.arrayBuffer().catch(() => undefined)
  return response?.status
}

const KEYS = [
  'PatientName',
  'PatientID',
  'StudyDate',
  'StudyTime',
  'StudyInstanceUID',
  'ModalitiesInStudy',
  'includefield',
  'limit',
  'offset',
  'fuzzymatching',
  '00100020',
  '00400275.00401001',
  '7FE00010',
]
const VALUES = [
  '*',
  '?',
  '-',
  '20240101-',
  '-20240101',
  '20240101-20231231',
  '1.2.3\\1.2.4',
  'all',
  'true',
  '0',
  '1e9',
  '99999999999999999999',
  "'",
  '"',
  '%',
  '\u0000',
  '\ud83d\ude00',
  '山田',
  '\\'.repeat(50),
  '*'.repeat(60),
  'a'.repeat(3_000),
]
const ACCEPTS = [
  '*/*',
  'application/dicom+json',
  'multipart/related; type="application/dicom"',
  'application/zip',
  'q=;;;',
  'multipart/related; type="application/octet-stream"; transfer-syntax=*',
]

/** Odd searches and retrievals. */
export function queries(known: Instance): Fuzzer {
  const uid = (random: Random) =>
    random.pick([known.studyUid, known.seriesUid, known.sopInstanceUid, '1.2.3', 'x', '..%2f', '0', '1'.repeat(70)])
  return async (firn, random) => {
    const value = () => {
      const text = Buffer.from(random.pick(VALUES))
      return encodeURIComponent(random.below(3) === 0 ? mutate(text, random).toString('latin1') : text.toString())
    }
    // A search that finds thousands is no malformed input, only slow.
    const limit = () => (random.below(50) === 0 ? '' : 'limit=5&')
    const paths = [
      () => `/studies?${limit()}${random.pick(KEYS)}=${value()}&${random.pick(KEYS)}=${value()}`,
      () => `/studies/${uid(random)}/series?${random.pick(KEYS)}=${value()}`,
      () => `/instances?${value()}=${value()}&limit=${random.between(0, 5)}`,
      () => `/studies/${uid(random)}/series/${uid(random)}/instances/${uid(random)}/frames/${value()}`,
      () => `/studies/${uid(random)}/metadata`,
      () =>
        `/studies/${uid(random)}/series/${uid(random)}/instances/${uid(random)}${random.pick(['', '/metadata', '/bulkdata/7FE00010', '/rendered'])}`,
    ]
    const path = random.pick(paths)()
    const response = await fetch(firn.dicomWeb + path, {
      headers: { accept: random.pick(ACCEPTS), range: random.pick(['bytes=0-', 'bytes=-1', 'bytes=5-1', 'x']) },
    })
    await response.arrayBuffer()
    if (response.status >= 500 && response.status !== 501) throw new Error(`GET ${path}: HTTP ${response.status}`)
    return 1
  }
}

/** Sends bytes over DIMSE's port and goes away when the server answers, closes or is silent for a moment. */
function talk(firn: Firn, pieces: readonly Buffer[], random: Random): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port: firn.dimsePort, host: '127.0.0.1', noDelay: true })
    const timer = setTimeout(end, PATIENCE_MS)
    let answers = 0
    function end() {
      clearTimeout(timer)
      if (random.below(2) === 0) socket.resetAndDestroy()
      else socket.destroy()
      resolve()
    }
    socket.on('error', end).on('close', end)
    // The first answer is that to the association request; the second one concerns what was mutated.
    socket.on('data', () => ++answers >= 2 && end())
    socket.on('connect', () => {
      for (const piece of pieces) socket.write(piece)
    })
  })
}

const PROPOSALS: readonly Proposal[] = [
  { sopClassUid: sopClasses.ct, transferSyntaxUids: [transferSyntaxes.explicitLittle] },
  { sopClassUid: FIND_STUDY_ROOT, transferSyntaxUids: [transferSyntaxes.implicitLittle] },
  { sopClassUid: MOVE_STUDY_ROOT, transferSyntaxUids: [transferSyntaxes.implicitLittle] },
  { sopClassUid: VERIFICATION, transferSyntaxUids: [transferSyntaxes.implicitLittle] },
]

function storing(instance: Instance, data = instance.dataSet): Buffer[] {
  return [
    ...dataPdus(1, true, storeRq(1, instance.sopClassUid, instance.sopInstanceUid)),
    ...dataPdus(1, false, data, 4_096),
  ]
}

function finding(random: Random): Buffer[] {
  const identifier = Buffer.from('080052000600000053545544592020000d0000000000', 'hex')
  const request = command({ 2: FIND_STUDY_ROOT, 256: 0x20, 272: 1, 1792: 0, 2048: 1 })
  return [...dataPdus(3, true, request), ...dataPdus(3, false, mutate(identifier, random))]
}

function wrongOrders(instance: Instance, random: Random): Buffer[][] {
  const rq = associateRq(PROPOSALS)
  const [storeCommand, ...data] = storing(instance) as [Buffer, ...Buffer[]]
  const response = command({ 2: VERIFICATION, 256: 0x8030, 288: 1, 2048: 0x101, 2304: 0 })
  const lie = Buffer.concat([Buffer.from([PDU.data, 0]), Buffer.from('ffffffff', 'hex'), random.bytes(500)])
  const odd = Buffer.concat([
    Buffer.from([PDU.data, 0]),
    Buffer.from('00000006', 'hex'),
    Buffer.from('ffffffff0103', 'hex'),
  ])
  return [
    [storeCommand, ...data],
    [rq, rq],
    [rq, ...data],
    [rq, storeCommand, rq],
    [rq, storeCommand, storeCommand, ...data],
    [rq, storeCommand, ...data.slice(0, -1), pdu(PDU.releaseRq, Buffer.alloc(4))],
    [rq, storeCommand, pdu(PDU.abort, Buffer.alloc(4))],
    [rq, ...dataPdus(7, true, response)],
    [rq, ...dataPdus(99, true, echoRq(1))],
    [rq, lie],
    [lie],
    [rq, odd],
    [rq, pdu(PDU.data, Buffer.alloc(0)), pdu(PDU.data, Buffer.from('0000000201', 'hex'))],
    [rq, pdu(PDU.associateAc, Buffer.alloc(100)), pdu(PDU.releaseRp, Buffer.alloc(4))],
    [rq, pdu(random.between(8, 255), random.bytes(50))],
    [rq, ...Array.from({ length: 50 }, () => dataPdus(1, true, echoRq(1))[0] as Buffer)],
    [rq, ...dataPdus(1, true, Buffer.alloc(300_000), 16_000)],
    [
      associateRq(
        Array.from({ length: 128 }, () => ({ sopClassUid: '1.2', transferSyntaxUids: Array(20).fill('1.2.3') })),
      ),
    ],
    [associateRq([])],
  ]
}

/** Mutated and random PDUs, messages in the wrong order, lying lengths, broken connections. */
export function dimse(): Fuzzer {
  return async (firn, random) => {
    const instance = makeInstance(random)
    const good = [associateRq(PROPOSALS), ...(random.below(2) === 0 ? storing(instance) : finding(random))]
    const pieces = [
      () => [mutate(good[0] as Buffer, random), ...good.slice(1)],
      () => [good[0] as Buffer, ...good.slice(1).map((one) => (random.below(2) === 0 ? mutate(one, random) : one))],
      () => [good[0] as Buffer, ...storing(instance, mutate(instance.dataSet, random))],
      () => [mutate(Buffer.concat(good), random)],
      () => [good[0] as Buffer, random.bytes(random.between(1, 3_000))],
      () => [random.bytes(random.between(1, 3_000))],
      () => random.pick(wrongOrders(instance, random)),
    ]
    await talk(firn, random.pick(pieces)(), random)
    return 1
  }
}

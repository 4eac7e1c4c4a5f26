import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { NO_AUDIT } from '../audit/ports.ts'
import type { InstanceRecord, InstanceScope, Query, QueryLevel } from '../catalogue/ports.ts'
import { type DimseConfig, dimseConfig } from '../config/dimse.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { encodePart10Header } from '../dicom/fileMeta.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Incoming, Receipt, Receive } from '../ingest/ports.ts'
import type { OpenInstance, OpenInstances } from '../retrieve/ports.ts'
import type { Association } from './association.ts'
import { AssociationError, type AssociationLimits } from './association-types.ts'
import { CommandField } from './command.ts'
import { associationLimits, createDimseServer, type DimseMetrics, type Listener } from './index.ts'
import type { ProposedContext } from './pdu.ts'
import { openAssociation, type RequestorOptions } from './requestor.ts'
import type { DimseCatalogue } from './service.ts'

export const CT = '1.2.840.10008.5.1.4.1.1.2'
export const JPEG_BASELINE = '1.2.840.10008.1.2.4.50'
export const silent = pino({ level: 'silent' })

/** An archive in memory that behind the ports does what the real one does, as far as DIMSE sees. */
export class FakeArchive implements Receive, DimseCatalogue, OpenInstances {
  readonly files = new Map<string, Buffer>()
  readonly records: InstanceRecord[] = []
  readonly queries: Query[] = []
  readonly scopes: InstanceScope[] = []
  aborted = 0
  /** Answers of `find`. */
  found: DicomJson[] = []
  /** Overrides what becomes of an instance. */
  onReceive: ((incoming: Incoming) => Promise<Receipt>) | undefined
  onFind: (() => Promise<void>) | undefined

  async receive(incoming: Incoming): Promise<Receipt> {
    if (this.onReceive) return this.onReceive(incoming)
    const parts: Buffer[] = []
    try {
      for await (const part of incoming.body) parts.push(Buffer.from(part))
    } catch (error) {
      this.aborted++
      throw error
    }
    const uid = incoming.expected?.sopInstanceUid ?? ''
    const whole = Buffer.concat(parts)
    this.files.set(uid, whole)
    return receiptFor(incoming, whole.length)
  }

  /** Keeps a data set and returns its record. */
  keep(sopInstanceUid: string, transferSyntaxUid: string, dataSet: Buffer, sopClassUid = CT): InstanceRecord {
    const header = encodePart10Header({ sopClassUid, sopInstanceUid, transferSyntaxUid })
    this.files.set(sopInstanceUid, Buffer.concat([header, dataSet]))
    const record: InstanceRecord = {
      studyUid: '1.2.3',
      seriesUid: '1.2.3.4',
      sopInstanceUid,
      sopClassUid,
      sha256: '',
      sizeBytes: header.length + dataSet.length,
      dataSetOffset: header.length,
      transferSyntaxUid,
      instanceNumber: null,
      numberOfFrames: null,
      receivedAt: '2026-01-01T00:00:00.000Z',
      source: { protocol: 'import', name: '', address: '' },
      location: { segment: 0, offset: 0 },
    }
    this.records.push(record)
    return record
  }

  supports(_level: QueryLevel, path: readonly string[]): boolean {
    return !path.includes('00200012')
  }

  async *find(query: Query): AsyncGenerator<DicomJson> {
    this.queries.push(query)
    for (const each of this.found) {
      await this.onFind?.()
      yield each
    }
  }

  async *instances(scope: InstanceScope): AsyncGenerator<InstanceRecord> {
    this.scopes.push(scope)
    const uids = scope.sopInstanceUids
    yield* uids ? this.records.filter((record) => uids.includes(record.sopInstanceUid)) : this.records
  }

  open(record: InstanceRecord): OpenInstance {
    const file = this.files.get(record.sopInstanceUid)
    return {
      record,
      async *bytes(start = 0, end = file?.length ?? 0) {
        if (!file) throw new ArchiveError('storage_failed', 'the file is gone')
        for (let at = start; at < end; at += 100_000) yield file.subarray(at, Math.min(end, at + 100_000))
      },
    }
  }

  dataSetOf(sopInstanceUid: string, transferSyntaxUid = EXPLICIT_LITTLE_ENDIAN, sopClassUid = CT): Buffer | undefined {
    const header = encodePart10Header({ sopClassUid, sopInstanceUid, transferSyntaxUid })
    const file = this.files.get(sopInstanceUid)
    if (file) assert.deepEqual(file.subarray(0, header.length), header)
    return file?.subarray(header.length)
  }
}

export function receiptFor(incoming: Incoming, sizeBytes: number): Receipt {
  const { sopInstanceUid = '', sopClassUid = '' } = incoming.expected ?? {}
  return {
    studyUid: '',
    seriesUid: '',
    sopInstanceUid,
    sopClassUid,
    sha256: '',
    sizeBytes,
    outcome: 'stored',
    durability: 'local',
  }
}

export class Counts implements DimseMetrics {
  opened = 0
  closed = 0
  rejected = 0
  operations: string[] = []
  associationOpened(): void {
    this.opened++
  }
  associationClosed(): void {
    this.closed++
  }
  associationRejected(): void {
    this.rejected++
  }
  operation(command: string, status: number): void {
    this.operations.push(`${command} ${status.toString(16)}`)
  }
}

export interface Running {
  server: Listener
  archive: FakeArchive
  metrics: Counts
  port: number
  limits: AssociationLimits
  /** Opens an association with the server; ended with the test. */
  associate(contexts: readonly ProposedContext[], more?: Partial<RequestorOptions>): Promise<Association>
}

/** A server over a fake archive, on a free port, closed with the test. */
export async function startServer(t: TestContext, config: Partial<DimseConfig> = {}): Promise<Running> {
  const archive = new FakeArchive()
  const metrics = new Counts()
  const parsed = { ...dimseConfig.parse({ port: 0 }), ...config }
  const ports = { receive: archive, catalogue: archive, instances: archive }
  const server = createDimseServer({
    config: parsed,
    host: '127.0.0.1',
    ...ports,
    audit: NO_AUDIT,
    log: silent,
    metrics,
  })
  const { port } = await server.listen()
  const limits = associationLimits(parsed)
  t.after(() => server.close(100))
  const associate: Running['associate'] = async (contexts, more = {}) => {
    const peer = { aeTitle: 'FIRN', host: '127.0.0.1', port }
    const clientLimits = { ...limits, idleMs: 5000, artimMs: 5000 }
    const base = { peer, callingAeTitle: 'TEST', contexts, limits: clientLimits, log: silent }
    const association = await openAssociation({ ...base, ...more })
    t.after(() => association.abort('the test is over'))
    return association
  }
  return { server, archive, metrics, port, limits, associate }
}

/** One context with these transfer syntaxes. */
export function context(abstractSyntax: string, transferSyntaxes = [EXPLICIT_LITTLE_ENDIAN], id = 1): ProposedContext {
  return { id, abstractSyntax, transferSyntaxes }
}

export function store(association: Association, sopInstanceUid: string, body: Buffer | AsyncIterable<Buffer>) {
  const command = { commandField: CommandField.cStore, affectedSopClassUid: CT, affectedSopInstanceUid: sopInstanceUid }
  return association.call(1, command, body)
}

export async function rawSocket(t: TestContext, port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Everything that comes until the other side closes. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = []
  socket.on('data', (chunk: Buffer) => parts.push(chunk))
  if (!socket.closed) await once(socket, 'close')
  return Buffer.concat(parts)
}

export async function until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    assert.ok(performance.now() < deadline, `not within ${timeoutMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export function isAssociationError(kind: AssociationError['kind']): (error: unknown) => boolean {
  return (error) => error instanceof AssociationError && error.kind === kind
}

/** A small CT data set without pixel data. */
export function sampleDataSet(sopInstanceUid: string, syntax = EXPLICIT_LITTLE_ENDIAN): Buffer {
  const json: DicomJson = {
    '00080016': { vr: 'UI', Value: [CT] },
    '00080018': { vr: 'UI', Value: [sopInstanceUid] },
    '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Sample^Patient' }] },
    '0020000D': { vr: 'UI', Value: ['1.2.3'] },
    '0020000E': { vr: 'UI', Value: ['1.2.3.4'] },
  }
  return encodeDataSet(json, syntax === IMPLICIT_LITTLE_ENDIAN ? 'implicit' : 'explicit')
}

test('the fake archive gives back what it received', async () => {
  const archive = new FakeArchive()
  const dataSet = sampleDataSet('1.2')
  const record = archive.keep('1.2', EXPLICIT_LITTLE_ENDIAN, dataSet)
  const parts: Buffer[] = []
  for await (const part of archive.open(record).bytes(record.dataSetOffset)) parts.push(part)
  assert.deepEqual(Buffer.concat(parts), dataSet)
})

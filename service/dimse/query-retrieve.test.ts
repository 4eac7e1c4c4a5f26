import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { decodeDataSet } from '../dicom/decode.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Association } from './association.ts'
import type { Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { collect } from './data-set-stream.ts'
import {
  CT,
  context,
  isAssociationError,
  JPEG_BASELINE,
  type Running,
  sampleDataSet,
  startServer,
} from './fakes.test.ts'
import type { Response } from './reply-queue.ts'

const STUDY_FIND = '1.2.840.10008.5.1.4.1.2.2.1'
const PATIENT_FIND = '1.2.840.10008.5.1.4.1.2.1.1'
const STUDY_MOVE = '1.2.840.10008.5.1.4.1.2.2.2'
const STUDY_GET = '1.2.840.10008.5.1.4.1.2.2.3'

const study: DicomJson = {
  '00080052': { vr: 'CS', Value: ['STUDY'] },
  '0020000D': { vr: 'UI', Value: ['1.2.3'] },
}

async function ask(
  association: Association,
  field: number,
  sopClassUid: string,
  identifier: DicomJson,
  destination?: string,
) {
  const responses: Response[] = []
  const command = {
    commandField: field,
    affectedSopClassUid: sopClassUid,
    ...(destination === undefined ? {} : { moveDestination: destination }),
  }
  for await (const each of association.request(1, command, encodeDataSet(identifier, 'explicit'))) responses.push(each)
  return responses
}

async function find(running: Running, identifier: DicomJson, model = STUDY_FIND) {
  const association = await running.associate([context(model)])
  const responses = await ask(association, CommandField.cFind, model, identifier)
  const answers = responses.flatMap(({ dataSet }) => (dataSet ? [decodeDataSet(dataSet, EXPLICIT_LITTLE_ENDIAN)] : []))
  return { statuses: responses.map(({ status }) => status), answers, last: responses.at(-1) }
}

test('C-FIND answers with exactly what was asked for', async (t) => {
  const running = await startServer(t)
  running.archive.found = [
    {
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^Jörg' }] },
      '00100020': { vr: 'LO', Value: ['P1'] },
      '0020000D': { vr: 'UI', Value: ['1.2.3'] },
      '00201208': { vr: 'IS', Value: [7] },
      '00321060': { vr: 'LO', Value: ['not asked for'] },
    },
  ]
  const { statuses, answers } = await find(running, {
    '00080005': { vr: 'CS', Value: ['ISO_IR 192'] },
    '00080052': { vr: 'CS', Value: ['STUDY'] },
    '00080050': { vr: 'SH' },
    '00100010': { vr: 'PN', Value: [{ Alphabetic: 'mü*' }] },
    '0020000D': { vr: 'UI' },
    '00201208': { vr: 'IS' },
  })
  assert.deepEqual(statuses, [0xff00, 0])
  assert.deepEqual(running.archive.queries[0]?.match, [{ path: ['00100010'], value: 'mü*' }])
  assert.equal(running.archive.queries[0]?.level, 'study')
  assert.deepEqual(answers, [
    {
      '00080005': { vr: 'CS', Value: ['ISO_IR 192'] },
      '00080050': { vr: 'SH' },
      '00080052': { vr: 'CS', Value: ['STUDY'] },
      '00080054': { vr: 'AE', Value: ['FIRN'] },
      '00080056': { vr: 'CS', Value: ['ONLINE'] },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^Jörg' }] },
      '0020000D': { vr: 'UI', Value: ['1.2.3'] },
      '00201208': { vr: 'IS', Value: [7] },
    },
  ])
})

test('C-FIND: lists, universal matching, sequences, and keys that are not supported', async (t) => {
  const running = await startServer(t)
  running.archive.found = [
    {
      '00400275': {
        vr: 'SQ',
        Value: [{ '00400007': { vr: 'LO', Value: ['left out'] }, '00401001': { vr: 'SH', Value: ['R1'] } }],
      },
    },
  ]
  const { statuses, answers } = await find(running, {
    '00080052': { vr: 'CS', Value: ['SERIES'] },
    '0020000D': { vr: 'UI', Value: ['1.2', '1.3'] },
    '00080060': { vr: 'CS', Value: ['*'] },
    '00200012': { vr: 'IS', Value: [5] },
    '00400275': { vr: 'SQ', Value: [{ '00401001': { vr: 'SH', Value: ['R1'] } }] },
  })
  assert.deepEqual(statuses, [0xff01, 0])
  assert.deepEqual(running.archive.queries[0]?.match, [
    { path: ['0020000D'], value: '1.2\\1.3' },
    { path: ['00400275', '00401001'], value: 'R1' },
  ])
  assert.deepEqual(answers[0]?.['00400275'], { vr: 'SQ', Value: [{ '00401001': { vr: 'SH', Value: ['R1'] } }] })
  assert.deepEqual(answers[0]?.['00200012'], { vr: 'IS' })
})

test('C-FIND without or with an unknown level, or with garbage, is refused with a comment', async (t) => {
  const running = await startServer(t)
  const missing = await find(running, { '0020000D': { vr: 'UI' } })
  assert.deepEqual(missing.statuses, [0xa900])
  assert.match(missing.last?.command.errorComment ?? '', /Query\/Retrieve Level is missing/)
  const patient = { '00080052': { vr: 'CS', Value: ['PATIENT'] } }
  assert.deepEqual((await find(running, patient)).statuses, [0xa900])
  assert.deepEqual((await find(running, patient, PATIENT_FIND)).statuses, [0])
  const association = await running.associate([context(STUDY_FIND)])
  const bytes = Buffer.from('08005200ff', 'hex')
  const response = await association.call(
    1,
    { commandField: CommandField.cFind, affectedSopClassUid: STUDY_FIND },
    bytes,
  )
  assert.equal(response.status, 0xa900)
})

test('C-FIND is stopped by C-CANCEL, and a failing catalogue is told', async (t) => {
  const running = await startServer(t)
  running.archive.found = Array.from({ length: 100_000 }, () => ({}))
  const association = await running.associate([context(STUDY_FIND)])
  const command = { commandField: CommandField.cFind, affectedSopClassUid: STUDY_FIND }
  let seen = 0
  for await (const _ of association.request(1, command, encodeDataSet(study, 'explicit'))) if (++seen === 3) break
  const statuses = running.metrics.operations
  assert.deepEqual(statuses, ['C-FIND fe00'])
  running.archive.onFind = async () => {
    throw new ArchiveError('catalogue_failed', 'down')
  }
  assert.equal((await association.call(1, command, encodeDataSet(study, 'explicit'))).status, 0xc000)
})

/** An association whose requestor is storage SCP, for C-GET; what it is sent is kept. */
async function getter(running: Running, transferSyntaxes: string[], status = 0) {
  const received = new Map<string, Buffer>()
  const operate = async (operation: Operation): Promise<void> => {
    const uid = operation.command.affectedSopInstanceUid ?? ''
    if (operation.dataSet) received.set(uid, await collect(operation.dataSet, 1e9))
    await operation.association.respond(operation, { status, affectedSopInstanceUid: uid })
  }
  const roles = [{ sopClassUid: CT, scu: false, scp: true }]
  const contexts = [
    context(STUDY_GET),
    ...transferSyntaxes.map((syntax, index) => context(CT, [syntax], 3 + 2 * index)),
  ]
  const association = await running.associate(contexts, { roles, operate })
  return { association, received }
}

function failedList(response: Response | undefined): unknown {
  if (!response?.dataSet) return undefined
  return decodeDataSet(response.dataSet, EXPLICIT_LITTLE_ENDIAN)['00080058']?.Value
}

test('C-GET sends instances as they are stored, transcodes to implicit, and counts what it cannot send', async (t) => {
  const running = await startServer(t)
  const encapsulated = randomBytes(300_000)
  running.archive.keep('1.1', JPEG_BASELINE, encapsulated)
  running.archive.keep('1.2', EXPLICIT_LITTLE_ENDIAN, sampleDataSet('1.2'))
  running.archive.keep('1.3', IMPLICIT_LITTLE_ENDIAN, sampleDataSet('1.3', IMPLICIT_LITTLE_ENDIAN))
  running.archive.keep('1.4', '1.2.840.10008.1.2.4.90', randomBytes(10))
  running.archive.keep('1.5', EXPLICIT_LITTLE_ENDIAN, sampleDataSet('1.5'))
  running.archive.files.delete('1.5')
  const { association, received } = await getter(running, [JPEG_BASELINE, IMPLICIT_LITTLE_ENDIAN])
  const responses = await ask(association, CommandField.cGet, STUDY_GET, study)
  assert.deepEqual(received.get('1.1'), encapsulated)
  assert.deepEqual(received.get('1.2'), sampleDataSet('1.2', IMPLICIT_LITTLE_ENDIAN))
  assert.deepEqual(received.get('1.3'), sampleDataSet('1.3', IMPLICIT_LITTLE_ENDIAN))
  const first = responses[0]
  assert.deepEqual([first?.status, first?.command.remainingSubOperations], [0xff00, 4])
  const last = responses.at(-1)
  assert.equal(last?.status, 0xb000)
  assert.deepEqual([last?.command.completedSubOperations, last?.command.failedSubOperations], [3, 2])
  assert.deepEqual(failedList(last), ['1.4', '1.5'])
  assert.deepEqual(running.archive.scopes[0], { studyUids: ['1.2.3'] })
})

test('C-GET: nothing found is success, all failed is a failure, a bad identifier is refused', async (t) => {
  const running = await startServer(t)
  const { association } = await getter(running, [EXPLICIT_LITTLE_ENDIAN], 0xa700)
  assert.equal((await ask(association, CommandField.cGet, STUDY_GET, study)).at(-1)?.status, 0)
  running.archive.keep('1.2', EXPLICIT_LITTLE_ENDIAN, sampleDataSet('1.2'))
  const [only] = await ask(association, CommandField.cGet, STUDY_GET, study)
  assert.equal(only?.status, 0xa702)
  const { '00080052': level = { vr: 'CS' } } = study
  for (const identifier of [{ '00080052': level }, { ...study, '0020000D': { vr: 'UI', Value: ['1.2.*'] } }]) {
    assert.equal((await ask(association, CommandField.cGet, STUDY_GET, identifier))[0]?.status, 0xa900)
  }
})

test('C-GET stops when it is cancelled', async (t) => {
  const running = await startServer(t)
  for (let n = 0; n < 400; n++) running.archive.keep(`1.2.${n}`, EXPLICIT_LITTLE_ENDIAN, sampleDataSet(`1.2.${n}`))
  const { association, received } = await getter(running, [EXPLICIT_LITTLE_ENDIAN])
  const command = { commandField: CommandField.cGet, affectedSopClassUid: STUDY_GET }
  for await (const _ of association.request(1, command, encodeDataSet(study, 'explicit'))) break
  assert.ok(received.size < 400, `${received.size} were sent`)
  assert.deepEqual(running.metrics.operations, ['C-GET fe00'])
})

async function mover(t: TestContext, more: Parameters<typeof startServer>[1] = {}) {
  const target = await startServer(t, more)
  const destinations = [{ aeTitle: 'TARGET', host: '127.0.0.1', port: target.port }]
  const running = await startServer(t, { destinations })
  return { target, running, association: await running.associate([context(STUDY_MOVE)]) }
}

test('C-MOVE sends everything to the destination, unchanged', async (t) => {
  const { target, running, association } = await mover(t)
  const big = randomBytes(1_000_001 & ~1)
  running.archive.keep('1.1', JPEG_BASELINE, big)
  for (let n = 0; n < 5; n++) running.archive.keep(`1.2.${n}`, EXPLICIT_LITTLE_ENDIAN, sampleDataSet(`1.2.${n}`))
  const responses = await ask(association, CommandField.cMove, STUDY_MOVE, study, 'TARGET')
  const last = responses.at(-1)
  assert.deepEqual([last?.status, last?.command.completedSubOperations, last?.dataSet], [0, 6, null])
  assert.deepEqual(target.archive.dataSetOf('1.1', JPEG_BASELINE), big)
  for (let n = 0; n < 5; n++) assert.deepEqual(target.archive.dataSetOf(`1.2.${n}`), sampleDataSet(`1.2.${n}`))
  assert.equal(responses.filter(({ status }) => status === 0xff00).length, 1)
})

test('C-MOVE uses as many associations as the contexts need', async (t) => {
  const { target, running, association } = await mover(t)
  for (let n = 0; n < 300; n++) running.archive.keep(`1.2.${n}`, JPEG_BASELINE, randomBytes(10), `1.2.826.0.1.${n}`)
  const last = (await ask(association, CommandField.cMove, STUDY_MOVE, study, 'TARGET')).at(-1)
  assert.deepEqual([last?.status, last?.command.completedSubOperations], [0, 300])
  assert.equal(target.metrics.opened, 3)
})

test('C-MOVE to an unknown destination is A801, to one that is away everything fails', async (t) => {
  const { target, running, association } = await mover(t)
  running.archive.keep('1.1', JPEG_BASELINE, randomBytes(10))
  assert.equal((await ask(association, CommandField.cMove, STUDY_MOVE, study, 'NOBODY'))[0]?.status, 0xa801)
  await target.server.close(0)
  const last = (await ask(association, CommandField.cMove, STUDY_MOVE, study, 'TARGET')).at(-1)
  assert.deepEqual([last?.status, last?.command.failedSubOperations], [0xa702, 1])
  assert.deepEqual(failedList(last), ['1.1'])
})

test('C-MOVE goes on over a new association when one is lost', async (t) => {
  const { target, running, association } = await mover(t)
  for (let n = 0; n < 4; n++) running.archive.keep(`1.2.${n}`, EXPLICIT_LITTLE_ENDIAN, sampleDataSet(`1.2.${n}`))
  // Half-way through, this one turns out not to be what it seemed.
  running.archive.keep('1.3', EXPLICIT_LITTLE_ENDIAN, Buffer.concat([sampleDataSet('1.3'), randomBytes(500_000)]))
  const reads = running.archive.open.bind(running.archive)
  running.archive.open = (record) => {
    const instance = reads(record)
    if (record.sopInstanceUid !== '1.3') return instance
    return {
      record,
      async *bytes(start, end) {
        let count = 0
        for await (const chunk of instance.bytes(start, end)) {
          if (++count === 3) throw new ArchiveError('storage_failed', 'gone in the middle')
          yield chunk
        }
      },
    }
  }
  running.archive.keep('1.4', EXPLICIT_LITTLE_ENDIAN, sampleDataSet('1.4'))
  const last = (await ask(association, CommandField.cMove, STUDY_MOVE, study, 'TARGET')).at(-1)
  assert.deepEqual([last?.status, last?.command.completedSubOperations], [0xb000, 5])
  assert.deepEqual(failedList(last), ['1.3'])
  assert.equal(target.archive.files.size, 5)
  assert.equal(target.archive.aborted, 1)
})

test('a move ends with the association that asked for it', async (t) => {
  const { target, running, association } = await mover(t)
  for (let n = 0; n < 1000; n++) running.archive.keep(`1.2.${n}`, EXPLICIT_LITTLE_ENDIAN, sampleDataSet(`1.2.${n}`))
  const command = { commandField: CommandField.cMove, affectedSopClassUid: STUDY_MOVE, moveDestination: 'TARGET' }
  const moving = association.request(1, command, encodeDataSet(study, 'explicit'))
  await moving.next()
  association.abort('enough')
  await assert.rejects(moving.next(), isAssociationError('aborted'))
  await running.server.close(2000)
  assert.ok(target.archive.files.size < 1000)
})

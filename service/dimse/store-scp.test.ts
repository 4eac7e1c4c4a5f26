import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { ArchiveError, type ArchiveErrorCode } from '../errors.ts'
import { CommandField } from './command.ts'
import {
  CT,
  context,
  isAssociationError,
  JPEG_BASELINE,
  receiptFor,
  sampleDataSet,
  startServer,
  store,
  until,
} from './fakes.test.ts'

test('the bytes of a data set arrive unchanged, whatever they are and however they are cut', async (t) => {
  const { associate, archive } = await startServer(t, { maxPduBytes: 4096 })
  const association = await associate([context(CT)])
  for (const size of [0, 1, 2, 4089, 4090, 4091, 100_001, 3_000_000]) {
    const dataSet = randomBytes(size)
    const uid = `1.2.${size}`
    const pieces = (async function* () {
      for (let at = 0; at < size; at += 70_000) yield dataSet.subarray(at, at + 70_000)
    })()
    assert.equal((await store(association, uid, pieces)).status, 0)
    assert.deepEqual(archive.dataSetOf(uid), dataSet)
  }
})

test('the transfer syntax of the context goes into the header', async (t) => {
  const { associate, archive } = await startServer(t)
  const association = await associate([context(CT, [JPEG_BASELINE])])
  await store(association, '1.2', randomBytes(100))
  assert.equal(archive.dataSetOf('1.2', JPEG_BASELINE)?.length, 100)
})

test('who sent it and what the command said goes with it', async (t) => {
  const { associate, archive } = await startServer(t)
  archive.onReceive = async (incoming) => {
    assert.deepEqual(incoming.source, { protocol: 'dimse', name: 'TEST', address: '127.0.0.1' })
    assert.deepEqual(incoming.expected, { sopClassUid: CT, sopInstanceUid: '1.2' })
    return receiptFor(incoming, 0)
  }
  const association = await associate([context(CT)])
  const response = await store(association, '1.2', sampleDataSet('1.2'))
  assert.equal(response.status, 0)
  assert.equal(response.command.affectedSopInstanceUid, '1.2')
  assert.equal(response.command.affectedSopClassUid, CT)
})

const refusals: [ArchiveErrorCode, number][] = [
  ['out_of_space', 0xa700],
  ['instance_mismatch', 0xa900],
  ['missing_identifier', 0xc000],
  ['not_dicom', 0xc000],
  ['dicomdir', 0x0122],
  ['catalogue_failed', 0x0110],
]
test('a refusal is answered after the rest of the data set, with a comment, and the association goes on', async (t) => {
  const { associate, archive, metrics } = await startServer(t)
  const association = await associate([context(CT)])
  for (const [code, status] of refusals) {
    archive.onReceive = async ({ body }) => {
      for await (const _ of body) throw new ArchiveError(code, `refused: ${code}`)
      throw new Error('no body')
    }
    const response = await store(association, '1.2', randomBytes(5_000_000))
    assert.equal(response.status, status)
    assert.equal(response.command.errorComment, `refused: ${code}`)
  }
  archive.onReceive = undefined
  assert.equal((await store(association, '1.3', randomBytes(10))).status, 0)
  assert.equal(metrics.operations.length, refusals.length + 1)
})

test('a defect of our own is a processing failure and does not tell details', async (t) => {
  const { associate, archive } = await startServer(t)
  archive.onReceive = async () => {
    throw new TypeError('secret')
  }
  const association = await associate([context(CT)])
  const response = await store(association, '1.2', randomBytes(10))
  assert.deepEqual([response.status, response.command.errorComment], [0x0110, 'internal error'])
})

test('an association that is aborted in the middle leaves nothing', async (t) => {
  const { associate, archive } = await startServer(t)
  const association = await associate([context(CT)])
  const body = (async function* () {
    yield randomBytes(500_000)
    yield randomBytes(500_000)
    association.abort('enough')
    yield randomBytes(500_000)
  })()
  await assert.rejects(store(association, '1.2', body), isAssociationError('aborted'))
  await until(() => archive.aborted === 1)
  assert.equal(archive.files.size, 0)
})

test('a slow archive makes the sender wait instead of filling memory', async (t) => {
  const { associate, archive } = await startServer(t)
  let sent = 0
  let read = 0
  let goOn = () => {}
  const held = new Promise<void>((resolve) => {
    goOn = resolve
  })
  archive.onReceive = async (incoming) => {
    for await (const part of incoming.body) {
      if (read > 0) await held
      read += part.length
    }
    return receiptFor(incoming, read)
  }
  const body = (async function* () {
    for (let n = 0; n < 64; n++) {
      yield Buffer.alloc(1_000_000)
      sent += 1_000_000
    }
  })()
  const association = await associate([context(CT)])
  const answer = store(association, '1.2', body)
  await until(() => sent > 0)
  await new Promise((resolve) => setTimeout(resolve, 150))
  // What the kernel's socket buffers hold on both sides, and the queue.
  assert.ok(sent < 24_000_000, `${sent} bytes were taken`)
  goOn()
  assert.equal((await answer).status, 0)
  assert.ok(read > 64_000_000)
})

test('C-STORE without a data set, with a bad UID or of another class is refused', async (t) => {
  const { associate } = await startServer(t)
  const association = await associate([context(CT)])
  const base = { commandField: CommandField.cStore, affectedSopClassUid: CT, affectedSopInstanceUid: '1.2' }
  assert.equal((await association.call(1, base)).status, 0xc000)
  const body = randomBytes(10)
  assert.equal((await association.call(1, { ...base, affectedSopInstanceUid: '../x' }, body)).status, 0xc000)
  assert.equal((await association.call(1, { ...base, affectedSopClassUid: '1.2.3' }, body)).status, 0xa900)
})

test('a command that the context is not for is refused', async (t) => {
  const { associate } = await startServer(t)
  const association = await associate([context(CT)])
  assert.equal((await association.call(1, { commandField: CommandField.cFind }, randomBytes(10))).status, 0x0211)
})

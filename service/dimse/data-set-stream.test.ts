import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isArchiveError } from '../errors.ts'
import { collect, IncomingDataSet } from './data-set-stream.ts'

function stream(queueBytesMax = 10) {
  const calls: string[] = []
  const flow = { full: () => calls.push('full'), room: () => calls.push('room') }
  return { dataSet: new IncomingDataSet(flow, queueBytesMax), calls }
}

const isAborted = (error: unknown) => isArchiveError(error, 'aborted')

test('gives the fragments in order and asks for a pause when the queue is full', async () => {
  const { dataSet, calls } = stream()
  dataSet.push(Buffer.from('12345'), false)
  dataSet.push(Buffer.from('67890'), false)
  assert.deepEqual(calls, ['full'])
  const whole = collect(dataSet, 100)
  await new Promise(setImmediate)
  assert.deepEqual(calls, ['full', 'room'])
  dataSet.push(Buffer.from('x'), true)
  assert.equal((await whole).toString(), '1234567890x')
})

test('throws aborted when the association ends first, but not after the last fragment', async () => {
  const cut = stream().dataSet
  cut.push(Buffer.from('1'), false)
  const reading = collect(cut, 100)
  cut.fail('gone')
  await assert.rejects(reading, isAborted)
  const whole = stream().dataSet
  whole.push(Buffer.from('1'), true)
  whole.fail('gone')
  assert.equal((await collect(whole, 100)).toString(), '1')
})

test('discarding ends with the last fragment, and whoever still reads does not mistake it for the end', async () => {
  const { dataSet } = stream()
  const reading = collect(dataSet, 100)
  await new Promise(setImmediate)
  const refused = assert.rejects(reading, isAborted)
  const discarding = dataSet.discard()
  await refused
  for (let n = 0; n < 100; n++) dataSet.push(Buffer.alloc(100), n === 99)
  await discarding
})

test('discarding ends when the association does', async () => {
  const { dataSet, calls } = stream()
  dataSet.push(Buffer.alloc(20), false)
  const discarding = dataSet.discard()
  assert.deepEqual(calls, ['full', 'room'])
  dataSet.fail('gone')
  await discarding
})

test('identifiers have a bound', async () => {
  const { dataSet } = stream(1000)
  dataSet.push(Buffer.alloc(60), false)
  dataSet.push(Buffer.alloc(60), true)
  await assert.rejects(collect(dataSet, 100), (error) => isArchiveError(error, 'too_large'))
})

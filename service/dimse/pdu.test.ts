import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  APPLICATION_CONTEXT_UID,
  type AssociateAccept,
  type AssociateRequest,
  decodeAbort,
  decodeAssociateAccept,
  decodeAssociateReject,
  decodeAssociateRequest,
  encodeAbort,
  encodeAssociateAccept,
  encodeAssociateReject,
  encodeAssociateRequest,
  encodePdvHeader,
  PduError,
} from './pdu.ts'
import { PduReader, type PduSink } from './pdu-reader.ts'

const aeTitle = fc.stringMatching(/^[A-Z0-9_]{1,16}$/)
const uid = fc.stringMatching(/^[1-9][0-9.]{0,62}[1-9]$/)
const ids = fc.uniqueArray(
  fc.integer({ min: 0, max: 127 }).map((n) => 2 * n + 1),
  { minLength: 1, maxLength: 128 },
)
const user = fc.record({
  maxPduBytes: fc.nat(),
  implementationClassUid: uid,
  implementationVersion: fc.stringMatching(/^[A-Z0-9]{0,16}$/),
  roles: fc.array(fc.record({ sopClassUid: uid, scu: fc.boolean(), scp: fc.boolean() }), { maxLength: 5 }),
})

const request: fc.Arbitrary<AssociateRequest> = ids.chain((idList) =>
  fc.record({
    protocolVersion: fc.constant(1),
    calledAeTitle: aeTitle,
    callingAeTitle: aeTitle,
    applicationContext: fc.constant(APPLICATION_CONTEXT_UID),
    contexts: fc.tuple(
      ...idList.map((id) =>
        fc.record({
          id: fc.constant(id),
          abstractSyntax: uid,
          transferSyntaxes: fc.array(uid, { minLength: 1, maxLength: 4 }),
        }),
      ),
    ),
    user,
  }),
)

const accept: fc.Arbitrary<AssociateAccept> = ids.chain((idList) =>
  fc.record({
    calledAeTitle: aeTitle,
    callingAeTitle: aeTitle,
    contexts: fc.tuple(
      ...idList.map((id) => fc.record({ id: fc.constant(id), result: fc.nat(4), transferSyntax: uid })),
    ),
    user,
  }),
)

/** Without the null prototypes that fast-check mixes in. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value))
}

test('association PDUs survive a round trip', () => {
  const runs = { numRuns: 50 }
  fc.assert(
    fc.property(request, (each) => {
      assert.deepEqual(decodeAssociateRequest(encodeAssociateRequest(each).subarray(6)), plain(each))
    }),
    runs,
  )
  fc.assert(
    fc.property(accept, (each) => {
      assert.deepEqual(decodeAssociateAccept(encodeAssociateAccept(each).subarray(6)), plain(each))
    }),
    runs,
  )
  const reject = { result: 1, source: 2, reason: 3 }
  assert.deepEqual(decodeAssociateReject(encodeAssociateReject(reject).subarray(6)), reject)
  assert.deepEqual(decodeAbort(encodeAbort({ source: 2, reason: 6 }).subarray(6)), { source: 2, reason: 6 })
})

test('any bytes in place of an association PDU are decoded or refused with PduError', () => {
  const decode = (bytes: Buffer) => {
    for (const each of [decodeAssociateRequest, decodeAssociateAccept]) {
      try {
        each(bytes)
      } catch (error) {
        assert.ok(error instanceof PduError, String(error))
      }
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => decode(Buffer.from(bytes))))
  const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(request, mutations, fc.nat(), (each, changes, cut) => {
      const bytes = encodeAssociateRequest(each).subarray(6)
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      decode(bytes.subarray(0, cut % 3 === 0 ? cut % bytes.length : bytes.length))
    }),
    { numRuns: 200 },
  )
})

interface Seen {
  pdus: string[]
  values: string[]
}

/** Notes what a reader finds, with the fragments of each value joined so that chunking doesn't show. */
function recorder(): { sink: PduSink; seen: Seen } {
  const seen: Seen = { pdus: [], values: [] }
  let open = ''
  const sink: PduSink = {
    begin: () => {},
    pdu: (type, body) => seen.pdus.push(`${type} ${body.toString('hex')}`),
    fragment: (contextId, isCommand, bytes, last) => {
      open += bytes.toString('hex')
      if (!last) return
      seen.values.push(`${contextId} ${isCommand} ${open}`)
      open = ''
    },
  }
  return { sink, seen }
}

test('the reader finds the same however the stream is cut, suspended or not', () => {
  const value = fc.record({
    contextId: fc.integer({ min: 0, max: 255 }),
    control: fc.integer({ min: 0, max: 3 }),
    bytes: fc.uint8Array({ maxLength: 200 }),
  })
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(fc.array(value, { maxLength: 10 }), cuts, fc.boolean(), (values, sizes, suspending) => {
      const stream = Buffer.concat([
        ...values.flatMap(({ contextId, control, bytes }) => [
          encodePdvHeader(contextId, control, bytes.length),
          Buffer.from(bytes),
        ]),
        encodeAbort({ source: 0, reason: 0 }),
      ])
      const whole = recorder()
      new PduReader(whole.sink, 1000).push(stream)
      const pieces = recorder()
      const reader = new PduReader(
        {
          ...pieces.sink,
          fragment: (...args) => {
            if (suspending) reader.suspend()
            pieces.sink.fragment(...args)
          },
        },
        1000,
      )
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1
        reader.push(stream.subarray(at, at + size))
        at += size
        while (reader.suspended) reader.resume()
      }
      assert.deepEqual(pieces.seen, whole.seen)
    }),
  )
})

test('the reader refuses lengths that were not announced or do not fit', () => {
  const push = (hex: string) => () => new PduReader(recorder().sink, 1000).push(Buffer.from(hex, 'hex'))
  assert.throws(push('0400000003e9'), /at most 1000/)
  assert.throws(push('04000000000000'), /no presentation data value/)
  assert.throws(push('0400000000080000000f0103'), /are left in its PDU/)
  assert.throws(push('040000000008000000010103'), /are left in its PDU/)
  assert.throws(push('04000000000a000000040103aabbccdd'), /stray bytes/)
  assert.throws(push('0100ffffffff'), /bytes/)
  assert.throws(push('050000000005'), /4 to 4/)
  assert.throws(push('474554202f20'), /unknown PDU type/)
})

test('any bytes end the reader with PduError or leave it waiting, with nothing piled up', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 7 }), (bytes, type) => {
      const stream = Buffer.concat([Buffer.from([type, 0, 0, 0]), Buffer.from(bytes)])
      try {
        new PduReader(recorder().sink, 1000).push(stream)
      } catch (error) {
        assert.ok(error instanceof PduError, String(error))
      }
    }),
  )
})

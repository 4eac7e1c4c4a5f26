import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import { dimseConfig } from '../config/dimse.ts'
import { CommandField, encodeCommand, NO_DATA_SET } from './command.ts'
import {
  CT,
  context,
  isAssociationError,
  rawSocket,
  readToEnd,
  receiptFor,
  sampleDataSet,
  silent,
  startServer,
  store,
  until,
} from './fakes.test.ts'
import { associationLimits } from './index.ts'
import { ownUserInformation } from './negotiation.ts'
import {
  APPLICATION_CONTEXT_UID,
  type AssociateRequest,
  decodeAssociateAccept,
  encodeAssociateRequest,
  encodePdvHeader,
  encodeReleaseRequest,
  PDV_COMMAND,
  PDV_LAST,
} from './pdu.ts'
import { echo } from './requestor.ts'
import { VERIFICATION } from './sop-classes.ts'

const IMPLICIT = '1.2.840.10008.1.2'

function proposal(more: Partial<AssociateRequest> = {}): Buffer {
  return encodeAssociateRequest({
    calledAeTitle: 'FIRN',
    callingAeTitle: 'RAW',
    applicationContext: APPLICATION_CONTEXT_UID,
    contexts: [context(VERIFICATION, [IMPLICIT], 1), context(CT, [IMPLICIT], 3)],
    user: ownUserInformation(16_384, []),
    ...more,
  })
}

function pdv(contextId: number, control: number, bytes: Buffer): Buffer {
  return Buffer.concat([encodePdvHeader(contextId, control, bytes.length), bytes])
}

const echoRequest = pdv(
  1,
  PDV_COMMAND | PDV_LAST,
  encodeCommand({
    commandField: CommandField.cEcho,
    messageId: 1,
    affectedSopClassUid: VERIFICATION,
    commandDataSetType: NO_DATA_SET,
  }),
)
const storeRequest = pdv(
  3,
  PDV_COMMAND | PDV_LAST,
  encodeCommand({
    commandField: CommandField.cStore,
    messageId: 2,
    affectedSopClassUid: CT,
    affectedSopInstanceUid: '1.2',
    commandDataSetType: 1,
  }),
)

test('C-ECHO is answered with success', async (t) => {
  const { port, limits, metrics } = await startServer(t)
  const peer = { aeTitle: 'FIRN', host: '127.0.0.1', port }
  assert.equal(await echo({ peer, callingAeTitle: 'TEST', limits, log: silent }), 0)
  await until(() => metrics.closed === 1)
  assert.deepEqual(metrics.operations, ['C-ECHO 0'])
})

test('contexts are accepted or refused one by one; of several transfer syntaxes the first', async (t) => {
  const { port } = await startServer(t, { acceptUnknownSopClasses: false })
  const socket = await rawSocket(t, port)
  const contexts = [
    context(CT, ['1.2.840.10008.1.2.4.50', IMPLICIT], 1),
    context('1.2.826.0.1.99', [IMPLICIT], 3),
    context('1.2.840.10008.5.1.4.1.2.2.1', ['1.2.840.10008.1.2.2', IMPLICIT], 5),
    context('1.2.840.10008.5.1.4.1.2.2.1', ['1.2.840.10008.1.2.2'], 7),
    context('1.2.840.10008.5.1.4.31', [IMPLICIT], 9),
  ]
  const roles = [
    { sopClassUid: CT, scu: false, scp: true },
    { sopClassUid: '1.2.826.0.1.99', scu: false, scp: true },
  ]
  socket.write(proposal({ contexts, user: ownUserInformation(0, roles) }))
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  const answer = decodeAssociateAccept(bytes.subarray(6))
  assert.deepEqual(
    answer.contexts.map((each) => each.result),
    [0, 3, 0, 4, 3],
  )
  assert.equal(answer.contexts[0]?.transferSyntax, '1.2.840.10008.1.2.4.50')
  assert.equal(answer.contexts[2]?.transferSyntax, IMPLICIT)
  assert.deepEqual(answer.user.roles, roles.slice(0, 1))
  assert.equal(answer.user.maxPduBytes, 262_144)
})

test('private SOP Classes are accepted for storage by default', async (t) => {
  const { associate } = await startServer(t)
  const association = await associate([context('1.2.826.0.1.99', [IMPLICIT, '1.2.826.7'])])
  assert.equal(association.contexts.get(1)?.transferSyntax, IMPLICIT)
})

const rejections: [string, Parameters<typeof startServer>[1], Partial<AssociateRequest>, number[]][] = [
  ['called AE title', { checkCalledAeTitle: true }, { calledAeTitle: 'OTHER' }, [1, 1, 7]],
  ['calling AE title', { allowedCallingAeTitles: ['FRIEND'] }, {}, [1, 1, 3]],
  ['application context', {}, { applicationContext: '1.2.3' }, [1, 1, 2]],
]
for (const [what, config, request, expected] of rejections) {
  test(`an association with the wrong ${what} is rejected`, async (t) => {
    const { port, metrics } = await startServer(t, config)
    const socket = await rawSocket(t, port)
    socket.write(proposal(request))
    assert.deepEqual([...(await readToEnd(socket))], [3, 0, 0, 0, 0, 4, 0, ...expected])
    assert.equal(metrics.rejected, 1)
  })
}

test('beyond the limit of associations the next is rejected as transient', async (t) => {
  const { associate, metrics } = await startServer(t, { associationsMax: 2 })
  const first = await associate([context(VERIFICATION)])
  await associate([context(VERIFICATION)])
  await assert.rejects(associate([context(VERIFICATION)]), /result 2, source 3, reason 2/)
  await first.release()
  await until(() => metrics.closed === 1)
  await associate([context(VERIFICATION)])
})

const wrongOrder: [string, Buffer[], number][] = [
  ['P-DATA before the association', [echoRequest], 2],
  ['a second A-ASSOCIATE-RQ', [proposal(), proposal()], 2],
  ['A-RELEASE-RP out of nowhere', [proposal(), Buffer.from('06000000000400000000', 'hex')], 2],
  ['an unknown PDU type', [proposal(), Buffer.from('99000000000400000000', 'hex')], 1],
  ['a PDU longer than announced', [proposal(), Buffer.from('040000100000', 'hex')], 6],
  ['a context that was not accepted', [proposal(), pdv(99, PDV_COMMAND | PDV_LAST, echoRequest.subarray(12))], 6],
  ['a data set without command', [proposal(), pdv(3, PDV_LAST, Buffer.alloc(10))], 5],
  ['a command within a data set', [proposal(), storeRequest, storeRequest], 5],
  ['a data set in another context', [proposal(), storeRequest, pdv(1, 0, Buffer.alloc(10))], 5],
  ['a release within a data set', [proposal(), storeRequest, encodeReleaseRequest()], 2],
  [
    'a response to nothing',
    [proposal(), pdv(1, 3, encodeCommand({ commandField: 0x8030, commandDataSetType: NO_DATA_SET }))],
    5,
  ],
  ['a command that is none', [proposal(), pdv(1, 3, Buffer.alloc(7))], 5],
]
for (const [what, pdus, reason] of wrongOrder) {
  test(`aborts on ${what}`, async (t) => {
    const { port } = await startServer(t)
    const socket = await rawSocket(t, port)
    for (const pdu of pdus) socket.write(pdu)
    const answer = await readToEnd(socket)
    assert.deepEqual([...answer.subarray(-10)], [7, 0, 0, 0, 0, 4, 0, 0, 2, reason])
  })
}

test('a connection that does not associate in time is closed', async (t) => {
  const { port } = await startServer(t, { artimSeconds: 0.1 })
  const socket = await rawSocket(t, port)
  socket.write(Buffer.from('0100000001ff', 'hex'))
  const slow = setInterval(() => socket.write(Buffer.from([0])), 20)
  t.after(() => clearInterval(slow))
  assert.equal((await readToEnd(socket)).length, 0)
})

test('a peer that dribbles its data set is aborted, and nothing of it is kept', async (t) => {
  const { port, archive } = await startServer(t, { idleSeconds: 0.15 })
  const socket = await rawSocket(t, port)
  socket.write(Buffer.concat([proposal(), storeRequest, encodePdvHeader(3, 0, 5000)]))
  const slow = setInterval(() => socket.write(Buffer.from([1])), 20)
  t.after(() => clearInterval(slow))
  const answer = await readToEnd(socket)
  assert.deepEqual([...answer.subarray(-10, -6)], [7, 0, 0, 0])
  await until(() => archive.aborted === 1)
  assert.equal(archive.files.size, 0)
})

test('an idle association is aborted, one with an operation under way is not', async (t) => {
  const { associate, archive } = await startServer(t, { idleSeconds: 0.1 })
  archive.onReceive = async (incoming) => {
    for await (const _ of incoming.body);
    await new Promise((resolve) => setTimeout(resolve, 300))
    return receiptFor(incoming, 0)
  }
  const association = await associate([context(CT)])
  assert.equal((await store(association, '1.2', sampleDataSet('1.2'))).status, 0)
  await until(() => association.ended.aborted)
  assert.equal(association.endCause.kind, 'aborted')
})

test('requests that come before the response wait their turn', async (t) => {
  const { port, metrics } = await startServer(t)
  const socket = await rawSocket(t, port)
  socket.write(Buffer.concat([proposal(), ...Array.from({ length: 50 }, () => echoRequest), encodeReleaseRequest()]))
  const answer = await readToEnd(socket)
  assert.equal(answer.at(-10), 6)
  assert.equal(metrics.operations.length, 50)
})

test('closing lets the operation under way finish and refuses what comes after', async (t) => {
  const { server, associate, archive, port } = await startServer(t)
  let goOn = () => {}
  const held = new Promise<void>((resolve) => {
    goOn = resolve
  })
  archive.onReceive = async (incoming) => {
    for await (const _ of incoming.body);
    await held
    return receiptFor(incoming, 0)
  }
  const association = await associate([context(CT)])
  const idle = await associate([context(VERIFICATION)])
  const answer = store(association, '1.2', sampleDataSet('1.2'))
  await until(() => association.state === 'established')
  await new Promise((resolve) => setTimeout(resolve, 20))
  const closing = server.close(5000)
  await until(() => idle.ended.aborted)
  await assert.rejects(associate([context(CT)]), isAssociationError('unreachable'))
  goOn()
  assert.equal((await answer).status, 0)
  await closing
  assert.ok(port > 0)
})

test('closing aborts what does not finish by the deadline', async (t) => {
  const { server, associate, archive } = await startServer(t)
  const association = await associate([context(CT)])
  const endless = (async function* () {
    for (;;) {
      yield Buffer.alloc(100)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })()
  const answer = store(association, '1.2', endless)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const failed = assert.rejects(answer, isAssociationError('aborted'))
  await server.close(100)
  await failed
  await until(() => archive.aborted === 1)
})

test('garbage and mutated streams end in a clean close within a second and the server goes on', async (t) => {
  const { port, associate } = await startServer(t, { idleSeconds: 0.2, artimSeconds: 0.2 })
  const good = Buffer.concat([
    proposal(),
    echoRequest,
    storeRequest,
    pdv(3, PDV_LAST, Buffer.alloc(200)),
    encodeReleaseRequest(),
  ])
  const send = async (bytes: Buffer): Promise<void> => {
    const socket = await rawSocket(t, port)
    const startedAt = performance.now()
    socket.write(bytes)
    await readToEnd(socket)
    assert.ok(performance.now() - startedAt < 2000, 'took too long')
  }
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255))
  const streams = [
    ...fc.sample(fc.uint8Array({ maxLength: 500 }), { numRuns: 40, seed: 1 }).map((each) => Buffer.from(each)),
    ...fc.sample(fc.array(change, { minLength: 1, maxLength: 6 }), { numRuns: 160, seed: 2 }).map((changes) => {
      const bytes = Buffer.from(good)
      for (const [at, value] of changes) bytes[at] = value
      return bytes
    }),
  ]
  for (let at = 0; at < streams.length; at += 40) await Promise.all(streams.slice(at, at + 40).map(send))
  const association = await associate([context(VERIFICATION)])
  const response = await association.call(1, { commandField: CommandField.cEcho, affectedSopClassUid: VERIFICATION })
  assert.equal(response.status, 0)
})

test('C-CANCEL may carry a data set that nobody wants without blocking the association', async (t) => {
  const { port, metrics } = await startServer(t, { maxPduBytes: 262_144 })
  const socket = await rawSocket(t, port)
  const cancel = encodeCommand({
    commandField: CommandField.cCancel,
    messageIdBeingRespondedTo: 9,
    commandDataSetType: 1,
  })
  const pieces = Array.from({ length: 12 }, () => pdv(1, 0, Buffer.alloc(200_000)))
  const rest = [pdv(1, PDV_LAST, Buffer.alloc(10)), echoRequest, encodeReleaseRequest()]
  socket.write(Buffer.concat([proposal(), pdv(1, PDV_COMMAND | PDV_LAST, cancel), ...pieces, ...rest]))
  assert.equal((await readToEnd(socket)).at(-10), 6)
  assert.deepEqual(metrics.operations, ['C-ECHO 0'])
})

test('a sender that is slow at its own end is not taken for a peer that is quiet', async (t) => {
  const { associate } = await startServer(t)
  const limits = { ...associationLimits(dimseConfig.parse({})), idleMs: 60 }
  const association = await associate([context(CT)], { limits })
  const slow = (async function* () {
    for (let n = 0; n < 6; n++) {
      await new Promise((resolve) => setTimeout(resolve, 40))
      yield Buffer.alloc(1000)
    }
  })()
  assert.equal((await store(association, '1.2', slow)).status, 0)
})

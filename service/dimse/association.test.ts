import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { dimseConfig } from '../config/dimse.ts'
import { Association } from './association.ts'
import type { AssociationLimits, AssociationOwner, Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { context, isAssociationError, silent, until } from './fakes.test.ts'
import { associationLimits } from './index.ts'
import { negotiate } from './negotiation.ts'
import { openAssociation } from './requestor.ts'
import { VERIFICATION } from './sop-classes.ts'

const limits: AssociationLimits = { ...associationLimits(dimseConfig.parse({})), idleMs: 2000, artimMs: 2000 }

const policy = {
  aeTitle: 'SCP',
  checkCalledAeTitle: false,
  allowedCallingAeTitles: [],
  maxPduBytes: limits.maxPduBytes,
  serves: () => true,
  peerMayProvide: () => true,
  choose: (proposed: string, syntaxes: readonly string[]) => (proposed === '' ? undefined : syntaxes[0]),
}

/** Both ends of one association. */
async function pair(t: TestContext, owner: Partial<AssociationOwner> = {}, clientLimits = limits) {
  const accepted: Association[] = []
  const operate = async (operation: Operation) => operation.association.respond(operation, { status: 0 })
  const server = createServer((socket) => {
    const associate: AssociationOwner['associate'] = (request) => negotiate(request, policy)
    accepted.push(new Association(socket, { associate, operate, ...owner }, limits, silent, false))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const peer = { aeTitle: 'SCP', host: '127.0.0.1', port }
  const contexts = [context(VERIFICATION)]
  const requestor = await openAssociation({ peer, callingAeTitle: 'SCU', contexts, limits: clientLimits, log: silent })
  const acceptor = accepted[0]
  assert.ok(acceptor)
  t.after(() => {
    requestor.abort('the test is over')
    acceptor.abort('the test is over')
  })
  return { requestor, acceptor }
}

const echo = { commandField: CommandField.cEcho, affectedSopClassUid: VERIFICATION }

test('either side may release', async (t) => {
  const first = await pair(t)
  await first.requestor.release()
  await first.acceptor.settled()
  assert.deepEqual([first.requestor.endCause.kind, first.acceptor.endCause.kind], ['closed', 'closed'])
  const second = await pair(t)
  await second.acceptor.release()
  await second.requestor.settled()
  assert.deepEqual([second.requestor.endCause.kind, second.acceptor.endCause.kind], ['closed', 'closed'])
})

test('both may ask for release at the same time', async (t) => {
  const { requestor, acceptor } = await pair(t)
  await Promise.all([requestor.release(), acceptor.release()])
  assert.deepEqual([requestor.endCause.message, acceptor.endCause.message], ['released', 'released'])
})

test('both sides can make requests', async (t) => {
  const operate = async (operation: Operation) => operation.association.respond(operation, { status: 0x0110 })
  const { requestor, acceptor } = await pair(t, { operate })
  assert.equal((await requestor.call(1, echo)).status, 0x0110)
  assert.equal((await acceptor.call(1, echo)).status, 0x0211)
})

test('an abort reaches the other side and whoever waits there', async (t) => {
  const { requestor, acceptor } = await pair(t, { operate: async ({ association }) => association.settled() })
  const answer = assert.rejects(requestor.call(1, echo), isAssociationError('aborted'))
  await until(() => acceptor.operations === 1)
  acceptor.abort('enough')
  await answer
  await assert.rejects(requestor.call(1, echo), isAssociationError('aborted'))
})

test('an operation that fails unanswered aborts the association', async (t) => {
  const operate = async () => {
    throw new Error('defect')
  }
  const { requestor } = await pair(t, { operate })
  await assert.rejects(requestor.call(1, echo), isAssociationError('aborted'))
})

test('a response that does not come in time ends the association', async (t) => {
  const never = new Promise<void>(() => {})
  const { requestor } = await pair(t, { operate: () => never }, { ...limits, idleMs: 80 })
  await assert.rejects(requestor.call(1, echo), isAssociationError('timeout'))
})

test('a release is answered after the operation under way, which is told', async (t) => {
  let told = false
  const operate = async (operation: Operation) => {
    await new Promise((resolve) => operation.cancelled.addEventListener('abort', resolve))
    told = !operation.association.ended.aborted
    await operation.association.respond(operation, { status: 0xfe00 })
  }
  const { requestor, acceptor } = await pair(t, { operate })
  const answer = requestor.call(1, echo)
  await until(() => acceptor.operations === 1)
  const released = requestor.release()
  assert.equal((await answer).status, 0xfe00)
  await released
  assert.ok(told)
})

test('many answers wait for a slow reader instead of piling up', async (t) => {
  let sent = 0
  const operate = async (operation: Operation) => {
    for (; sent < 1000; sent++) await operation.association.respond(operation, { status: 0xff00 }, Buffer.alloc(50_000))
    await operation.association.respond(operation, { status: 0 })
  }
  const { requestor } = await pair(t, { operate })
  const answers = requestor.request(1, echo)
  await answers.next()
  await new Promise((resolve) => setTimeout(resolve, 150))
  assert.ok(sent < 700, `${sent} were sent`)
  let count = 1
  for await (const response of answers) if (!response.final) count++
  assert.equal(count, 1000)
})

test('a peer that takes no data is given up', async (t) => {
  const { requestor } = await pair(
    t,
    { operate: async ({ dataSet }) => new Promise(() => dataSet) },
    { ...limits, idleMs: 100 },
  )
  const endless = (async function* () {
    for (;;) yield Buffer.alloc(1_000_000)
  })()
  await assert.rejects(requestor.call(1, echo, endless), isAssociationError('timeout'))
})

test('an unreachable and a silent peer are told apart', async () => {
  const server = createServer((socket) => socket.resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const quick = { ...limits, artimMs: 80 }
  const open = () =>
    openAssociation({
      peer: { aeTitle: 'SCP', host: '127.0.0.1', port },
      callingAeTitle: 'SCU',
      contexts: [context(VERIFICATION)],
      limits: quick,
      log: silent,
    })
  await assert.rejects(open(), isAssociationError('timeout'))
  server.close()
  await once(server, 'close')
  await assert.rejects(open(), isAssociationError('unreachable'))
})

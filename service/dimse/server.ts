import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Logger } from 'pino'
import type { AuditTrail } from '../audit/ports.ts'
import { Association } from './association.ts'
import type { AssociationLimits, Decision, Operation } from './association-types.ts'
import { tellRejected } from './audit.ts'
import { commandName } from './command.ts'
import { LOCAL_LIMIT_EXCEEDED, negotiate, type Policy } from './negotiation.ts'
import type { AssociateRequest } from './pdu.ts'
import type { DimseService } from './service.ts'
import { Status } from './status-map.ts'

/** Counters; main.ts binds them to whatever exports metrics. */
export interface DimseMetrics {
  associationOpened(): void
  associationClosed(): void
  associationRejected(): void
  /** One operation carried out as SCP: `C-STORE` and so on, its final DIMSE status, how long it took. */
  operation(command: string, status: number, seconds: number): void
}

export interface ListenerOptions {
  host: string
  port: number
  /** PEM files. */
  tls?: { key: string; cert: string; ca?: string | undefined } | undefined
  associationsMax: number
  policy: Omit<Policy, 'serves' | 'choose' | 'peerMayProvide'>
  limits: AssociationLimits
  services: readonly DimseService[]
  audit: AuditTrail
  log: Logger
  metrics: DimseMetrics
}

export interface Listener {
  /** Rejects when the port can't be had or a TLS file can't be read. */
  listen(): Promise<{ port: number }>
  /** Takes no new associations, lets operations under way finish, aborts what is left after `deadlineMs`. */
  close(deadlineMs: number): Promise<void>
}

/** How long peers may take to close their side after everything has been said. */
const CLOSING_MS = 250

/** Resolves when the work is done, or `ms` later. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}

export class DimseServer implements Listener {
  readonly #options: ListenerOptions
  readonly #policy: Policy
  readonly #open = new Set<Association>()
  readonly #established = new Set<Association>()
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #closing = false

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#policy = {
      ...options.policy,
      serves: (uid) => this.#serviceFor(uid) !== undefined,
      choose: (uid, proposed, toSend) => this.#serviceFor(uid)?.choose(proposed, toSend),
      peerMayProvide: (uid) => this.#serviceFor(uid)?.peerMayProvide ?? true,
    }
  }

  async listen(): Promise<{ port: number }> {
    const server = await this.#createServer()
    this.#server = server
    // Beyond associationsMax a connection lives just long enough to be told so; beyond this, not even that.
    server.maxConnections = 2 * this.#options.associationsMax + 16
    const { host, port } = this.#options
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        server.on('error', (error) => this.#options.log.error({ err: error }, 'DIMSE listener failed'))
        resolve()
      })
    })
    const address = server.address()
    return { port: typeof address === 'object' && address ? address.port : port }
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closing = true
    const closed = new Promise<void>((resolve) => {
      if (this.#server) this.#server.close(() => resolve())
      else resolve()
    })
    for (const association of [...this.#open]) association.stop()
    await within(deadlineMs, Promise.all([...this.#open].map((association) => association.settled())))
    for (const association of [...this.#open]) association.abort('the service has stopped')
    await within(CLOSING_MS, closed)
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #createServer(): Promise<Server> {
    const { tls, limits } = this.#options
    if (!tls) return createServer((socket) => this.#onConnection(socket))
    const [key, cert, ca] = await Promise.all([
      readFile(tls.key),
      readFile(tls.cert),
      tls.ca === undefined ? undefined : readFile(tls.ca),
    ])
    const clients = ca ? { ca, requestCert: true, rejectUnauthorized: true } : {}
    const server = createTlsServer({ key, cert, ...clients, handshakeTimeout: limits.artimMs })
    server.on('secureConnection', (socket) => this.#onConnection(socket))
    server.on('tlsClientError', (error, { remoteAddress = '' }) => {
      this.#options.log.warn({ err: error }, 'TLS handshake failed')
      const who = { name: '', role: 'dimse', from: remoteAddress }
      this.#options.audit.denied(who, { service: 'dimse', reason: 'TLS handshake' })
    })
    return server
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const log = this.#options.log.child({ association: randomUUID(), peer: socket.remoteAddress })
    const owner = {
      associate: (request: AssociateRequest, association: Association) => this.#associate(request, association),
      operate: (operation: Operation) => this.#operate(operation),
      ended: (association: Association) => this.#onEnded(association),
    }
    this.#open.add(new Association(socket, owner, this.#options.limits, log, false))
  }

  #associate(request: AssociateRequest, association: Association): Decision {
    const { associationsMax, metrics } = this.#options
    const isFull = this.#closing || this.#established.size >= associationsMax
    const decision = isFull ? { reject: LOCAL_LIMIT_EXCEEDED } : negotiate(request, this.#policy)
    const { callingAeTitle, calledAeTitle } = request
    if ('reject' in decision) {
      metrics.associationRejected()
      tellRejected(this.#options.audit, association, decision.reject)
      association.log.warn({ callingAeTitle, calledAeTitle, ...decision.reject }, 'association rejected')
      return decision
    }
    this.#established.add(association)
    metrics.associationOpened()
    const proposed = request.contexts.length
    association.log.info({ callingAeTitle, calledAeTitle, proposed, accepted: decision.contexts.length }, 'association')
    return decision
  }

  #onEnded(association: Association): void {
    association.settled().then(() => this.#open.delete(association))
    if (!this.#established.delete(association)) return
    this.#options.metrics.associationClosed()
    association.log.info(
      { cause: association.endCause.message, operations: association.operations },
      'association ended',
    )
  }

  #serviceFor(abstractSyntax: string): DimseService | undefined {
    return this.#options.services.find((service) => service.serves(abstractSyntax))
  }

  async #operate(operation: Operation): Promise<void> {
    const startedAt = performance.now()
    const { command, context } = operation
    const service = this.#serviceFor(context.abstractSyntax)
    const status = service?.commands.includes(command.commandField)
      ? await service.operate(operation)
      : await refuse(operation)
    const seconds = (performance.now() - startedAt) / 1000
    this.#options.metrics.operation(commandName(command.commandField), status, seconds)
  }
}

async function refuse(operation: Operation): Promise<number> {
  await operation.dataSet?.discard()
  await operation.association.respond(operation, { status: Status.unrecognizedOperation })
  return Status.unrecognizedOperation
}

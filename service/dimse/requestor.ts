import { readFile } from 'node:fs/promises'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Logger } from 'pino'
import { IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import { Association } from './association.ts'
import { AssociationError, type AssociationLimits, type AssociationOwner, type Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { ownUserInformation } from './negotiation.ts'
import { APPLICATION_CONTEXT_UID, type ProposedContext, type RoleSelection } from './pdu.ts'
import { VERIFICATION } from './sop-classes.ts'
import { Status } from './status-map.ts'

/** Where a peer is. */
export interface Peer {
  aeTitle: string
  host: string
  port: number
  /** PEM files; `ca` replaces the system's authorities, `key` and `cert` are shown to the peer. */
  tls?: { ca?: string | undefined; key?: string | undefined; cert?: string | undefined } | undefined
}

export interface RequestorOptions {
  peer: Peer
  callingAeTitle: string
  /** At most 128. */
  contexts: readonly ProposedContext[]
  roles?: readonly RoleSelection[]
  limits: AssociationLimits
  log: Logger
  /** Carries out what the peer asks for on this association; without it such requests are refused. */
  operate?: AssociationOwner['operate']
}

async function openSocket({ host, port, tls }: Peer, timeoutMs: number): Promise<Socket> {
  const read = async (file: string | undefined) => (file === undefined ? undefined : readFile(file))
  const pem = tls ? await Promise.all([read(tls.ca), read(tls.key), read(tls.cert)]) : undefined
  const [ca, key, cert] = pem ?? []
  const servername = isIP(host) ? undefined : host
  return new Promise((resolve, reject) => {
    const socket = pem
      ? connectTls({ host, port, ca, key, cert, ...(servername && { servername }) })
      : connect({ host, port })
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs)
    const settle = (act: () => void) => {
      clearTimeout(timer)
      socket.off('error', onError)
      act()
    }
    const onError = (error: Error) => settle(() => reject(error))
    socket.once('error', onError)
    socket.once(pem ? 'secureConnect' : 'connect', () => settle(() => resolve(socket)))
  })
}

async function refuse(operation: Operation): Promise<void> {
  await operation.dataSet?.discard()
  await operation.association.respond(operation, { status: Status.unrecognizedOperation })
}

/** Opens an association as its requestor. Rejects with AssociationError. */
export async function openAssociation(options: RequestorOptions): Promise<Association> {
  const { peer, callingAeTitle, contexts, roles = [], limits, log, operate = refuse } = options
  let socket: Socket
  try {
    socket = await openSocket(peer, limits.artimMs)
  } catch (cause) {
    throw new AssociationError('unreachable', `${peer.aeTitle} can't be reached: ${String(cause)}`, { cause })
  }
  const association = new Association(socket, { operate }, limits, log, true)
  await association.propose({
    protocolVersion: 1,
    calledAeTitle: peer.aeTitle,
    callingAeTitle,
    applicationContext: APPLICATION_CONTEXT_UID,
    contexts: [...contexts],
    user: ownUserInformation(limits.maxPduBytes, [...roles]),
  })
  return association
}

/** C-ECHO as SCU: gives the status. Rejects with AssociationError. */
export async function echo(options: Omit<RequestorOptions, 'contexts' | 'roles' | 'operate'>): Promise<number> {
  const contexts = [{ id: 1, abstractSyntax: VERIFICATION, transferSyntaxes: [IMPLICIT_LITTLE_ENDIAN] }]
  const association = await openAssociation({ ...options, contexts })
  try {
    const context = association.findContext(VERIFICATION)
    if (!context) throw new AssociationError('rejected', `${options.peer.aeTitle} doesn't accept Verification`)
    const command = { commandField: CommandField.cEcho, affectedSopClassUid: VERIFICATION }
    return (await association.call(context.id, command)).status
  } finally {
    await association.release()
  }
}

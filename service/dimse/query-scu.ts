import type { Logger } from 'pino'
import { decodeDataSet } from '../dicom/decode.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Association } from './association.ts'
import type { AcceptedContext, AssociationLimits } from './association-types.ts'
import { CommandField } from './command.ts'
import { identifierEncoding } from './identifier.ts'
import type { ProposedContext } from './pdu.ts'
import { openAssociation, type Peer, type RequestorOptions } from './requestor.ts'
import { isPending, isWarning, Status } from './status-map.ts'

export const STUDY_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.2.1'
export const STUDY_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.2.2'
export const STUDY_ROOT_GET = '1.2.840.10008.5.1.4.1.2.2.3'

const MEDIUM_PRIORITY = 0

/** What every request to another archive needs. */
export interface ScuOptions {
  peer: Peer
  callingAeTitle: string
  limits: AssociationLimits
  log: Logger
}

export const queryContext = (id: number, abstractSyntax: string): ProposedContext => ({
  id,
  abstractSyntax,
  transferSyntaxes: [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN],
})

/**
 * Opens an association for one request, and ends it when `signal` is aborted. Throws ArchiveError `unavailable` when there is
 * none to be had, or when the peer doesn't serve the SOP Class.
 */
export async function associate(
  options: ScuOptions & Pick<RequestorOptions, 'contexts' | 'roles' | 'operate'>,
  sopClassUid: string,
  signal: AbortSignal,
): Promise<{ association: Association; context: AcceptedContext; end(): Promise<void> }> {
  signal.throwIfAborted()
  const association = await openAssociation(options).catch((error: Error) => {
    throw new ArchiveError('unavailable', error.message, { cause: error })
  })
  const stop = (): void => association.abort('the request was given up')
  signal.addEventListener('abort', stop, { once: true })
  const end = async (): Promise<void> => {
    signal.removeEventListener('abort', stop)
    await association.release()
  }
  const context = association.findContext(sopClassUid)
  if (context) return { association, context, end }
  await end()
  throw new ArchiveError('unavailable', `${options.peer.aeTitle} does not serve SOP Class ${sopClassUid}`)
}

/** C-FIND as SCU (PS3.4 C.4.1), Study Root. Leaving it early cancels. Throws ArchiveError `unavailable`. */
export async function* find(
  options: ScuOptions,
  identifier: DicomJson,
  signal: AbortSignal,
): AsyncGenerator<DicomJson> {
  const contexts = [queryContext(1, STUDY_ROOT_FIND)]
  const { association, context, end } = await associate({ ...options, contexts }, STUDY_ROOT_FIND, signal)
  const command = { commandField: CommandField.cFind, affectedSopClassUid: STUDY_ROOT_FIND, priority: MEDIUM_PRIORITY }
  try {
    const body = encodeDataSet(identifier, identifierEncoding(context.transferSyntax))
    for await (const { status, dataSet, command: response } of association.request(context.id, command, body)) {
      if (isPending(status)) {
        if (dataSet) yield decodeDataSet(dataSet, context.transferSyntax)
      } else if (status !== Status.success && status !== Status.cancel) {
        throw failed('C-FIND', options.peer, status, response.errorComment)
      }
    }
  } catch (error) {
    throw asUnavailable(error)
  } finally {
    await end()
  }
}

/** Sends C-GET or C-MOVE and waits for its end. Throws ArchiveError `unavailable` when nothing came of it. */
export async function retrieve(
  association: Association,
  context: AcceptedContext,
  { moveDestination, identifier, peer }: { moveDestination?: string; identifier: DicomJson; peer: Peer },
): Promise<void> {
  const name = moveDestination === undefined ? 'C-GET' : 'C-MOVE'
  const command = {
    commandField: moveDestination === undefined ? CommandField.cGet : CommandField.cMove,
    affectedSopClassUid: context.abstractSyntax,
    priority: MEDIUM_PRIORITY,
    ...(moveDestination === undefined ? {} : { moveDestination }),
  }
  const body = encodeDataSet(identifier, identifierEncoding(context.transferSyntax))
  try {
    for await (const { status, command: response } of association.request(context.id, command, body)) {
      // With a warning some instances did not come: which ones, the comparison tells.
      if (isPending(status) || status === Status.success || isWarning(status)) continue
      throw failed(name, peer, status, response.errorComment)
    }
  } catch (error) {
    throw asUnavailable(error)
  }
}

function failed(name: string, { aeTitle }: Peer, status: number, comment: string | undefined): ArchiveError {
  const said = comment ? `: ${comment}` : ''
  return new ArchiveError('unavailable', `${aeTitle} answers ${name} with status ${status.toString(16)}${said}`)
}

export function asUnavailable(error: unknown): ArchiveError {
  if (error instanceof ArchiveError) return error
  return new ArchiveError('unavailable', (error as Error).message, { cause: error })
}

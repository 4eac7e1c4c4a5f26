import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/fileMeta.ts'
import type { AcceptedContext, Decision } from './association-types.ts'
import {
  APPLICATION_CONTEXT_UID,
  type AssociateAccept,
  type AssociateReject,
  type AssociateRequest,
  type ContextResult,
  type ProposedContext,
  type RoleSelection,
  type UserInformation,
} from './pdu.ts'

/** PS3.8 Table 9-18. */
const ContextResultCode = { accepted: 0, abstractSyntaxNotSupported: 3, transferSyntaxesNotSupported: 4 } as const

/** PS3.8 Table 9-21. */
const Reject = {
  applicationContext: { result: 1, source: 1, reason: 2 },
  callingAeTitle: { result: 1, source: 1, reason: 3 },
  calledAeTitle: { result: 1, source: 1, reason: 7 },
  protocolVersion: { result: 1, source: 2, reason: 2 },
} as const

/** Transient: the peer may try again later. */
export const LOCAL_LIMIT_EXCEEDED: AssociateReject = { result: 2, source: 3, reason: 2 }

/** What of a proposed association is accepted. */
export interface Policy {
  aeTitle: string
  checkCalledAeTitle: boolean
  /** Empty: everyone. */
  allowedCallingAeTitles: readonly string[]
  maxPduBytes: number
  /** Whether a SOP Class is served. */
  serves(abstractSyntax: string): boolean
  /**
   * The transfer syntax to accept for a SOP Class that is served, undefined for none of them. `toSend`: Firn may be the
   * one who sends instances in the context (C-GET).
   */
  choose(abstractSyntax: string, proposed: readonly string[], toSend: boolean): string | undefined
  /** Whether the association's requestor may be the SCP of a SOP Class that is served. */
  peerMayProvide(abstractSyntax: string): boolean
}

export function ownUserInformation(maxPduBytes: number, roles: RoleSelection[]): UserInformation {
  return {
    maxPduBytes,
    implementationClassUid: IMPLEMENTATION_CLASS_UID,
    implementationVersion: IMPLEMENTATION_VERSION_NAME,
    roles,
  }
}

function refusal(request: AssociateRequest, policy: Policy): AssociateReject | undefined {
  if ((request.protocolVersion & 1) === 0) return Reject.protocolVersion
  if (request.applicationContext !== APPLICATION_CONTEXT_UID) return Reject.applicationContext
  if (policy.checkCalledAeTitle && request.calledAeTitle !== policy.aeTitle) return Reject.calledAeTitle
  const allowed = policy.allowedCallingAeTitles
  if (allowed.length > 0 && !allowed.includes(request.callingAeTitle)) return Reject.callingAeTitle
  return undefined
}

function answer(context: ProposedContext, policy: Policy, roles: readonly RoleSelection[]): ContextResult {
  const { id, abstractSyntax, transferSyntaxes } = context
  const insignificant = transferSyntaxes[0] ?? ''
  if (!policy.serves(abstractSyntax)) {
    return { id, result: ContextResultCode.abstractSyntaxNotSupported, transferSyntax: insignificant }
  }
  const toSend = roles.some((role) => role.sopClassUid === abstractSyntax && role.scp)
  const transferSyntax = policy.choose(abstractSyntax, transferSyntaxes, toSend)
  if (transferSyntax === undefined) {
    return { id, result: ContextResultCode.transferSyntaxesNotSupported, transferSyntax: insignificant }
  }
  return { id, result: ContextResultCode.accepted, transferSyntax }
}

function accepted(
  proposed: readonly ProposedContext[],
  results: readonly ContextResult[],
  roles: readonly RoleSelection[],
): AcceptedContext[] {
  const bySopClass = new Map(roles.map((role) => [role.sopClassUid, role]))
  const proposals = new Map(proposed.map((context) => [context.id, context]))
  return results.flatMap(({ id, result, transferSyntax }) => {
    const proposal = proposals.get(id)
    if (result !== ContextResultCode.accepted || !proposal?.transferSyntaxes.includes(transferSyntax)) return []
    const role = bySopClass.get(proposal.abstractSyntax)
    const { abstractSyntax } = proposal
    return [
      { id, abstractSyntax, transferSyntax, requestorIsScu: role?.scu ?? true, requestorIsScp: role?.scp ?? false },
    ]
  })
}

/**
 * The acceptor's answer (PS3.8 7.1). Roles are accepted as proposed, for SOP Classes that are accepted; but nobody is SCP of
 * one of which Firn is never the SCU.
 */
export function negotiate(request: AssociateRequest, policy: Policy): Decision {
  const reject = refusal(request, policy)
  if (reject) return { reject }
  const granted = request.user.roles.map((role) => ({
    ...role,
    scp: role.scp && policy.peerMayProvide(role.sopClassUid),
  }))
  const results = request.contexts.map((context) => answer(context, policy, granted))
  const contexts = accepted(request.contexts, results, granted)
  const served = new Set(contexts.map((context) => context.abstractSyntax))
  const roles = granted.filter((role) => served.has(role.sopClassUid))
  const { calledAeTitle, callingAeTitle } = request
  const user = ownUserInformation(policy.maxPduBytes, roles)
  return { contexts, accept: { calledAeTitle, callingAeTitle, contexts: results, user } }
}

/** The requestor's view of an answer: contexts that were accepted with something that was proposed. */
export function agreedContexts(request: AssociateRequest | undefined, accept: AssociateAccept): AcceptedContext[] {
  return accepted(request?.contexts ?? [], accept.contexts, accept.user.roles)
}

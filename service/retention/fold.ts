import {
  type Certificate,
  type Disposition,
  type DispositionState,
  type DispositionStep,
  type DispositionSubject,
  FIRN,
  hasEnoughPersons,
  type RecheckBlock,
} from '../../retention/disposition.ts'
import type { DecisionRecord } from '../../retention/record.ts'

/** An event about a disposition, as the catalogue keeps it. */
export interface StepRecord {
  readonly kind: string
  readonly site: string
  readonly seq: number
  readonly by: string
  readonly at: string
  readonly data: Readonly<Record<string, unknown>>
}

/** A disposition as its events tell it, with what only its later ones have. */
export interface FoldedDisposition {
  readonly disposition: Disposition
  /** The last decision before the commit: what it is destroyed by, whatever is left of it in the catalogue. */
  readonly decision?: DecisionRecord
  readonly certificate?: Certificate
  readonly digest?: string
}

const ORDER = ['listed', 'reviewed', 'approved', 'rejected', 'aborted', 'committed', 'destroyed']
const rank = ({ kind }: StepRecord): number => ORDER.indexOf(kind.slice('disposition.'.length))

/**
 * What events make of a disposition. Their order is that of the steps, then of the logs, so two sites that know the same
 * events see the same. A commit can't be undone: a rejection that the other site wrote meanwhile comes too late, as one
 * after the commit would. Undefined as long as nobody has listed it.
 */
export function foldDisposition(
  id: string,
  studyUid: string,
  records: readonly StepRecord[],
): FoldedDisposition | undefined {
  const inOrder = records
    .filter((record) => rank(record) >= 0)
    .sort((a, b) => rank(a) - rank(b) || (a.site < b.site ? -1 : a.site > b.site ? 1 : a.seq - b.seq))
  const listed = inOrder.find(({ kind }) => kind === 'disposition.listed')
  if (!listed) return undefined
  const committed = inOrder.some(({ kind }) => kind === 'disposition.committed')
  let folded: FoldedDisposition = {
    disposition: {
      id,
      subject: { ...(listed.data.subject as DispositionSubject), studyUid },
      approvalsNeeded: Number(listed.data.approvals ?? 2),
      state: 'candidate',
      approvedBy: [],
      steps: [{ to: 'candidate', by: FIRN, at: listed.at }],
    },
  }
  for (const record of inOrder) folded = applied(folded, record, committed)
  return folded
}

function applied(folded: FoldedDisposition, record: StepRecord, committed: boolean): FoldedDisposition {
  const { disposition } = folded
  const { by, at, data } = record
  const reason = typeof data.reason === 'string' ? data.reason : undefined
  const go = (
    to: DispositionState,
    change: Partial<Disposition> = {},
    blocks?: readonly RecheckBlock[],
  ): Disposition => {
    const step: DispositionStep = {
      to,
      by,
      at,
      ...(reason === undefined ? {} : { reason }),
      ...(blocks ? { blocks } : {}),
    }
    return { ...disposition, ...change, state: to, steps: [...disposition.steps, step] }
  }
  const with_ = (next: Disposition): FoldedDisposition => ({ ...folded, disposition: next })
  const ended = disposition.state === 'rejected' || disposition.state === 'aborted'
  switch (record.kind) {
    case 'disposition.reviewed':
      if (data.accepted !== true) return committed || ended ? folded : with_(go('rejected'))
      return disposition.reviewedBy === undefined && !ended ? with_(go('reviewed', { reviewedBy: by })) : folded
    case 'disposition.approved': {
      if (disposition.reviewedBy === undefined || ended) return folded
      const approvedBy = [...disposition.approvedBy, by]
      const enough = hasEnoughPersons({ ...disposition, approvedBy }, disposition.approvalsNeeded)
      return with_(go(enough ? 'approved' : 'reviewed', { approvedBy }))
    }
    case 'disposition.rejected':
      return committed || ended ? folded : with_(go('rejected'))
    case 'disposition.aborted':
      return committed || ended ? folded : with_(go('aborted', {}, data.blocks as readonly RecheckBlock[] | undefined))
    case 'disposition.committed': {
      const decision = data.decision as DecisionRecord | undefined
      if (disposition.state === 'destroying') return folded
      return { ...with_(go('destroying', { proposal: Number(data.proposal) })), ...(decision ? { decision } : {}) }
    }
    case 'disposition.destroyed': {
      const certificate = data.certificate as Certificate | undefined
      const digest = String(data.digest)
      return { ...with_(go('certified')), ...(certificate ? { certificate } : {}), digest }
    }
    default:
      return folded
  }
}

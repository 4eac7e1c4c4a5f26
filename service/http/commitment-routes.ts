import { z } from 'zod'
import type { Commitments, Transaction } from '../commitment/ports.ts'
import { ArchiveError } from '../errors.ts'
import { type ApiContext, count, pageSize, route, timestamp, uid } from './api-routes.ts'

const state = z
  .enum(['pending', 'answered', 'done', 'undelivered'])
  .describe('answered: decided, and the AE has yet to be told; undelivered: decided, and the AE never took it')

const transactionSchema = z.object({
  id: z.int().min(1),
  transactionUid: uid,
  protocol: z.enum(['dimse', 'dicomweb']),
  requester: z.string().describe('calling AE title, or name of the token'),
  address: z.string(),
  references: count.describe('instances that the request names'),
  committed: count,
  failed: count,
  state,
  requestedAt: timestamp,
  answeredAt: timestamp.nullable(),
  endedAt: timestamp.nullable().describe('when the requester took the answer, or it was given up'),
  attempts: count.describe('to tell an AE'),
  nextAt: timestamp.nullable().describe('when it is gone on with'),
  trouble: z.string().describe('what it waits for; empty for nothing'),
})

const referenceSchema = z.object({
  number: z.int().min(1),
  sopClassUid: uid,
  sopInstanceUid: uid,
  verdict: z.enum([
    'pending',
    'committed',
    'no_such_instance',
    'class_conflict',
    'duplicate_transaction',
    'processing_failure',
  ]),
})

/** Requests for storage commitment and what became of them. */
export const COMMITMENT_ROUTES = [
  route({
    path: '/commitments',
    summary: 'Requests for storage commitment, the newest first',
    role: 'records',
    query: z.object({
      state: state.optional(),
      transactionUid: uid.optional(),
      limit: pageSize,
      before: z.coerce.number().int().min(1).optional(),
    }),
    answer: z.object({
      commitments: z.array(transactionSchema),
      next: count.nullable().describe('pass as `before` to go on from here'),
    }),
    async handle(context, { state, before, limit, transactionUid }) {
      const found = await commitmentsOf(context).list({
        limit,
        ...(state === undefined ? {} : { state }),
        ...(before === undefined ? {} : { before }),
        ...(transactionUid === undefined ? {} : { transactionUid }),
      })
      return { commitments: found.map(view), next: found.length === limit ? (found.at(-1)?.id ?? null) : null }
    },
  }),
  route({
    path: '/commitments/{id}/references',
    summary: 'The instances of one request, in its order, and what was found of each',
    role: 'records',
    parameters: z.object({ id: z.coerce.number().int().min(1) }),
    query: z.object({
      which: z.enum(['all', 'pending', 'committed', 'failed']).default('all'),
      after: z.coerce.number().int().min(0).default(0),
      limit: pageSize,
    }),
    answer: z.object({
      references: z.array(referenceSchema),
      next: count.nullable().describe('pass as `after` to go on from here'),
    }),
    async handle(context, { which, after, limit }, { id }) {
      const commitments = commitmentsOf(context)
      const number = Number(id)
      if (!Number.isSafeInteger(number) || !(await commitments.get(number))) {
        throw new ArchiveError('not_found', 'there is no such request for commitment')
      }
      const page = await commitments.page(number, { which, after, limit })
      const references = page.map(({ number, sopClassUid, sopInstanceUid, verdict }) => ({
        number,
        sopClassUid,
        sopInstanceUid,
        verdict,
      }))
      return { references, next: page.length === limit ? (page.at(-1)?.number ?? null) : null }
    },
  }),
]

function commitmentsOf({ commitments }: ApiContext): Commitments {
  if (!commitments) throw new ArchiveError('not_found', 'storage commitment is switched off')
  return commitments
}

const when = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

function view(transaction: Transaction): z.output<typeof transactionSchema> {
  const { requester, form: _, content: __, requestedAt, answeredAt, endedAt, nextAt, ...rest } = transaction
  return {
    ...rest,
    protocol: requester.protocol,
    requester: requester.name,
    address: requester.address,
    requestedAt: when(requestedAt) as string,
    answeredAt: when(answeredAt),
    endedAt: when(endedAt),
    nextAt: when(nextAt),
  }
}

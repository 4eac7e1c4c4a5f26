import { z } from 'zod'
import { type ApiContext, count, route } from './api-routes.ts'

const mode = z.enum(['none', 'governance', 'compliance'])

const wormSchema = z.object({
  stores: z.array(
    z.object({
      store: z.string(),
      asked: mode.describe('how the configuration wants packs locked'),
      enforced: mode.describe('the lock that the store was seen to enforce when it was probed last'),
      immutableFiles: z
        .boolean()
        .describe('files are marked immutable: a bar against mistakes, not write-once storage'),
      reason: z.string().nullable().describe('why it does not do what is asked'),
      due: count.describe('copies whose lock is to be set or looked at now; not more than a thousand are counted'),
    }),
  ),
})

/** What stores do to keep what they hold from being deleted. */
export const WORM_ROUTES = [
  route({
    path: '/worm',
    summary: 'Write-once storage: what each store is asked to lock, and what it was seen to enforce',
    role: 'read',
    answer: wormSchema,
    handle: (context) => report(context),
  }),
  route({
    path: '/worm/probe',
    method: 'post',
    summary: 'Have each store prove its locks again, and set those that are due',
    role: 'admin',
    answer: wormSchema,
    async handle(context) {
      await context.worm.probe()
      return report(context)
    },
  }),
]

const report = async ({ worm }: ApiContext): Promise<z.output<typeof wormSchema>> => ({ stores: await worm.report() })

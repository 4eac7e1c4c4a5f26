import { z } from 'zod'
import { ArchiveError } from '../errors.ts'
import { count, route, sha256 } from './api-routes.ts'

const head = z.object({ seq: count, hash: sha256 })

const siteSchema = z.object({
  site: z.string().describe("random name for life of this site's storage"),
  name: z.string(),
  state: z
    .enum(['in-sync', 'resyncing', 'comparing', 'away', 'refused', 'fenced'])
    .describe('`in-sync` only after a comparison found both sites equal, and nothing spoke against it since'),
  why: z.string(),
  peer: z.object({ site: z.string().nullable(), name: z.string().nullable(), head: head.nullable() }),
  confirmedHead: head.nullable().describe("how far the other site has this one's event log durably"),
  owed: count.describe('instances that the other site may lack'),
  resync: z.object({ looked: count, sent: count, sentBytes: count, refused: count, refusal: z.string().nullable() }),
  lastComparison: z
    .object({ compared: count, onlyHere: count, onlyThere: count, equal: z.boolean() })
    .nullable()
    .describe('of all copies at both sites, by their digests'),
})

const removalSchema = z.object({
  site: z.string().describe('the storage that is removed from the pair for ever'),
  reason: z.string(),
  askedBy: z.string(),
  removed: z.boolean(),
  next: z.string().describe('what has to be done'),
})

const NO_PAIR = 'this node is a single site: set `peer` in its configuration'

/** The other site, as this one's API shows it. */
export interface SiteControl {
  status(): Promise<z.input<typeof siteSchema>>
  /** Compares both sites anew. */
  compare(): void
  /** Of the other site's storage, by two persons; see service/site-control.ts. */
  askRemoval(reason: string, person: string): Promise<z.input<typeof removalSchema>>
  approveRemoval(person: string): Promise<z.input<typeof removalSchema>>
}

/** What concerns the pair of sites. */
export const SITE_ROUTES = [
  route({
    path: '/site',
    summary: 'The other site: whether it is there, what it is owed, and whether both were proved equal',
    role: 'read',
    answer: siteSchema,
    handle: async ({ site }) => control(site).status(),
  }),
  route({
    path: '/site/comparison',
    method: 'post',
    summary: 'Compares all copies of both sites anew; `/site` shows what comes of it',
    role: 'admin',
    answer: z.object({ started: z.boolean() }),
    async handle({ site }) {
      control(site).compare()
      return { started: true }
    },
  }),
  route({
    path: '/site/removal',
    method: 'post',
    summary:
      "Asks that the other site's storage, lost for good, be removed from the pair; a second person must approve",
    role: 'admin',
    query: z.object({ reason: z.string().min(3).max(1000) }),
    answer: removalSchema,
    handle: async ({ site }, { reason }, _parameters, { actor }) => control(site).askRemoval(reason, actor.name),
  }),
  route({
    path: '/site/removal/approval',
    method: 'post',
    summary: 'The second person: from here on an empty storage may take the place of the removed one',
    role: 'admin',
    answer: removalSchema,
    handle: async ({ site }, _query, _parameters, { actor }) => control(site).approveRemoval(actor.name),
  }),
]

function control(site: SiteControl | undefined): SiteControl {
  if (!site) throw new ArchiveError('not_found', NO_PAIR)
  return site
}

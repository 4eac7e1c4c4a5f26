import { z } from 'zod'

/** What crosses the line between two sites, checked on both ends. Version 1; see docs/replication.md. */

const site = z.string().regex(/^[A-Za-z0-9][\w-]{0,63}$/)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const uid = z.string().min(1).max(64)
const head = z.object({ seq: z.int().min(0), hash: sha256 })
const copyId = z.object({ sopInstanceUid: uid, sha256 })

export const helloSchema = z.object({
  protocol: z.int(),
  version: z.string().max(64),
  name: z.string().max(64),
  site,
  generation: z.string().max(64),
  session: z.string().max(64),
  head,
  parted: z.boolean().default(false),
  sees: z.object({ site, head }).nullable(),
})

export const sourceSchema = z.object({
  protocol: z.enum(['stow', 'dimse', 'import']),
  name: z.string().max(64),
  address: z.string().max(64),
})

export const proofSchema = z.object({
  sha256,
  sizeBytes: z.int().min(0),
  receivedAt: z.iso.datetime(),
  served: z.boolean(),
})

export const entriesSchema = z.object({ copies: z.array(copyId.extend({ served: z.boolean() })).max(1000) })
export const copiesSchema = z.object({ copies: z.array(copyId).max(1000) })
export const digestListSchema = z.object({ sha256s: z.array(sha256).max(50) })
export const verifiedSchema = z.object({ verified: z.array(z.boolean()).max(50) })
export const lackingSchema = z.object({ lacking: z.array(z.boolean()).max(1000) })
export const receiptSchema = z.object({ sha256 })
export const digestsSchema = z.union([
  z.object({ copies: z.array(copyId.extend({ served: z.boolean() })) }),
  z.object({ parts: z.array(z.object({ prefix: z.string().max(18), count: z.int(), hash: sha256 })).max(256) }),
])
export const refusalSchema = z.object({ code: z.enum(['busy', 'refused', 'never']), message: z.string().max(4096) })

export const PATHS = {
  hello: '/peer/v1/hello',
  instances: '/peer/v1/instances',
  lacking: '/peer/v1/lacking',
  verified: '/peer/v1/verified',
  owe: '/peer/v1/owe',
  events: '/peer/v1/events',
  yourEvents: '/peer/v1/your-events',
  digests: '/peer/v1/digests',
  records: '/peer/v1/records',
} as const

/** Header: which site asks. A page in somebody's browser can't set it without asking first. */
export const SITE_HEADER = 'firn-site'
/** Header: SOP Instance UID and source, as JSON. */
export const COPY_HEADER = 'firn-copy'
/** Trailer: what can be said only at the end, as JSON. */
export const PROOF_TRAILER = 'firn-proof'

/** Everything but instances and events fits into so much. */
export const JSON_BYTES_MAX = 16 * 1024 * 1024

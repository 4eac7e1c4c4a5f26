import { z } from 'zod'
import { tierClass } from './tiers.ts'

const id = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a store is called by 1 to 32 small letters, digits and hyphens')
  .describe('the name by which the catalogue knows the store; never give it to another one')

const placing = {
  tier: tierClass.optional().describe('the class of storage that it belongs to; default online'),
  weight: z
    .number()
    .positive()
    .max(1000)
    .optional()
    .describe('how much of the new packs it gets beside others; default 1'),
}

const fileStore = z.strictObject({
  id,
  ...placing,
  type: z.literal('file'),
  folder: z.string().min(1).describe('root of the store, on a local disk or NFS; relative to the data folder'),
  immutable: z
    .boolean()
    .optional()
    .describe('set the immutable flag of each file (chattr +i): a bar against mistakes, not write-once storage'),
})

const variable = z.string().regex(/^[A-Z_][A-Z0-9_]*$/, 'the name of an environment variable')

const s3Store = z.strictObject({
  id,
  ...placing,
  type: z.literal('s3'),
  bucket: z.string().min(3).max(63),
  prefix: z
    .string()
    .regex(/^([A-Za-z0-9_-][A-Za-z0-9._-]*\/)+$/, 'ends in a slash')
    .optional()
    .describe('all objects are below it'),
  endpoint: z.url().optional().describe('https://s3.example.org; none for AWS'),
  region: z.string().optional(),
  forcePathStyle: z.boolean().optional().describe('default: true where an endpoint is given'),
  checksums: z
    .enum(['when_required', 'when_supported'])
    .optional()
    .describe("of AWS's own kind; default when_required"),
  credentials: z
    .strictObject({ accessKeyIdVariable: variable, secretAccessKeyVariable: variable })
    .optional()
    .describe("names of environment variables; default: the AWS SDK's own chain"),
  bytesTotal: z.int().min(1).optional().describe('what was bought, where the store itself cannot tell'),
  objectLock: z
    .enum(['none', 'governance', 'compliance'])
    .default('none')
    .describe('lock every pack in this mode; compliance can be taken back by nobody, so try governance first'),
  initialLockDays: z
    .number()
    .min(0.0001)
    .max(365)
    .default(7)
    .describe('lock of a pack that is written, before the catalogue has it and its retention is known'),
  lockYearsMax: z
    .number()
    .min(0.0001)
    .max(100)
    .default(100)
    .describe(
      'the longest lock, from now, that the maker of the store allows; what must be kept longer is extended later',
    ),
})

export const storeConfig = z.discriminatedUnion('type', [fileStore, s3Store])

/** Where packs are kept. */
export const storesConfig = z
  .array(storeConfig)
  .min(1)
  .refine((stores) => new Set(stores.map((store) => store.id)).size === stores.length, 'two stores have the same id')
  .default([{ id: 'local', type: 'file', folder: 'store' }])
  .describe('places that hold packs: folders and buckets of any maker')

export const sealingConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('seal studies into packs when they are quiet'),
  quietSeconds: z
    .number()
    .min(0)
    .default(3600)
    .describe('a study that has got nothing for so long is sealed; what comes later makes a further pack'),
  copies: z
    .int()
    .min(1)
    .max(8)
    .default(1)
    .describe('stores that must hold a pack, verified, before the landing lets go of it'),
  worm: z
    .enum(['none', 'required'])
    .default('none')
    .describe('required: packs go only to stores that were seen to enforce a compliance lock'),
  landingSeconds: z
    .number()
    .min(0)
    .default(3600)
    .describe('how long the landing keeps what is sealed, so that it is read from there while it is new'),
})

export const scrubConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('read packs again and make good what is damaged'),
  periodDays: z.number().positive().default(90).describe('every copy of every pack is read again within so many days'),
  bytesPerSecond: z
    .int()
    .min(1024)
    .default(20_000_000)
    .describe('what that takes of the stores at the most; the period wants at least the archive divided by its length'),
})

export type ScrubConfig = z.output<typeof scrubConfig>
export type StoreConfig = z.output<typeof storesConfig>[number]
export type SealingConfig = z.output<typeof sealingConfig>

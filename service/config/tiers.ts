import { z } from 'zod'

const TIERS = ['online', 'nearline', 'cold'] as const

/** `online` is the fastest, `cold` what has to be recalled or is slow. */
export const tierClass = z.enum(TIERS)

const tier = z
  .strictObject({
    copies: z
      .int()
      .min(1)
      .max(8)
      .optional()
      .describe('stores of the tier that must hold a pack; default: sealing.copies'),
    reservePercent: z
      .number()
      .min(0)
      .max(90)
      .default(5)
      .describe('free room that new packs leave in each store, for repairs and what else is on its disk'),
  })
  .prefault({})

export const tiersConfig = z.strictObject({ online: tier, nearline: tier, cold: tier })

const volumeId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a volume is called by 1 to 32 small letters, digits and hyphens')

export const volumesConfig = z
  .array(
    z.strictObject({
      id: volumeId,
      provisionedBytes: z.int().min(1).optional().describe('what was promised; nothing is reserved'),
      sources: z.array(z.string().max(64)).default([]).describe('calling AE titles and names of tokens'),
      modalities: z.array(z.string().max(16)).default([]).describe('such as CT'),
    }),
  )
  .refine((volumes) => new Set(volumes.map(({ id }) => id)).size === volumes.length, 'two volumes have the same id')
  .default([])
  .describe('a study belongs to the first one that names its sender or modality, else to `default`')

export const movesConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('move packs between tiers by the rules'),
  bytesPerSecond: z.int().min(1024).default(50_000_000).describe('what moving takes of the stores at the most'),
  everySeconds: z.number().positive().default(600).describe('how often packs are looked for whose time has come'),
  rules: z
    .array(
      z.strictObject({
        to: z.enum(['nearline', 'cold']),
        afterDays: z.number().min(0).default(0).describe('age, in days'),
        since: z.enum(['study', 'received']).default('study').describe('since the date of the study, or its arrival'),
        unusedDays: z.number().min(0).optional().describe('and not read by a client for so many days'),
        modalities: z.array(z.string().max(16)).optional().describe('only studies with one of these'),
        volumes: z.array(volumeId).optional().describe('only studies of these'),
      }),
    )
    .default([])
    .describe('when packs leave for a slower tier; of the rules that apply the slowest tier counts'),
})

export const cacheConfig = z.strictObject({
  packBytes: z
    .int()
    .min(0)
    .default(2 * 1024 ** 3)
    .describe('of the data folder, for what was read of packs that no online store holds; 0: none is kept'),
})

export type Tier = z.output<typeof tierClass>
export type TiersConfig = z.output<typeof tiersConfig>
export type VolumeConfig = z.output<typeof volumesConfig>[number]
export type MovesConfig = z.output<typeof movesConfig>
export type MoveRule = MovesConfig['rules'][number]

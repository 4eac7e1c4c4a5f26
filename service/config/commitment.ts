import { z } from 'zod'

export const commitmentConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('answer requests for storage commitment, over DIMSE and DICOMweb'),
  referencesMax: z
    .int()
    .min(1)
    .max(100_000)
    .default(20_000)
    .describe('instances that one request may name; a larger one is refused'),
  openMax: z.int().min(1).default(10_000).describe('requests that may wait for their answer; further ones are refused'),
  patienceSeconds: z
    .number()
    .min(0)
    .default(600)
    .describe('an instance that is not there yet may come within so long, counted from the request'),
  pendingDays: z
    .number()
    .positive()
    .default(7)
    .describe('what can be verified neither way within so long, for want of a store or the other site, is failed'),
  verifiedHours: z
    .number()
    .min(0)
    .default(24)
    .describe('a copy of a pack that was read back within so long counts as verified; 0: it is always read again'),
  bytesPerSecond: z
    .int()
    .min(1024)
    .default(100_000_000)
    .describe('what reading back for commitment takes of landing and stores at the most'),
  sameAssociationSeconds: z
    .number()
    .min(0)
    .default(10)
    .describe('a result that is there within so long is reported on the association that asked, if it is still open'),
  deliverDays: z.number().positive().default(7).describe('how long a result is offered to an AE that does not take it'),
  keepDays: z.number().positive().default(90).describe('how long requests and results can be asked for afterwards'),
})

export type CommitmentConfig = z.output<typeof commitmentConfig>

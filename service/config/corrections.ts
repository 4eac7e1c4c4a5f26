import { z } from 'zod'

export const correctionsConfig = z.strictObject({
  qualityRejected: z
    .enum(['hide', 'show'])
    .default('hide')
    .describe('what becomes of instances rejected for quality reasons; those rejected for others are always hidden'),
  rejectionNotes: z
    .enum(['hide', 'show'])
    .default('hide')
    .describe('whether Key Object Selection documents that reject instances are themselves shown'),
  applyNotes: z
    .boolean()
    .default(true)
    .describe('whether such documents, from whoever may send, reject; false keeps them as any other instance'),
  dicomwebDelete: z
    .enum(['refuse', 'hide'])
    .default('refuse')
    .describe(
      'DELETE of DICOMweb: 405, or hide what it names, for tokens with the role records; it never frees a byte',
    ),
})

export type CorrectionsConfig = z.output<typeof correctionsConfig>

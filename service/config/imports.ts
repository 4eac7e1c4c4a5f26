import { z } from 'zod'
import { aeTitle } from './dimse.ts'

const variable = z.string().regex(/^[A-Z_][A-Z0-9_]*$/, 'the name of an environment variable')

const common = {
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'an import is called by 1 to 32 small letters, digits and hyphens')
    .describe('the name by which it is started and told of'),
  bytesPerSecond: z.int().min(1024).optional().describe('what it takes of the source at the most'),
  window: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'from-to, such as 20:00-06:00')
    .refine((text) => text.slice(0, 5) !== text.slice(6), 'the window is empty')
    .optional()
    .describe("time of day in which it works, by the node's clock: `20:00-06:00`; readers are served at any time"),
  parallel: z.int().min(1).max(32).default(2).describe('studies that are taken side by side'),
  verify: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('share of instances that are read a second time and compared'),
  readThroughSeconds: z
    .number()
    .positive()
    .default(60)
    .describe('how long a reader waits for a study that has to come from the source first'),
}

const folderImport = z.strictObject({
  ...common,
  type: z.literal('folder'),
  folder: z.string().min(1).describe('a tree of DICOM files, however named; relative to the data folder'),
})

const dicomwebImport = z.strictObject({
  ...common,
  type: z.literal('dicomweb'),
  url: z.url({ protocol: /^https?$/ }).describe('root of its DICOMweb services: https://old.example.org/dicom-web'),
  tokenVariable: variable.optional().describe('environment variable that holds a bearer token'),
  headers: z
    .record(z.string().regex(/^[A-Za-z0-9-]+$/), variable)
    .optional()
    .describe('further headers, each with the environment variable that holds its value'),
  pageSize: z.int().min(2).max(10_000).default(200).describe('studies that are asked for at a time'),
})

const dimseImport = z.strictObject({
  ...common,
  type: z.literal('dimse'),
  aeTitle: aeTitle.describe('of the old archive'),
  host: z.string().min(1),
  port: z.int().min(1).max(65535),
  tls: z
    .strictObject({ ca: z.string().optional(), key: z.string().optional(), cert: z.string().optional() })
    .optional(),
  callingAeTitle: aeTitle.optional().describe("Firn's name for it; default: dimse.aeTitle"),
  retrieve: z
    .enum(['get', 'move'])
    .default('get')
    .describe('C-GET, or C-MOVE to `dimse.aeTitle`, which the old archive must know as a destination'),
  pageSize: z.int().min(2).max(10_000).default(200).describe('studies that are asked for at a time'),
})

/** Old archives that are taken over. */
export const importsConfig = z
  .array(z.discriminatedUnion('type', [folderImport, dicomwebImport, dimseImport]))
  .refine(
    (imports) => new Set(imports.map(({ name }) => name)).size === imports.length,
    'two imports have the same name',
  )
  .default([])
  .describe('old archives that `firn import` takes over: folders, DICOMweb servers, DIMSE archives')

export type ImportConfig = z.output<typeof importsConfig>[number]
export type DicomwebImportConfig = z.output<typeof dicomwebImport>
export type DimseImportConfig = z.output<typeof dimseImport>

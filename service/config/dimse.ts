import { z } from 'zod'

/** PS3.5 6.2: at most 16 characters of the default repertoire, no backslash; blanks around don't count. */
export const aeTitle = z
  .string()
  .trim()
  .regex(/^[\x20-\x5b\x5d-\x7e]{1,16}$/, 'an AE title has 1 to 16 printable ASCII characters and no backslash')

export const tlsServer = z.strictObject({
  key: z.string().describe('PEM file of the private key'),
  cert: z.string().describe('PEM file of the certificate, followed by the intermediate ones'),
  ca: z
    .string()
    .optional()
    .describe(
      'PEM file of the authorities whose clients are admitted; given means that clients must show a certificate',
    ),
})

export const dimseConfig = z.strictObject({
  enabled: z.boolean().default(true).describe('listen for DICOM associations'),
  host: z.string().optional().describe('address to listen on; default: that of `http`'),
  port: z.int().min(0).max(65535).default(11112).describe('0 takes a free one'),
  aeTitle: aeTitle.default('FIRN').describe("Firn's own AE title, also as the sender of C-MOVE sub-operations"),
  checkCalledAeTitle: z.boolean().default(false).describe('refuse associations that call another AE title'),
  allowedCallingAeTitles: z
    .array(aeTitle)
    .default([])
    .describe('who may connect; empty: everyone, which only loopback and client certificates allow'),
  acceptUnknownSopClasses: z
    .boolean()
    .default(true)
    .describe("store SOP Classes that Firn doesn't know, private ones included"),
  maxPduBytes: z
    .int()
    .min(4096)
    .max(1_048_576)
    .default(262_144)
    .describe('the largest P-DATA-TF that is accepted, announced at negotiation'),
  associationsMax: z.int().min(1).max(1000).default(64).describe('at the same time; more are rejected as transient'),
  idleSeconds: z.number().positive().default(60).describe('a peer that makes no progress for so long is aborted'),
  artimSeconds: z
    .number()
    .positive()
    .default(10)
    .describe('how long a connection may take to associate, and to close at the end (PS3.8 9.1.4)'),
  tls: tlsServer.optional(),
  destinations: z
    .array(
      z.strictObject({
        aeTitle,
        host: z.string(),
        port: z.int().min(1).max(65535),
        tls: z
          .strictObject({ ca: z.string().optional(), key: z.string().optional(), cert: z.string().optional() })
          .optional(),
      }),
    )
    .default([])
    .describe('where C-MOVE may send to and results of storage commitment are reported to, by AE title'),
})

export type DimseConfig = z.output<typeof dimseConfig>

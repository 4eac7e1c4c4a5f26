import { z } from 'zod'

/** PS3.5 6.2: at most 16 characters of the default repertoire, no backslash; blanks around don't count. */
export const aeTitle = z
  .string()
  .trim()
  .regex(/^[\x20-\x5b\x5d-\x7e]{1,16}$/, 'an AE title has 1 to 16 printable ASCII characters and no backslash')

export const tlsServer = z.strictObject({
  /** PEM files. */
  key: z.string(),
  cert: z.string(),
  /** PEM file of the authorities whose clients are admitted; given means that clients must present a certificate. */
  ca: z.string().optional(),
})

export const dimseConfig = z.strictObject({
  enabled: z.boolean().default(true),
  /** Default: the host of `http`. */
  host: z.string().optional(),
  port: z.int().min(0).max(65535).default(11112),
  aeTitle: aeTitle.default('FIRN'),
  /** Refuse associations that call another AE title. */
  checkCalledAeTitle: z.boolean().default(false),
  /** Which AE titles may connect; empty: every one (only allowed on loopback, or with client certificates). */
  allowedCallingAeTitles: z.array(aeTitle).default([]),
  /** Accept storage of SOP Classes that Firn doesn't know, private ones included. */
  acceptUnknownSopClasses: z.boolean().default(true),
  /** The largest PDU that Firn accepts, announced at negotiation, in bytes. */
  maxPduBytes: z.int().min(4096).max(1_048_576).default(262_144),
  associationsMax: z.int().min(1).max(1000).default(64),
  /** An association without traffic for so long is aborted. */
  idleSeconds: z.number().positive().default(60),
  /** PS3.8 9.1.4 ARTIM timer: how long a connection may take to request its association. */
  artimSeconds: z.number().positive().default(10),
  tls: tlsServer.optional(),
  /** Where C-MOVE may send to, by AE title. */
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
    .default([]),
})

export type DimseConfig = z.output<typeof dimseConfig>

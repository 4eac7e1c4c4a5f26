import { z } from 'zod'

const name = z.string().regex(/^[A-Za-z0-9][\w-]{0,31}$/, 'letters, digits and hyphens')

/** The other one of two equal sites. */
export const peerConfig = z.strictObject({
  name: name.default('site').describe('what people call this site'),
  listen: z
    .strictObject({
      host: z.string().default('127.0.0.1').describe('address on which the other site is answered'),
      port: z.int().min(0).max(65535).default(8180).describe('0 takes a free one'),
    })
    .prefault({}),
  addresses: z
    .array(z.url())
    .min(1)
    .describe('where the other site listens, the best way first: https://south-1.example.org:8180'),
  tls: z
    .strictObject({
      key: z.string().describe('private key of this site'),
      cert: z.string().describe('its certificate'),
      ca: z.string().describe('the authority of both'),
    })
    .optional()
    .describe('PEM files of `firn pair`; both sides show certificates. Needed unless everything is on loopback'),
  policy: z
    .enum(['degraded', 'strict'])
    .default('degraded')
    .describe('while the other site is away: take instances and owe them to it, or refuse them'),
  strictSources: z.array(z.string()).default([]).describe('AE titles or token names that always want both sites'),
  degradedSources: z.array(z.string()).default([]).describe('and those for whom one will do meanwhile'),
  timeoutSeconds: z.number().min(0.5).max(120).default(5).describe('a call without progress for so long has failed'),
  connections: z.int().min(1).max(128).default(16).describe('instances sent side by side'),
  resyncBytesPerSecond: z
    .int()
    .min(0)
    .default(0)
    .describe('bound for sending what is owed; 0: none, senders come first'),
})

export type PeerConfig = z.output<typeof peerConfig>

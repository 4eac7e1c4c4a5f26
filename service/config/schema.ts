import { z } from 'zod'
import { auditConfig } from './audit.ts'
import { commitmentConfig } from './commitment.ts'
import { correctionsConfig } from './corrections.ts'
import { dimseConfig, tlsServer } from './dimse.ts'
import { importsConfig } from './imports.ts'
import { peerConfig } from './peer.ts'
import { retentionConfig } from './retention.ts'
import { scrubConfig, sealingConfig, storesConfig } from './stores.ts'
import { cacheConfig, movesConfig, tiersConfig, volumesConfig } from './tiers.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

const httpConfig = z.strictObject({
  host: z.string().default('127.0.0.1').describe('address to listen on'),
  port: z.int().min(0).max(65535).default(8080).describe('0 takes a free one'),
  publicUrl: z
    .url()
    .optional()
    .describe('origin under which clients reach Firn; default: what the request says, else http://host:port'),
  trustProxy: z.boolean().default(false).describe('believe X-Forwarded-* of a load balancer in front'),
  tls: tlsServer.optional(),
  headersSeconds: z.number().positive().default(15).describe('how long a client may take to send its headers'),
  idleSeconds: z.number().positive().default(60).describe('a connection without traffic for so long is closed'),
  requestsPerMinute: z.int().min(1).default(300_000).describe('per client address'),
})

const authConfig = z.strictObject({
  required: z
    .boolean()
    .default(false)
    .describe('every request needs a token of `firn token create`; must be true unless bound to loopback'),
})

const limitsConfig = z.strictObject({
  instanceBytesMax: z
    .int()
    .min(MIB)
    .default(64 * GIB)
    .describe('larger instances are refused'),
  bufferedInstanceBytesMax: z
    .int()
    .min(64 * KIB)
    .max(64 * MIB)
    .default(4 * MIB)
    .describe('instances up to this size share a segment and its sync; larger ones stream into their own'),
  ingestBufferBytes: z
    .int()
    .min(8 * MIB)
    .default(64 * MIB)
    .describe('memory for instances on their way to disk; when it is used up, senders wait'),
  headerBytesMax: z
    .int()
    .min(64 * KIB)
    .max(64 * MIB)
    .default(16 * MIB)
    .describe('how far into an instance its identifiers are searched'),
  resultsMax: z.int().min(1).default(1000).describe('QIDO results per request; more are announced by a Warning'),
})

const landingConfig = z.strictObject({
  lanes: z.int().min(1).max(32).default(4).describe('segments written side by side'),
  segmentBytes: z
    .int()
    .min(MIB)
    .default(256 * MIB)
    .describe('a segment is closed beyond this size'),
  directIo: z
    .boolean()
    .default(true)
    .describe("write past the operating system's cache where the file system can: less work for the processor"),
  reserveBytes: z
    .int()
    .min(0)
    .optional()
    .describe('free space that is kept for the catalogue; default: 5 % of the file system, at most 1 GiB'),
})

const catalogueConfig = z.strictObject({
  url: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'postgres://user:password@host:port/database')
    .optional()
    .describe('PostgreSQL; default: SQLite in the data folder'),
})

export const configSchema = z.strictObject({
  dataDir: z.string().min(1).default('./data').describe('everything that Firn keeps; on a local disk'),
  log: z
    .strictObject({
      level: z
        .enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'])
        .default('info')
        .describe('JSON lines on standard error; info and above hold no patient data'),
    })
    .prefault({}),
  http: httpConfig.prefault({}),
  dimse: dimseConfig.prefault({}),
  auth: authConfig.prefault({}),
  limits: limitsConfig.prefault({}),
  landing: landingConfig.prefault({}),
  catalogue: catalogueConfig.prefault({}),
  stores: storesConfig,
  tiers: tiersConfig.prefault({}),
  volumes: volumesConfig,
  moves: movesConfig.prefault({}),
  cache: cacheConfig.prefault({}),
  sealing: sealingConfig.prefault({}),
  scrub: scrubConfig.prefault({}),
  retention: retentionConfig.prefault({}),
  imports: importsConfig,
  corrections: correctionsConfig.prefault({}),
  audit: auditConfig.prefault({}),
  commitment: commitmentConfig.prefault({}),
  peer: peerConfig.optional().describe('the second site; none: this one is alone'),
})

export type Config = z.output<typeof configSchema>

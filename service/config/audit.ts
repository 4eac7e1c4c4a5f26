import { z } from 'zod'

export const syslogConfig = z.strictObject({
  host: z.string().min(1).describe('audit repository (PS3.15 A.6): name or address'),
  port: z.int().min(1).max(65535).default(6514).describe('6514 for TLS, usually 514 for UDP'),
  transport: z
    .enum(['tls', 'udp'])
    .default('tls')
    .describe("`udp` neither encrypts nor notices what is lost: patients' identifiers travel readable"),
  ca: z
    .string()
    .optional()
    .describe("PEM file of the authorities that sign the repository's certificate; default: the system's"),
  key: z.string().optional().describe('PEM file of the private key, where the repository wants to know its clients'),
  cert: z.string().optional().describe('PEM file of the certificate that belongs to `key`'),
  serverName: z.string().optional().describe('name in the certificate of the repository; default: `host`'),
  confirm: z
    .enum(['close', 'write'])
    .default('close')
    .describe(
      'messages count as delivered when the repository has answered the end of their connection, or when written',
    ),
  sourceId: z.string().min(1).max(64).optional().describe('AuditSourceID; default: the AE title and host name'),
  enterpriseSiteId: z.string().min(1).max(64).optional().describe('AuditEnterpriseSiteID'),
})

export const auditConfig = z.strictObject({
  whenUnwritable: z
    .enum(['serve', 'refuse'])
    .default('serve')
    .describe("whether reading goes on while the event log can't be written"),
  sumSeconds: z
    .number()
    .positive()
    .max(3600)
    .default(60)
    .describe('repeated requests of one caller for one study are summed up in one event for so long'),
  syslog: syslogConfig.optional(),
})

export type AuditConfig = z.output<typeof auditConfig>
export type SyslogConfig = z.output<typeof syslogConfig>

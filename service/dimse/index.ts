import type { Logger } from 'pino'
import type { AuditTrail } from '../audit/ports.ts'
import type { DimseConfig } from '../config/dimse.ts'
import type { Receive } from '../ingest/ports.ts'
import type { OpenInstances } from '../retrieve/ports.ts'
import type { AssociationLimits } from './association-types.ts'
import type { CommitmentScp } from './commitment-scp.ts'
import { EchoScp } from './echo-scp.ts'
import { FindScp } from './find-scp.ts'
import { GetScp } from './get-scp.ts'
import { MoveScp } from './move-scp.ts'
import { type DimseMetrics, DimseServer, type Listener } from './server.ts'
import type { DimseCatalogue } from './service.ts'
import { StoreScp } from './store-scp.ts'

export type { DimseMetrics, Listener } from './server.ts'

const DATA_SET_QUEUE_BYTES = 524_288
const IDENTIFIER_BYTES_MAX = 1_048_576

export interface DimseServerOptions {
  config: DimseConfig
  /** Address to listen on when the configuration names none. */
  host: string
  receive: Receive
  catalogue: DimseCatalogue
  instances: OpenInstances
  audit: AuditTrail
  /** Storage Commitment, where it is served. */
  commitment?: CommitmentScp | undefined
  log: Logger
  metrics: DimseMetrics
}

export function associationLimits(config: DimseConfig): AssociationLimits {
  return {
    maxPduBytes: config.maxPduBytes,
    idleMs: config.idleSeconds * 1000,
    artimMs: config.artimSeconds * 1000,
    dataSetQueueBytes: DATA_SET_QUEUE_BYTES,
    identifierBytesMax: IDENTIFIER_BYTES_MAX,
  }
}

/** Everything that Firn serves over DIMSE. StoreScp comes last: it takes every SOP Class that nobody else serves. */
export function createDimseServer(options: DimseServerOptions): Listener {
  const { config, host, receive, catalogue, instances, audit, commitment, log, metrics } = options
  const { aeTitle, checkCalledAeTitle, allowedCallingAeTitles, maxPduBytes, destinations } = config
  const limits = associationLimits(config)
  return new DimseServer({
    host: config.host ?? host,
    port: config.port,
    tls: config.tls,
    associationsMax: config.associationsMax,
    policy: { aeTitle, checkCalledAeTitle, allowedCallingAeTitles, maxPduBytes },
    limits,
    services: [
      new EchoScp(),
      new FindScp(catalogue, aeTitle, audit),
      new MoveScp({ catalogue, instances, aeTitle, destinations, audit }),
      new GetScp(catalogue, instances, audit),
      ...(commitment ? [commitment] : []),
      new StoreScp(receive, config.acceptUnknownSopClasses, audit),
    ],
    audit,
    log,
    metrics,
  })
}

import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Archive } from './archive.ts'
import { StorageCommitments } from './commitment/commitments.ts'
import { Pace } from './commitment/pace.ts'
import type { CommitmentMetrics, PeerReceipts } from './commitment/ports.ts'
import { Verifier } from './commitment/verify.ts'
import type { Config } from './config/schema.ts'
import { CommitmentReports } from './dimse/commitment-reports.ts'
import { CommitmentScp } from './dimse/commitment-scp.ts'
import { associationLimits } from './dimse/index.ts'
import type { Copies } from './lifecycle/copies.ts'

const COUNTED_MAX = 100_000

export interface OpenedCommitments {
  commitments: StorageCommitments
  scp: CommitmentScp
}

export interface OpenCommitmentsOptions {
  archive: Archive
  config: Config
  copies: Pick<Copies, 'check'>
  /** The other site's receipts; undefined: there is one site. */
  peers: PeerReceipts | undefined
  registry: Registry
  log: Logger
}

/** Storage commitment put together; undefined where it is switched off. */
export function openCommitments(options: OpenCommitmentsOptions): OpenedCommitments | undefined {
  const { archive, config, copies, peers, registry, log } = options
  const { catalogue, landing, events } = archive
  const { commitment, dimse } = config
  if (!commitment.enabled) return undefined
  const warn = (message: string, details: object): void => log.warn(details, message)
  const records = catalogue.commitments
  const reports = new CommitmentReports({
    references: (id, which) => commitments.references(id, which),
    aeTitle: dimse.aeTitle,
    peers: dimse.destinations,
    sameAssociationMs: commitment.sameAssociationSeconds * 1000,
    limits: associationLimits(dimse),
    log,
  })
  const verifier = new Verifier({
    catalogue: records,
    landing,
    packs: catalogue,
    check: (pack, store) => copies.check(pack, store),
    peers,
    verifiedWithinMs: commitment.verifiedHours * 3_600_000,
    pace: new Pace(commitment.bytesPerSecond),
    warn,
  })
  const days = (n: number): number => n * 24 * 3_600_000
  const commitments: StorageCommitments = new StorageCommitments({
    records,
    verifier,
    deliver: reports,
    events,
    referencesMax: commitment.referencesMax,
    openMax: commitment.openMax,
    patienceMs: commitment.patienceSeconds * 1000,
    pendingMs: days(commitment.pendingDays),
    deliverMs: days(commitment.deliverDays),
    keepMs: days(commitment.keepDays),
    metrics: metricsIn(registry, archive),
    warn,
  })
  return { commitments, scp: new CommitmentScp(commitments, reports) }
}

function metricsIn(registry: Registry, { catalogue }: Archive): CommitmentMetrics {
  const registers = [registry]
  const requests = new Counter({
    name: 'firn_commitment_requests_total',
    help: 'Requests for storage commitment; outcome is accepted, repeated, taken, or the code of the refusal',
    labelNames: ['protocol', 'outcome'],
    registers,
  })
  const references = new Counter({
    name: 'firn_commitment_references_total',
    help: 'Instances that were decided by verdict',
    labelNames: ['verdict'],
    registers,
  })
  const reports = new Counter({
    name: 'firn_commitment_reports_total',
    help: 'Attempts to tell AEs the result',
    labelNames: ['outcome'],
    registers,
  })
  new Gauge({
    name: 'firn_commitments_open',
    help: 'Requests whose answer is pending, or has yet to be told',
    labelNames: ['state'],
    registers,
    async collect() {
      for (const state of ['pending', 'answered'] as const) {
        this.set({ state }, await catalogue.commitments.count(state, COUNTED_MAX))
      }
    },
  })
  return {
    requested: (protocol, outcome) => requests.inc({ protocol, outcome }),
    judged: (verdict, number) => references.inc({ verdict }, number),
    delivered: (outcome) => reports.inc({ outcome }),
  }
}

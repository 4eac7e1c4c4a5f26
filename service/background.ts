import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Archive } from './archive.ts'
import { isPacked, type Pack } from './catalogue/ports.ts'
import type { RetentionConfig } from './config/retention.ts'
import type { ScrubConfig, SealingConfig } from './config/stores.ts'
import { ClearLanding } from './lifecycle/clear-landing.ts'
import { Copies } from './lifecycle/copies.ts'
import { Drainer } from './lifecycle/drain.ts'
import { Placement } from './lifecycle/placement.ts'
import { Reconciler } from './lifecycle/reconcile.ts'
import { ReportFile } from './lifecycle/report-file.ts'
import { Retirer } from './lifecycle/retire.ts'
import { Scrubber } from './lifecycle/scrub.ts'
import { Sealer } from './lifecycle/seal.ts'
import { Sealing } from './lifecycle/sealing.ts'
import { Tiering, type TieringConfig, tiersOf } from './lifecycle/tiers/tiering.ts'
import { Volumes } from './lifecycle/tiers/volumes.ts'
import { decidedUntil } from './lifecycle/worm/decided.ts'
import { Worm } from './lifecycle/worm/worm.ts'
import { pairSites } from './pair-sites.ts'
import { StudyGuard } from './retention/guard.ts'
import type { KeepingFacts } from './retention/ports.ts'
import { Retention } from './retention/retention.ts'
import type { RecordDescriber } from './retrieve/describe-record.ts'
import { whyNotWorm } from './stores/worm.ts'

export interface Background {
  copies: Copies
  sealer: Sealer
  sealing: Sealing
  drainer: Drainer
  scrubber: Scrubber
  retention: Retention
  tiering: Tiering
  reconciler: Reconciler
  worm: Worm
}

export interface BackgroundOptions {
  archive: Archive
  config: TieringConfig & { dataDir: string; sealing: SealingConfig; scrub: ScrubConfig; retention: RetentionConfig }
  describer: RecordDescriber
  lastArrival(): number
  /** Caches of a study that is destroyed. */
  forget?(studyUid: string): Promise<void>
  log: Logger
}

/** What a node does in the background with what it holds, put together. */
export function openBackground({
  archive,
  config,
  describer,
  lastArrival,
  forget,
  log,
}: BackgroundOptions): Background {
  const { catalogue, landing, stores, instances, packs, events } = archive
  const warn = (message: string, details: object): void => log.warn(details, message)
  const guard = new StudyGuard()
  const facts: KeepingFacts = {
    isHeld: (studyUids) => catalogue.retention.isHeld(studyUids),
    movesHeld: config.retention.movesHeld,
    during: (studyUid, work) => guard.during(studyUid, work),
    nowMs: () => archive.clock.nowMs(),
  }
  const tiers = tiersOf(stores, config)
  const volumes = new Volumes(catalogue.tiers, config.volumes)
  const unfit = config.sealing.worm === 'required' ? whyNotWorm : undefined
  const placement = new Placement(tiers, () => catalogue.drainingStores(), unfit)
  const worm = new Worm({
    catalogue,
    stores,
    retainUntil: decidedUntil(catalogue.retention),
    holds: { isHeld: (studyUid) => catalogue.retention.isHeld([studyUid]) },
    events,
    warn,
  })
  const sealer = new Sealer({
    catalogue,
    instances,
    // A pack is complete without what is only said about its instances.
    describe: (record) => describer.describe(record, 'bulkdata').catch(() => undefined),
    placement,
    stores,
    events,
    get copies() {
      return tiers.copies(tiers.first)
    },
    volumeOf: (studyUid, records) => volumes.of(studyUid, records),
    changed: (pack) => packs.forget(pack),
    warn,
  })
  const retirer = new Retirer({
    facts,
    catalogue,
    landing,
    stores,
    events,
    tiers,
    keepMs: config.sealing.landingSeconds * 1000,
    warn,
  })
  const clearLanding = new ClearLanding({ catalogue, landing, ledger: archive.ledger, sealer, retirer })
  const retention = new Retention({
    ...{ config: config.retention, catalogue, events, stores, guard, clearLanding, warn },
    ...{ projector: archive.projector, clock: archive.clock },
    ...(archive.peering ? { sites: pairSites(archive.peering, events.site, archive.clock) } : {}),
    forget: async (studyUid) => forget?.(studyUid),
    locks: worm,
  })
  const sealing = new Sealing({
    catalogue,
    sealer,
    retirer,
    quietMs: config.sealing.quietSeconds * 1000,
    lastArrival,
    sealed: (studyUid) => retention.sealed(studyUid),
    info: (message, details) => log.info(details, message),
    warn,
  })
  const leftovers = catalogue.tiers
  const copies = new Copies({ catalogue, stores, packs, placement, events, facts, leftovers, warn })
  const reports = join(config.dataDir, 'reports')
  const drainer = new Drainer({ catalogue, stores, copies, events, tiers, reports, warn })
  const scrubber = new Scrubber({
    catalogue,
    copies,
    tiers,
    worm,
    rescue: (pack) => rescued(archive, pack),
    periodMs: config.scrub.periodDays * 24 * 3_600_000,
    bytesPerSecond: config.scrub.bytesPerSecond,
    warn,
  })
  const tiering = new Tiering({
    config,
    tiers,
    stores,
    catalogue,
    copies,
    drainer,
    events,
    projected: (seq) => archive.projector.upTo(events.site, seq),
    warn,
  })
  const reconciler = new Reconciler({
    catalogue,
    stores,
    copies,
    events,
    tiers,
    repair: () => scrubber.due(),
    findings: new ReportFile(join(reports, 'reconcile.jsonl')),
    warn,
  })
  archive.hooks.used = (pack) => tiering.uses.used(pack)
  archive.hooks.admit = () => tiering.watch.admit()
  return { copies, sealer, sealing, drainer, scrubber, tiering, retention, reconciler, worm }
}

/** Whether all instances of a pack that no store has whole came back from the other site. */
async function rescued({ catalogue, heal }: Archive, pack: Pack): Promise<boolean> {
  if (!heal) return false
  const copies = await catalogue.retention.copies(pack.studyUid)
  const lost = copies.filter(({ location }) => isPacked(location) && location.pack === pack.id)
  try {
    for (const record of lost) await heal(record)
    return lost.length > 0
  } catch {
    return false
  }
}

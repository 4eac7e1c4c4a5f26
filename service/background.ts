import type { Logger } from 'pino'
import type { Archive } from './archive.ts'
import type { ScrubConfig, SealingConfig } from './config/stores.ts'
import { Copies } from './lifecycle/copies.ts'
import { Drainer } from './lifecycle/drain.ts'
import { Placement } from './lifecycle/placement.ts'
import { Retirer } from './lifecycle/retire.ts'
import { Scrubber } from './lifecycle/scrub.ts'
import { Sealer } from './lifecycle/seal.ts'
import { Sealing } from './lifecycle/sealing.ts'
import { Tiering, type TieringConfig, tiersOf } from './lifecycle/tiers/tiering.ts'
import { Volumes } from './lifecycle/tiers/volumes.ts'
import type { RecordDescriber } from './retrieve/describe-record.ts'

export interface Background {
  sealer: Sealer
  sealing: Sealing
  drainer: Drainer
  scrubber: Scrubber
  tiering: Tiering
}

export interface BackgroundOptions {
  archive: Archive
  config: TieringConfig & { sealing: SealingConfig; scrub: ScrubConfig }
  describer: RecordDescriber
  lastArrival(): number
  log: Logger
}

/** What a node does in the background with what it holds, put together. */
export function openBackground({ archive, config, describer, lastArrival, log }: BackgroundOptions): Background {
  const { catalogue, landing, stores, instances, packs, events } = archive
  const warn = (message: string, details: object): void => log.warn(details, message)
  const tiers = tiersOf(stores, config)
  const volumes = new Volumes(catalogue.tiers, config.volumes)
  const placement = new Placement(tiers, () => catalogue.drainingStores())
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
    catalogue,
    landing,
    stores,
    events,
    tiers,
    keepMs: config.sealing.landingSeconds * 1000,
    warn,
  })
  const sealing = new Sealing({
    catalogue,
    sealer,
    retirer,
    quietMs: config.sealing.quietSeconds * 1000,
    lastArrival,
    info: (message, details) => log.info(details, message),
    warn,
  })
  const copies = new Copies({ catalogue, stores, packs, placement, events, leftovers: catalogue.tiers, warn })
  const drainer = new Drainer({ catalogue, stores, copies, events, tiers, warn })
  const scrubber = new Scrubber({
    catalogue,
    copies,
    tiers,
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
  archive.hooks.used = (pack) => tiering.uses.used(pack)
  archive.hooks.admit = () => tiering.watch.admit()
  return { sealer, sealing, drainer, scrubber, tiering }
}

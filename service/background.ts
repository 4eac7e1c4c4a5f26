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
import type { RecordDescriber } from './retrieve/describe-record.ts'

export interface Background {
  copies: Copies
  sealer: Sealer
  sealing: Sealing
  drainer: Drainer
  scrubber: Scrubber
}

export interface BackgroundOptions {
  archive: Archive
  config: { sealing: SealingConfig; scrub: ScrubConfig }
  describer: RecordDescriber
  lastArrival(): number
  log: Logger
}

/** What a node does in the background with what it holds, put together. */
export function openBackground({ archive, config, describer, lastArrival, log }: BackgroundOptions): Background {
  const { catalogue, landing, stores, instances, packs, events } = archive
  const warn = (message: string, details: object): void => log.warn(details, message)
  const placement = new Placement(stores, () => catalogue.drainingStores())
  const sealer = new Sealer({
    catalogue,
    instances,
    // A pack is complete without what is only said about its instances.
    describe: (record) => describer.describe(record, 'bulkdata').catch(() => undefined),
    placement,
    stores,
    events,
    copies: config.sealing.copies,
    changed: (pack) => packs.forget(pack),
    warn,
  })
  const retirer = new Retirer({
    catalogue,
    landing,
    stores,
    events,
    copiesWanted: config.sealing.copies,
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
  const copies = new Copies({ catalogue, stores, packs, placement, events, warn })
  const copiesWanted = config.sealing.copies
  const drainer = new Drainer({ catalogue, stores, copies, events, copiesWanted, warn })
  const scrubber = new Scrubber({
    catalogue,
    copies,
    copiesWanted,
    periodMs: config.scrub.periodDays * 24 * 3_600_000,
    bytesPerSecond: config.scrub.bytesPerSecond,
    warn,
  })
  return { copies, sealer, sealing, drainer, scrubber }
}

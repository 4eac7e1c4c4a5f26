import type { Logger } from 'pino'
import type { Archive } from './archive.ts'
import type { SealingConfig } from './config/stores.ts'
import { Placement } from './lifecycle/placement.ts'
import { Retirer } from './lifecycle/retire.ts'
import { Sealer } from './lifecycle/seal.ts'
import { Sealing } from './lifecycle/sealing.ts'
import type { RecordDescriber } from './retrieve/describe-record.ts'

export interface Background {
  sealer: Sealer
  sealing: Sealing
}

export interface BackgroundOptions {
  archive: Archive
  config: SealingConfig
  describer: RecordDescriber
  lastArrival(): number
  log: Logger
}

/** What a node does in the background with what it holds, put together. */
export function openBackground({ archive, config, describer, lastArrival, log }: BackgroundOptions): Background {
  const { catalogue, landing, stores, instances, packs, events } = archive
  const warn = (message: string, details: object): void => log.warn(details, message)
  const sealer = new Sealer({
    catalogue,
    instances,
    // A pack is complete without what is only said about its instances.
    describe: (record) => describer.describe(record, 'bulkdata').catch(() => undefined),
    placement: new Placement(stores),
    events,
    copies: config.copies,
    changed: (pack) => packs.forget(pack),
    warn,
  })
  const retirer = new Retirer({
    catalogue,
    landing,
    stores,
    events,
    copiesWanted: config.copies,
    keepMs: config.landingSeconds * 1000,
    warn,
  })
  const sealing = new Sealing({
    catalogue,
    sealer,
    retirer,
    quietMs: config.quietSeconds * 1000,
    lastArrival,
    info: (message, details) => log.info(details, message),
    warn,
  })
  return { sealer, sealing }
}

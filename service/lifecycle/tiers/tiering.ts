import type { CataloguePacks, CatalogueReader } from '../../catalogue/ports.ts'
import type { CatalogueTiers } from '../../catalogue/tier-ports.ts'
import type { SealingConfig, StoreConfig } from '../../config/stores.ts'
import type { MovesConfig, TiersConfig, VolumeConfig } from '../../config/tiers.ts'
import type { RecordEvents } from '../../events/ports.ts'
import type { Store, Stores, Tier } from '../../stores/ports.ts'
import type { Copies } from '../copies.ts'
import type { Drainer } from '../drain.ts'
import { StoreAdmin } from './admin.ts'
import { type Capacity, capacityOf, type Expiring } from './capacity.ts'
import { Mover } from './mover.ts'
import { Pins } from './pins.ts'
import { type TierSettings, Tiers } from './tiers.ts'
import { Uses } from './uses.ts'
import { DEFAULT_VOLUME } from './volumes.ts'
import { CapacityWatch } from './watch.ts'

export interface TieringConfig {
  sealing: Pick<SealingConfig, 'copies'>
  tiers: TiersConfig
  volumes: VolumeConfig[]
  moves: MovesConfig
}

export interface TieringOptions {
  config: TieringConfig
  tiers: Tiers
  stores: Stores & {
    isConfigured(id: string): boolean
    typeOf(id: string): string
    add(config: StoreConfig): Promise<Store>
    remove(id: string): Promise<void>
  }
  catalogue: CataloguePacks & Pick<CatalogueReader, 'studyVersion'> & { tiers: CatalogueTiers }
  copies: Pick<Copies, 'add' | 'free'>
  drainer: Pick<Drainer, 'report'>
  events: RecordEvents
  projected(seq: number): Promise<void>
  expiring?: () => Promise<Expiring[] | undefined>
  warn(message: string, details: object): void
}

/** Tiers as the configuration wants them; without a word of them, all stores are one. */
export function tiersOf(stores: Stores, { tiers, sealing }: Pick<TieringConfig, 'tiers' | 'sealing'>): Tiers {
  const settings = (tier: Tier): TierSettings => ({
    copies: tiers[tier].copies ?? sealing.copies,
    reserveShare: tiers[tier].reservePercent / 100,
  })
  return new Tiers(stores, { online: settings('online'), nearline: settings('nearline'), cold: settings('cold') })
}

/** What a node does about tiers: looks at their room, moves packs between them, and lets stores come and go. */
export class Tiering {
  readonly watch: CapacityWatch
  readonly mover: Mover
  readonly uses: Uses
  readonly pins: Pins
  readonly admin: StoreAdmin
  readonly #options: TieringOptions
  readonly #moves: boolean

  constructor(options: TieringOptions) {
    const { config, tiers, stores, catalogue, copies, drainer, events, projected, warn } = options
    const { volumes, moves } = config
    this.#options = options
    this.#moves = moves.enabled
    const known = new Set([DEFAULT_VOLUME, ...volumes.map(({ id }) => id)])
    const unknown = moves.rules.flatMap((rule) => rule.volumes ?? []).filter((id) => !known.has(id))
    if (unknown.length > 0) warn('a move rule names volumes that are not configured', { volumes: unknown })
    const both = { catalogue: catalogue.tiers, packs: catalogue }
    this.watch = new CapacityWatch({ ...both, tiers, events, volumes, warn })
    this.mover = new Mover({ ...both, tiers, copies, events, config: moves, warn })
    this.uses = new Uses({ catalogue: catalogue.tiers, warn })
    this.pins = new Pins({
      catalogue: catalogue.tiers,
      studies: catalogue,
      events,
      projected,
      changed: () => this.#move(),
    })
    this.admin = new StoreAdmin({
      ...both,
      stores,
      drainer,
      events,
      changed: () => {
        void this.watch.look()
        this.#move()
      },
    })
  }

  start(): void {
    const { warn } = this.#options
    this.watch.start()
    this.uses.start()
    if (this.#moves) this.mover.start()
    this.admin.notice().catch((error: Error) => {
      warn('which stores came and went is not in the event log', { reason: error.message })
    })
  }

  async stop(): Promise<void> {
    await Promise.all([this.watch.stop(), this.mover.stop(), this.uses.stop()])
  }

  /** What keeps new instances out; empty when nothing does. */
  get troubles(): string[] {
    const { refusal } = this.watch
    const missing = this.watch.alarms.filter(({ alarm }) => alarm === 'missing' || alarm === 'takes_nothing')
    return [...(refusal === undefined ? [] : [`nothing new is taken in: ${refusal}`]), ...missing.map((a) => a.detail)]
  }

  capacity(): Promise<Capacity> {
    const { tiers, stores, catalogue, config, expiring } = this.#options
    return capacityOf({
      tiers,
      catalogue: catalogue.tiers,
      packs: catalogue,
      volumes: config.volumes,
      isConfigured: (store) => stores.isConfigured(store),
      ...(expiring ? { expiring } : {}),
    })
  }

  #move(): void {
    if (this.#moves) void this.mover.run()
  }
}

import { isStorageError } from '../../storage-adapters/contract/errors.ts'
import type { Source } from '../../storage-adapters/contract/source.ts'
import type { CataloguePacks, InstanceRecord, NewPack } from '../catalogue/ports.ts'
import { isArchiveError } from '../errors.ts'
import { SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { RecordEvents } from '../events/ports.ts'
import { packKey } from '../packing/keys.ts'
import { heldMetadata, packMetadata } from '../packing/metadata.ts'
import { byPlaceInPack, splitIntoPacks } from '../packing/order.ts'
import { planPack } from '../packing/plan.ts'
import { type PackParts, packSource } from '../packing/write.ts'
import type { ReadInstances } from '../retrieve/ports.ts'
import type { Stores } from '../stores/ports.ts'
import type { Placement } from './placement.ts'
import { putAndReadBack, readBack } from './read-back.ts'

export interface SealerOptions {
  catalogue: Pick<CataloguePacks, 'unsealedCopies' | 'addPack' | 'packByKey'>
  instances: ReadInstances & { isIntact(record: InstanceRecord): Promise<boolean> }
  /** One line of DICOM JSON; undefined where the header can't be described. */
  describe(record: InstanceRecord): Promise<Buffer | undefined>
  placement: Placement
  stores: Stores
  events: RecordEvents
  /** Stores that must hold a pack. */
  readonly copies: number
  /** Default: the volume `default`. */
  volumeOf?(studyUid: string, records: readonly InstanceRecord[]): Promise<string>
  /** Of metadata.json.gz, which is held in memory; with more a pack becomes several. Default 64 MiB. */
  metadataBytesMax?: number
  /** A pack has other copies than before. */
  changed(pack: number): void
  warn(message: string, details: object): void
}

export interface Sealed {
  packs: { id: number; key: string; stores: string[]; instances: number; sizeBytes: number }[]
  /** Damaged instances, by digest, that stay where they are. */
  leftOut: string[]
}

/**
 * Seals a study: what is in no pack goes into one (or several, if there is very much), which is written to as many stores as
 * wanted, read back from each and compared, and only then recorded, in the event log first. A crash leaves at most a pack that nobody knows of;
 * sealing again makes the same bytes under the same key.
 */
export class Sealer {
  readonly #options: SealerOptions
  readonly #underway = new Map<string, Promise<Sealed>>()

  constructor(options: SealerOptions) {
    this.#options = options
  }

  /**
   * Throws ArchiveError `storage_failed`, `out_of_space`, `unavailable` when no store could take it, and StorageError. The
   * study stays as it was then.
   */
  seal(studyUid: string): Promise<Sealed> {
    const underway = this.#underway.get(studyUid)
    if (underway) return underway
    const work = this.#seal(studyUid).finally(() => this.#underway.delete(studyUid))
    this.#underway.set(studyUid, work)
    return work
  }

  /** Resolves when no study is being sealed, whoever asked for it. */
  async idle(): Promise<void> {
    while (this.#underway.size > 0) await Promise.allSettled(this.#underway.values())
  }

  async #seal(studyUid: string): Promise<Sealed> {
    const sealed: Sealed = { packs: [], leftOut: [] }
    const copies = await this.#options.catalogue.unsealedCopies(studyUid)
    for (const group of splitIntoPacks(copies)) await this.#sealGroup(studyUid, group, sealed)
    return sealed
  }

  /** Neither a damaged instance nor too much to say of them may keep a study's instances out of packs. */
  async #sealGroup(studyUid: string, group: readonly InstanceRecord[], sealed: Sealed): Promise<void> {
    try {
      sealed.packs.push(await this.#pack(studyUid, group))
    } catch (error) {
      if (isArchiveError(error, 'too_large') && group.length > 1) {
        const half = Math.ceil(group.length / 2)
        await this.#sealGroup(studyUid, group.slice(0, half), sealed)
        return this.#sealGroup(studyUid, group.slice(half), sealed)
      }
      if (!isArchiveError(error, 'storage_failed')) throw error
      const intact = await this.#intactOf(group, sealed)
      if (intact.length === group.length) throw error
      if (intact.length > 0) sealed.packs.push(await this.#pack(studyUid, intact))
    }
  }

  async #intactOf(group: readonly InstanceRecord[], sealed: Sealed): Promise<InstanceRecord[]> {
    const { instances, warn } = this.#options
    const intact: InstanceRecord[] = []
    for (const record of group) {
      if (await instances.isIntact(record)) intact.push(record)
      else {
        sealed.leftOut.push(record.sha256)
        warn('a damaged instance is left out of its pack', { sha256: record.sha256, location: record.location })
      }
    }
    return intact
  }

  async #pack(studyUid: string, group: readonly InstanceRecord[]): Promise<Sealed['packs'][number]> {
    const { catalogue, describe, metadataBytesMax } = this.#options
    const records = [...group].sort(byPlaceInPack)
    const metadata = await heldMetadata(packMetadata(studyUid, records, describe), metadataBytesMax)
    const { sizeBytes, sha256 } = metadata
    const volume = (await this.#options.volumeOf?.(studyUid, records)) ?? 'default'
    const plan = planPack({
      studyUid,
      volume,
      retention: null,
      instances: records,
      metadata: { sizeBytes, sha256 },
    })
    const source = await packSource(plan, this.#parts(records, metadata.bytes))
    const key = packKey(studyUid, source.sha256)
    const { copies, notIn } = await this.#store(key, source)
    const pack = {
      studyUid,
      key,
      sha256: source.sha256,
      sizeBytes: source.sizeBytes,
      sealedAt: new Date().toISOString(),
      volume,
      copies,
      notIn,
      instances: plan.instances,
    }
    await this.#options.events.append(...eventsOf(pack))
    const id = await catalogue.addPack(pack)
    this.#options.changed(id)
    return { id, key, stores: copies.map(({ store }) => store), instances: records.length, sizeBytes: source.sizeBytes }
  }

  /** Into as many stores as wanted, each read back. A store that fails is passed over, as long as there are others. */
  async #store(key: string, source: Source): Promise<Required<Pick<NewPack, 'copies' | 'notIn'>>> {
    const { placement, copies: wanted, warn } = this.#options
    const tried = new Set<string>()
    const copies: NewPack['copies'] = []
    const notIn: string[] = []
    while (copies.length < wanted) {
      const store = await placement.choose(source.sizeBytes, tried)
      tried.add(store.id)
      try {
        await putAndReadBack(store, key, source)
        copies.push({ store: store.id, verifiedAt: new Date().toISOString() })
      } catch (error) {
        // What fails then is not the store but the source.
        if (isStorageError(error, 'aborted')) throw error
        if (isStorageError(error, 'exists_different')) notIn.push(store.id)
        warn('a store did not take a pack', { store: store.id, key, reason: (error as Error).message })
      }
    }
    return { copies, notIn: [...notIn, ...(await this.#damagedCopies(key, tried))] }
  }

  /**
   * Stores that hold the pack from before, damaged: the same instances are sealed again when a copy of theirs was damaged
   * and their sender brought them anew.
   */
  async #damagedCopies(key: string, tried: ReadonlySet<string>): Promise<string[]> {
    const { catalogue, stores } = this.#options
    const known = await catalogue.packByKey(key)
    const damaged: string[] = []
    for (const { store } of known?.copies ?? []) {
      if (!known || tried.has(store)) continue
      if ((await readBack(stores.get(store), known)).state === 'damaged') damaged.push(store)
    }
    return damaged
  }

  #parts(records: readonly InstanceRecord[], metadata: Buffer): PackParts {
    const { instances } = this.#options
    return {
      async *instances() {
        for await (const pieces of instances.readAll(records)) for (const { bytes } of pieces) yield bytes
      },
      async *metadata() {
        yield metadata
      },
    }
  }
}

function eventsOf({ studyUid, sha256, sizeBytes, instances, copies }: NewPack): KnownEvent[] {
  const subject = { study: studyUid, pack: sha256 }
  const placed = copies.map(
    ({ store }): KnownEvent => ({
      kind: 'pack.placed',
      actor: SYSTEM,
      subject: { ...subject, store },
      data: { store, sizeBytes },
    }),
  )
  return [{ kind: 'pack.sealed', actor: SYSTEM, subject, data: { sizeBytes, instances: instances.length } }, ...placed]
}

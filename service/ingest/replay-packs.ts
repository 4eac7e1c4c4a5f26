import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import type { CataloguePacks, CatalogueWriter, NewInstance } from '../catalogue/ports.ts'
import { describeFromJson } from '../dicom/describe.ts'
import type { DicomJson } from '../dicom/types.ts'
import { parsePackKey } from '../packing/keys.ts'
import { readMetadata } from '../packing/metadata.ts'
import type { PackedInstance, PackIndex, ReadRange } from '../packing/pack.ts'
import { readIndex } from '../packing/read.ts'
import { type Fault, verifyPack } from '../packing/verify.ts'
import type { Stores } from '../stores/ports.ts'

export interface ReplayPacksOptions {
  stores: Stores
  catalogue: Pick<CatalogueWriter, 'record'> & Pick<CataloguePacks, 'addPack'>
  progress?(report: PacksReport): void
  warn(message: string, details: object): void
}

export interface PacksReport {
  packs: number
  instances: number
  /** Packs that are not as they were written; what is intact of them is recorded. */
  damaged: number
  /** Stores that could not be read: what only they hold is missing. */
  unreadable: string[]
}

/** A pack, and where it was found. */
interface Found {
  key: string
  places: { store: string; adapter: StorageAdapter; sizeBytes: number }[]
  firstReceived: string
}

/**
 * Brings a catalogue that is being rebuilt up to what the stores hold. Every byte is read and compared. Packs come in the
 * order of their first instance's receipt, so that of copies under one UID the same one is served as before, except where
 * such copies are of different studies and were sealed in another order.
 */
export async function replayPacks(options: ReplayPacksOptions): Promise<PacksReport> {
  const report: PacksReport = { packs: 0, instances: 0, damaged: 0, unreadable: [] }
  const found = new Map<string, Found>()
  for (const { id: store, adapter } of options.stores.all) {
    try {
      for await (const { key, sizeBytes } of adapter.list({ prefix: 'packs/' })) {
        if (!parsePackKey(key)) continue
        const pack = found.get(key) ?? { key, places: [], firstReceived: '' }
        found.set(key, pack)
        pack.places.push({ store, adapter, sizeBytes })
        pack.firstReceived ||= await firstReceipt(adapter, key, sizeBytes).catch(() => '')
      }
    } catch (error) {
      report.unreadable.push(store)
      options.warn('a store can not be read', { store, reason: (error as Error).message })
    }
  }
  const inOrder = [...found.values()].sort((a, b) =>
    a.firstReceived < b.firstReceived ? -1 : a.firstReceived > b.firstReceived ? 1 : 0,
  )
  for (const pack of inOrder) await replayPack(options, pack, report)
  return report
}

const rangesOf = (adapter: StorageAdapter, key: string): ReadRange =>
  async function* (start, end) {
    const { body } = await adapter.get(key, { range: { start, end } })
    yield* body as AsyncIterable<Buffer>
  }

async function firstReceipt(adapter: StorageAdapter, key: string, sizeBytes: number): Promise<string> {
  const { instances } = await readIndex(rangesOf(adapter, key), sizeBytes)
  return instances.reduce((first, { receivedAt }) => (receivedAt < first ? receivedAt : first), '9')
}

/**
 * Only stores that gave the pack back whole hold it, for readers and for whoever frees other copies. Where none did, what is
 * intact in the best one is recorded.
 */
async function replayPack(options: ReplayPacksOptions, { key, places }: Found, report: PacksReport): Promise<void> {
  const { catalogue, progress } = options
  const { studyUid, sha256 } = parsePackKey(key) as { studyUid: string; sha256: string }
  const copies: Copy[] = []
  for (const place of places) {
    const copy = await examine(options, key, place)
    if (copy.faults.length > 0) report.damaged += 1
    if (copy.index?.studyUid === studyUid) copies.push(copy)
  }
  copies.sort((a, b) => a.faults.length - b.faults.length)
  const [best] = copies
  if (!best?.index) return
  const { index, read, sizeBytes } = best
  const bad = new Set(best.faults.map(({ member }) => member))
  const intact = index.instances.filter(({ name }) => !bad.has(name))
  const described = await attributesOf(read, index)
  const inOrder = [...intact].sort((a, b) => (a.receivedAt < b.receivedAt ? -1 : a.receivedAt > b.receivedAt ? 1 : 0))
  const recorded = inOrder.map((instance) =>
    catalogue.record(newInstance(studyUid, instance, described.get(instance.name))),
  )
  await Promise.all(recorded)
  const now = new Date().toISOString()
  const whole = copies.filter(({ faults }) => faults.length === 0)
  await catalogue.addPack({
    studyUid,
    key,
    sha256,
    sizeBytes,
    sealedAt: now,
    volume: index.volume,
    copies: (whole.length > 0 ? whole : [best]).map(({ store }) => ({ store, verifiedAt: now })),
    instances: intact,
  })
  report.packs += 1
  report.instances += intact.length
  progress?.(report)
}

interface Copy {
  store: string
  sizeBytes: number
  read: ReadRange
  index: PackIndex | undefined
  faults: Fault[]
}

async function examine(
  { warn }: ReplayPacksOptions,
  key: string,
  { store, adapter, sizeBytes }: Found['places'][number],
): Promise<Copy> {
  const read = rangesOf(adapter, key)
  const verified = await verifyPack(read, sizeBytes, parsePackKey(key)?.sha256).catch((error: Error) => ({
    index: undefined,
    faults: [{ member: null, problem: error.message }],
  }))
  const { index, faults } = verified
  if (faults.length > 0) warn('a pack is damaged', { store, key, faults: faults.slice(0, 10) })
  return { store, sizeBytes, read, index, faults }
}

/** The DICOM JSON of each instance by its name in the pack; none of them where the metadata is damaged. */
async function attributesOf(read: ReadRange, index: PackIndex): Promise<Map<string, DicomJson>> {
  const described = new Map<string, DicomJson>()
  let at = 0
  try {
    for await (const line of readMetadata(read, index)) {
      described.set((index.instances[at] as PackedInstance).name, JSON.parse(line.toString('utf8')))
      at += 1
    }
  } catch {
    return new Map()
  }
  return described
}

/** Where the metadata is damaged, the identifiers are all that is searched by. */
function newInstance(studyUid: string, instance: PackedInstance, json: DicomJson | undefined): NewInstance {
  const ui = (value: string) => ({ vr: 'UI', Value: [value] })
  const { seriesUid, sopInstanceUid, sopClassUid } = instance
  const own = {
    '00080016': ui(sopClassUid),
    '00080018': ui(sopInstanceUid),
    '0020000D': ui(studyUid),
    '0020000E': ui(seriesUid),
  } as DicomJson
  const { name: _, offset: __, ...known } = instance
  return {
    ...known,
    studyUid,
    location: { segment: 0, offset: 0 },
    attributes: describeFromJson({ ...own, ...json }),
  }
}

import {
  INDEX_NAME,
  MANIFEST_NAME,
  METADATA_NAME,
  PACK_BYTES_MAX,
  PACK_INSTANCES_MAX,
  type PackInstance,
} from './pack.ts'

const compare = <T extends string | number>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0)

/** An instance without a number comes before those that have one, as in the catalogue. */
const position = ({ instanceNumber }: PackInstance): number => instanceNumber ?? Number.MIN_SAFE_INTEGER

/**
 * Series by series, each by instance number, as a whole study is read; then by UID and digest, so that nothing but what the
 * instances are decides.
 */
export function byPlaceInPack(a: PackInstance, b: PackInstance): number {
  return (
    compare(a.seriesUid, b.seriesUid) ||
    compare(position(a), position(b)) ||
    compare(a.sopInstanceUid, b.sopInstanceUid) ||
    compare(a.sha256, b.sha256)
  )
}

export interface PackLimits {
  instancesMax: number
  bytesMax: number
}

const LIMITS: PackLimits = { instancesMax: PACK_INSTANCES_MAX, bytesMax: PACK_BYTES_MAX }

/**
 * What goes into one pack each, the same for the same instances in whatever order they are given. Every list but the last
 * is as full as the limits allow; an instance above `bytesMax` has a pack of its own.
 */
export function splitIntoPacks<Instance extends PackInstance>(
  instances: readonly Instance[],
  { instancesMax, bytesMax }: PackLimits = LIMITS,
): Instance[][] {
  const packs: Instance[][] = []
  let last: Instance[] = []
  let bytes = 0
  for (const instance of [...instances].sort(byPlaceInPack)) {
    if (packs.length === 0 || last.length >= instancesMax || bytes + instance.sizeBytes > bytesMax) {
      last = []
      bytes = 0
      packs.push(last)
    }
    last.push(instance)
    bytes += instance.sizeBytes
  }
  return packs
}

/** No UID holds it, so what is appended to one with it is no other one. */
const MARK = '+'
const OWN_NAMES: ReadonlySet<string> = new Set([INDEX_NAME, MANIFEST_NAME, METADATA_NAME])

/**
 * Names of tar members for instances in the order of a pack: `<series>/<SOP>.dcm`. Copies with other bytes under one UID of
 * a series are numbered in that order, `<SOP>+1.dcm`, `<SOP>+2.dcm`: none of them has a better right to the plain name. A
 * digest would name them too, but two can be made that begin alike. What stands in place of a series UID may be
 * the name of one of the pack's own files; then the folder's name ends in `+`.
 */
export function memberNames(instances: readonly PackInstance[]): string[] {
  const key = ({ seriesUid, sopInstanceUid }: PackInstance) => `${seriesUid}/${sopInstanceUid}`
  const copies = new Map<string, { count: number; named: number }>()
  for (const instance of instances) {
    const known = copies.get(key(instance))
    if (known) known.count += 1
    else copies.set(key(instance), { count: 1, named: 0 })
  }
  return instances.map((instance) => {
    const { seriesUid, sopInstanceUid } = instance
    const same = copies.get(key(instance)) as { count: number; named: number }
    same.named += 1
    const folder = OWN_NAMES.has(seriesUid) ? seriesUid + MARK : seriesUid
    return `${folder}/${sopInstanceUid}${same.count > 1 ? MARK + same.named : ''}.dcm`
  })
}

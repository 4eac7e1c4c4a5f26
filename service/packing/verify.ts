import { createHash } from 'node:crypto'
import { isArchiveError } from '../errors.ts'
import { lookAhead } from './look-ahead.ts'
import { INDEX_NAME, MANIFEST_NAME, METADATA_NAME, type PackIndex, type ReadRange } from './pack.ts'
import { manifestOf } from './plan.ts'
import { checkIndex, readIndex } from './read.ts'
import { type Found, type Walked, walkPack } from './walk.ts'

export interface Fault {
  /** Name in the tar; null where it concerns the pack as a whole. */
  member: string | null
  problem: string
}

export interface PackReport {
  /** Of what is there. */
  sha256: string
  /** Undefined when it can't be read. */
  index: PackIndex | undefined
  /** Empty when every byte is as it was written. */
  faults: Fault[]
}

/**
 * Reads all of a pack and compares each member with what index and manifest say of it, and the whole with the digest in
 * its key. What is not named in the faults is intact. A store that can't be read is the reader's error, which is passed on.
 *
 * @param sizeBytes of what the store has
 * @param sha256 of the pack, as its key says
 * @throws ArchiveError `storage_failed` when there are more members than a pack may have
 */
export async function verifyPack(read: ReadRange, sizeBytes: number, sha256?: string): Promise<PackReport> {
  const walked = await walkPack(read, sizeBytes)
  const faults: Fault[] = []
  const own = (name: string) => walked.found.find((found) => found.name === name)
  const index = indexIn(own(INDEX_NAME), faults)
  const manifest = manifestIn(own(MANIFEST_NAME), faults)
  if (index && manifest) contradictions(own(INDEX_NAME) as Found, index, own(MANIFEST_NAME) as Found, manifest, faults)
  compareMembers(walked, index, manifest, faults)
  if (!index && !manifest) faults.push({ member: null, problem: 'nothing tells what its instances should be' })
  compareWhole(walked, sizeBytes, sha256, index, faults)
  return { sha256: walked.sha256, index, faults }
}

/**
 * The same for a pack that was verified once, or whose making was (`digestOf`): while its digest is the one in its key, it
 * has no faults, and half the hashing suffices. Only a damaged pack is read again to find out where.
 */
export async function recheckPack(read: ReadRange, sizeBytes: number, sha256: string): Promise<PackReport> {
  const hash = createHash('sha256')
  for await (const chunk of lookAhead(read(0, sizeBytes))) hash.update(chunk)
  const intact = hash.digest('hex') === sha256
  // What keeps the index from being read shows again where everything is looked at.
  const index = intact ? await readIndex(read, sizeBytes).catch(() => undefined) : undefined
  return index ? { sha256, index, faults: [] } : verifyPack(read, sizeBytes, sha256)
}

function indexIn(found: Found | undefined, faults: Fault[]): PackIndex | undefined {
  try {
    if (found?.bytes) return checkIndex(found.bytes)
    faults.push({ member: INDEX_NAME, problem: found ? 'it is too long' : 'it is not there' })
  } catch (error) {
    if (!isArchiveError(error)) throw error
    faults.push({ member: INDEX_NAME, problem: error.message })
  }
  return undefined
}

/** Digests by name. */
type Manifest = ReadonlyMap<string, string>

function manifestIn(found: Found | undefined, faults: Fault[]): Manifest | undefined {
  if (found?.bytes) {
    const lines = found.bytes.toString('latin1').split('\n')
    const last = lines.pop()
    if (last === '' && lines.every((line) => /^[0-9a-f]{64} {2}./.test(line))) {
      return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]))
    }
  }
  faults.push({ member: MANIFEST_NAME, problem: found ? 'its form is damaged' : 'it is not there' })
  return undefined
}

/** Index and manifest say the same twice; where they differ, the manifest's line for the index tells which one is damaged. */
function contradictions(
  indexFile: Found,
  index: PackIndex,
  manifestFile: Found,
  manifest: Manifest,
  faults: Fault[],
): void {
  const expected = manifestOf(indexFile.bytes as Buffer, index.metadata, index.instances)
  if (expected.equals(manifestFile.bytes as Buffer)) return
  const recorded = manifest.get(INDEX_NAME)
  if (recorded === undefined || recorded === indexFile.sha256) {
    faults.push({ member: MANIFEST_NAME, problem: 'it says something else than the index' })
    return
  }
  faults.push({ member: INDEX_NAME, problem: 'its SHA-256 is not the one in the manifest' })
  const others = expected.indexOf('\n')
  const onlyThatLine = expected.subarray(others).equals((manifestFile.bytes as Buffer).subarray(others))
  if (onlyThatLine) faults.push({ member: MANIFEST_NAME, problem: 'its first line may be the damaged one' })
}

interface Expected {
  offset: number | undefined
  /** One of them has to be the right one. */
  sha256: (string | undefined)[]
}

/** By name, from the index, or where there is none, from the manifest. */
function expectedMembers(index: PackIndex | undefined, manifest: Manifest | undefined): Map<string, Expected> {
  const expected = new Map<string, Expected>()
  if (index) {
    for (const { name, offset, sha256 } of [{ name: METADATA_NAME, ...index.metadata }, ...index.instances]) {
      expected.set(name, { offset, sha256: [sha256, manifest?.get(name)] })
    }
  } else {
    for (const [name, sha256] of manifest ?? []) {
      if (name !== INDEX_NAME) expected.set(name, { offset: undefined, sha256: [sha256] })
    }
  }
  return expected
}

function compareMembers(
  { found }: Walked,
  index: PackIndex | undefined,
  manifest: Manifest | undefined,
  faults: Fault[],
): void {
  const missing = expectedMembers(index, manifest)
  const seen = new Set<string>()
  for (const member of found) {
    const { name } = member
    const expected = missing.get(name)
    missing.delete(name)
    const isOwn = name === INDEX_NAME || name === MANIFEST_NAME
    const known = expected !== undefined || isOwn || (!index && !manifest)
    const problem = seen.has(name) || !known ? 'it does not belong here' : (member.problem ?? differs(member, expected))
    seen.add(name)
    if (problem) faults.push({ member: name, problem })
  }
  for (const name of missing.keys()) faults.push({ member: name, problem: 'its header is damaged, or it is not there' })
}

function differs({ offset, sha256 }: Found, expected: Expected | undefined): string | undefined {
  if (!expected) return undefined
  if (!expected.sha256.includes(sha256)) return `SHA-256 ${sha256} instead of ${expected.sha256[0]}`
  return expected.offset !== undefined && expected.offset !== offset ? `it is at byte ${offset}` : undefined
}

function compareWhole(
  { strays, ended, ...walked }: Walked,
  sizeBytes: number,
  sha256: string | undefined,
  index: PackIndex | undefined,
  faults: Fault[],
): void {
  const fault = (problem: string) => faults.push({ member: null, problem })
  if (index && index.sizeBytes !== sizeBytes) fault(`the pack has ${sizeBytes} bytes instead of ${index.sizeBytes}`)
  if (!ended) fault('the end of the archive is damaged')
  for (const { start, end } of strays) fault(`bytes ${start} to ${end} belong to no member`)
  if (sha256 !== undefined && sha256 !== walked.sha256) fault(`SHA-256 ${walked.sha256} instead of ${sha256}`)
}
